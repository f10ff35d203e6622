//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::cipher::{Cipher, Keyed};
use crate::keyring::{self, DataKey, KeyringStore};
use crate::master::MasterKey;
use crate::sealed;
use crate::vault::BodyName;

/// A keyring of two data keys under the master key of these targets.
const KEYRING: &str = include_str!("../../../tests/fuzz/seeds/keyring/keyring.json");
/// What the sealed seeds hold.
const PLAIN: &[u8] = b"<body/>";
/// What they were sealed for.
const NAME: BodyName = BodyName {
    message: [5; 16],
    part: 3,
};

fn master() -> MasterKey {
    MasterKey::of([7; 32])
}

/// A keyring that is just octets.
#[derive(Debug)]
struct Octets<'a>(&'a [u8]);

impl KeyringStore for Octets<'_> {
    fn path(&self) -> &Path {
        Path::new("keyring.json")
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.to_vec()))
    }

    fn replace(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// Of a keyring that somebody else wrote only such data keys are taken as the holder of the master key has wrapped, as what
/// they were wrapped as, each once.
///
/// # Panics
/// When others are.
pub fn keyring(octets: &[u8]) {
    static OURS: OnceLock<Vec<DataKey>> = OnceLock::new();
    let master = master();
    let read = |octets: &[u8]| keyring::read(&Octets(octets), &master);
    let ours = OURS.get_or_init(|| {
        let ours = read(KEYRING.as_bytes()).expect("the seed is a keyring");
        ours.expect("there is one")
    });
    let Ok(Some(keys)) = read(octets) else { return };
    assert!(keys.is_sorted_by(|one, other| one.id < other.id));
    for key in keys {
        let same = ours.iter().find(|known| known.id == key.id);
        let known = same.expect("no other key opens under the master key");
        assert_eq!((key.cipher, key.created), (known.cipher, known.created));
        assert!(key.secret == known.secret);
    }
}

/// A body that opens is the one that was sealed for this message and part.
///
/// # Panics
/// When another one opens.
pub fn sealed_body(octets: &[u8]) {
    let Ok(id) = sealed::key_id(octets) else { return };
    for cipher in Cipher::ALL {
        let keyed = Keyed::new(cipher, &Zeroizing::new([9; 32]));
        if let Ok(plain) = sealed::open(id, &keyed, NAME, octets.to_vec()) {
            assert_eq!(plain, PLAIN);
        }
        let elsewhere = BodyName { part: 4, ..NAME };
        assert!(sealed::open(id, &keyed, elsewhere, octets.to_vec()).is_err());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_seeds_open() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/sealed_body");
        for cipher in Cipher::ALL {
            let octets = fs::read(seeds.join(cipher.name())).unwrap();
            let opened = sealed::open(1, &Keyed::new(cipher, &[9; 32]), NAME, octets).unwrap();
            assert_eq!(opened, PLAIN);
        }
    }
}
