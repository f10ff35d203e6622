//! See `rsmev::fuzz_bodies::registry_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| rsmev::fuzz_bodies::registry_file(octets));
