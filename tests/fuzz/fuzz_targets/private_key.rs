//! See `gost::fuzz_bodies::private_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| gost::fuzz_bodies::private_key(octets));
