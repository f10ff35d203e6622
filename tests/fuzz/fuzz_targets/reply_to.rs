//! See `engine::fuzz_bodies::reply_to`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| engine::fuzz_bodies::reply_to(octets));
