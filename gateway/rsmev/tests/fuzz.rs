//! The bodies of the fuzz targets on the stable toolchain: seeds, and seeds damaged at random. `tests/fuzz` runs the same
//! bodies for as long as one likes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail there")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use damage::{any_octets, damaged, damages};
use proptest::prelude::*;

/// The body of a target.
type Body = fn(&[u8]);

/// The targets; the seeds lie in `tests/fuzz/seeds/<name>`. Those of XML have their own test in the crate `xmldsig`.
const TARGETS: [(&str, Body); 20] = [
    ("call", smev3::fuzz_bodies::call),
    ("certificate", gost::fuzz_bodies::certificate),
    ("configuration", rsmev::fuzz_bodies::configuration),
    ("events", engine::fuzz_bodies::events),
    ("keyring", vault::fuzz_bodies::keyring),
    ("live_segment", journal::fuzz_bodies::live_segment),
    ("manifest", rsmev::fuzz_bodies::manifest),
    ("multipart", smev3::fuzz_bodies::multipart),
    ("private_key", gost::fuzz_bodies::private_key),
    ("record", journal::fuzz_bodies::record),
    ("registry_file", rsmev::fuzz_bodies::registry_file),
    ("reply_to", engine::fuzz_bodies::reply_to),
    ("sealed_body", vault::fuzz_bodies::sealed_body),
    ("sealed_segment", journal::fuzz_bodies::sealed_segment),
    ("snapshot", journal::fuzz_bodies::snapshot),
    ("snapshot_row", engine::fuzz_bodies::snapshot_row),
    ("spool_record", journal::fuzz_bodies::spool_record),
    ("stored", smev3::fuzz_bodies::stored),
    ("stored_registry", engine::fuzz_bodies::stored_registry),
    ("upstream_answer", smev3::fuzz_bodies::upstream_answer),
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fuzz/seeds")
        .join(target);
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// Each target with its seeds.
fn seeds_of_all() -> impl Iterator<Item = (&'static [Vec<u8>], Body)> {
    static SEEDS: OnceLock<Vec<Vec<Vec<u8>>>> = OnceLock::new();
    let all = SEEDS.get_or_init(|| TARGETS.iter().map(|(target, _)| seeds(target)).collect());
    all.iter().map(Vec::as_slice).zip(TARGETS.iter().map(|(_, body)| *body))
}

#[test]
fn the_seeds_hold() {
    for (target, body) in TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target}");
        seeds.iter().for_each(|seed| body(seed));
        body(b"");
    }
}

/// How many inputs each target gets.
fn cases() -> ProptestConfig {
    let cases = std::env::var("RSMEV_FUZZ_CASES").map_or(2_000, |text| text.parse().expect("a number"));
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn damaged_seeds_hold(seed in any::<prop::sample::Index>(), damages in damages(any_octets())) {
        for (seeds, body) in seeds_of_all() {
            body(&damaged(seed.get(seeds).clone(), &damages));
        }
    }

    #[test]
    fn random_octets_hold(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, body) in TARGETS {
            body(&octets);
        }
    }
}
