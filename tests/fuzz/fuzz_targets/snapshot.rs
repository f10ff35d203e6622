//! See `journal::fuzz_bodies::snapshot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| journal::fuzz_bodies::snapshot(octets));
