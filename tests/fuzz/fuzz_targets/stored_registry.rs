//! See `engine::fuzz_bodies::stored_registry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| engine::fuzz_bodies::stored_registry(octets));
