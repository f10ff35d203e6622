//! See `engine::fuzz_bodies::snapshot_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| engine::fuzz_bodies::snapshot_row(octets));
