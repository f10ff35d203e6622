//! See `xmldsig::fuzz_bodies::verify`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| xmldsig::fuzz_bodies::verify(octets));
