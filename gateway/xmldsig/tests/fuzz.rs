//! The bodies of the fuzz targets on the stable toolchain: seeds, and seeds damaged at random.
#![allow(clippy::unwrap_used)]

mod common;

use common::{generator, pairs};
use proptest::prelude::*;
use std::path::PathBuf;
use xmldsig::fuzz_bodies::{SEED, canonicalize, parse, verify};

fn all(octets: &[u8]) {
    parse(octets);
    canonicalize(octets);
    verify(octets);
}

/// Pieces that matter to parsers, to canonicalisation or to signatures.
const PIECES: [&str; 32] = [
    "<",
    ">",
    "/>",
    "&amp;",
    "&#13;",
    "&#xD800;",
    "\r\n",
    "\r",
    "]]>",
    "<!-- x -->",
    "<![CDATA[x]]>",
    "<?x y?>",
    "<?xml version='1.0'?>",
    " xmlns=''",
    " xmlns='urn:x'",
    " xmlns:p='urn:x'",
    " p:xmlns='urn:x'",
    " xml:lang='ru'",
    " Id='SIGNED_BY_CALLER'",
    " xml:id='SIGNED_BY_CALLER'",
    ":",
    "p:",
    "#",
    "<a>",
    "</a>",
    "<T:Amount/>",
    "\u{feff}",
    "\u{85}",
    "\u{1f600}",
    "\0",
    " ",
    "\n",
];

#[derive(Clone, Debug)]
enum Damage {
    Insert(prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize, prop::sample::Index),
    Octet(prop::sample::Index, u8),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let place = any::<prop::sample::Index>;
    let one = prop_oneof![
        4 => (place(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        2 => (place(), 1..200_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (place(), 1..400_usize, place()).prop_map(|(from, length, to)| Damage::Repeat(from, length, to)),
        1 => (place(), any::<u8>()).prop_map(|(at, octet)| Damage::Octet(at, octet)),
    ];
    prop::collection::vec(one, 0..4)
}

fn damaged(seed: &str, damages: &[Damage]) -> Vec<u8> {
    let mut octets = seed.as_bytes().to_vec();
    for damage in damages {
        if octets.is_empty() {
            break;
        }
        let length = octets.len();
        match damage {
            Damage::Insert(at, piece) => {
                let at = at.index(length);
                octets.splice(at..at, PIECES[*piece].bytes());
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
    all(SEED.as_bytes());
    all(b"");
    for folder in ["edge", "edge-error"] {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/transform")).join(folder);
        if folder.ends_with("edge") {
            pairs(&folder).iter().for_each(|(_, input, _)| all(input));
        } else {
            std::fs::read_dir(folder)
                .unwrap()
                .for_each(|file| all(&std::fs::read(file.unwrap().path()).unwrap()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_signed_messages_hold(damages in damages()) {
        all(&damaged(SEED, &damages));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_random_documents_hold(root in generator::element(false), prefixes in 0..5_usize, damages in damages()) {
        let xml = generator::write(&root, generator::Style { prefixes, ..Default::default() });
        all(&damaged(&xml, &damages));
    }

    #[test]
    fn random_octets_hold(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        all(&octets);
    }
}
