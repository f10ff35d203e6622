//! See `smev3::fuzz_bodies::stored`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smev3::fuzz_bodies::stored(octets));
