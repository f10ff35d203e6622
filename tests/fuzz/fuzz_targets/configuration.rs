//! See `rsmev::fuzz_bodies::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| rsmev::fuzz_bodies::configuration(octets));
