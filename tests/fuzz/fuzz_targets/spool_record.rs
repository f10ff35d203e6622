//! See `journal::fuzz_bodies::spool_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| journal::fuzz_bodies::spool_record(octets));
