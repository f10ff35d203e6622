//! See `journal::fuzz_bodies::live_segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| journal::fuzz_bodies::live_segment(octets));
