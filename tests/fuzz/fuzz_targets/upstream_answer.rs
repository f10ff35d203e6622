//! See `smev3::fuzz_bodies::upstream_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smev3::fuzz_bodies::upstream_answer(octets));
