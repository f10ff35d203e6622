//! See `gost::fuzz_bodies::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| gost::fuzz_bodies::certificate(octets));
