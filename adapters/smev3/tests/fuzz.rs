//! The bodies of the fuzz targets on the stable toolchain: seeds, and seeds damaged at random. `tests/fuzz` runs the same
//! bodies for as long as one likes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail there")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

/// The body of a target.
type Body = fn(&[u8]);

/// The targets; the seeds lie in `tests/fuzz/seeds/<name>`.
const TARGETS: [(&str, Body); 6] = [
    ("certificate", gost::fuzz_bodies::certificate),
    ("record", journal::fuzz_bodies::record),
    ("spool_record", journal::fuzz_bodies::spool_record),
    ("multipart", smev3::fuzz_bodies::multipart),
    ("call", smev3::fuzz_bodies::call),
    ("stored", smev3::fuzz_bodies::stored),
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fuzz/seeds")
        .join(target);
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Damage {
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize, prop::sample::Index),
    Octet(prop::sample::Index, u8),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let place = any::<prop::sample::Index>;
    let octets = prop::collection::vec(any::<u8>(), 1..8);
    let one = prop_oneof![
        1 => (place(), octets).prop_map(|(at, octets)| Damage::Insert(at, octets)),
        2 => (place(), 1..60_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (place(), 1..200_usize, place()).prop_map(|(from, length, to)| Damage::Repeat(from, length, to)),
        3 => (place(), any::<u8>()).prop_map(|(at, octet)| Damage::Octet(at, octet)),
    ];
    prop::collection::vec(one, 1..4)
}

fn damaged(mut octets: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if octets.is_empty() {
            break;
        }
        let length = octets.len();
        match damage {
            Damage::Insert(at, piece) => {
                let at = at.index(length);
                octets.splice(at..at, piece.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at.index(length);
                octets.drain(at..length.min(at + count));
            }
            Damage::Repeat(from, count, to) => {
                let from = from.index(length);
                let piece = octets[from..length.min(from + count)].to_vec();
                let to = to.index(length);
                octets.splice(to..to, piece);
            }
            Damage::Octet(at, octet) => octets[at.index(length)] = *octet,
        }
    }
    octets
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_seeds_hold(seed in any::<prop::sample::Index>(), damages in damages()) {
        for (target, body) in TARGETS {
            let mut seeds = seeds(target);
            body(&damaged(seeds.swap_remove(seed.index(seeds.len())), &damages));
        }
    }

    #[test]
    fn random_octets_hold(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, body) in TARGETS {
            body(&octets);
        }
    }
}
