//! See `vault::fuzz_bodies::keyring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| vault::fuzz_bodies::keyring(octets));
