//! See `engine::fuzz_bodies::events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| engine::fuzz_bodies::events(octets));
