//! See `smev3::fuzz_bodies::call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smev3::fuzz_bodies::call(octets));
