//! The bodies of the fuzz targets on the stable toolchain: seeds, and seeds damaged at random.
#![allow(clippy::unwrap_used)]

mod common;

use common::{generator, pairs};
use damage::{Damage, damaged};
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

/// Damages that insert such pieces.
fn damages() -> impl Strategy<Value = Vec<Damage>> {
    damage::damages(prop::sample::select(&PIECES).prop_map(|piece| piece.as_bytes().to_vec()))
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
        all(&damaged(SEED.as_bytes().to_vec(), &damages));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_random_documents_hold(root in generator::element(false), prefixes in 0..5_usize, damages in damages()) {
        let xml = generator::write(&root, generator::Style { prefixes, ..Default::default() });
        all(&damaged(xml.into_bytes(), &damages));
    }

    #[test]
    fn random_octets_hold(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        all(&octets);
    }
}
