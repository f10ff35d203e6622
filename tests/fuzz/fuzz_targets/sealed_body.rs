//! See `vault::fuzz_bodies::sealed_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| vault::fuzz_bodies::sealed_body(octets));
