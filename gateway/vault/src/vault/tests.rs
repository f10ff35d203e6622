use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

const NAME: BodyName = BodyName {
    message: [7; 16],
    part: 1,
};

fn master(dir: &Path, name: &str) -> MasterKey {
    let path = dir.join(name);
    if !path.exists() {
        MasterKey::generate().unwrap().write(&path).unwrap();
    }
    MasterKey::read(&path).unwrap()
}

/// A file that is not as careful as a real one must be.
#[derive(Debug)]
struct KeyringFile(PathBuf);

impl KeyringStore for KeyringFile {
    fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn replace(&self, octets: &[u8]) -> io::Result<()> {
        std::fs::write(&self.0, octets)
    }
}

fn keyring(dir: &Path) -> Box<KeyringFile> {
    Box::new(KeyringFile(dir.join("keyring.json")))
}

fn vault(dir: &Path, cipher: Cipher) -> Vault {
    open(keyring(dir), master(dir, "master"), cipher, 0, Timestamp::UNIX_EPOCH).unwrap()
}

fn open(
    store: Box<dyn KeyringStore>,
    master: MasterKey,
    cipher: Cipher,
    used: u32,
    now: Timestamp,
) -> Result<Vault, VaultError> {
    let keys = DataKeys::read(&*store, &master)?;
    Vault::open(store, master, keys, cipher, used, now)
}

fn newest(store: &dyn KeyringStore, master: &MasterKey) -> Option<u32> {
    DataKeys::read(store, master).unwrap().newest()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_sealed_opens_and_nothing_else_does(
        plain in proptest::collection::vec(any::<u8>(), 0..2000),
        at in any::<proptest::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        for cipher in Cipher::ALL {
            let vault = vault(dir.path(), cipher);
            let sealed = vault.seal(NAME, &plain).unwrap();
            prop_assert!(sealed.len() <= plain.len() + 40);
            prop_assert_eq!(vault.open_body(NAME, sealed.clone()).unwrap(), plain.clone());
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= flip;
            prop_assert!(vault.open_body(NAME, changed).is_err());
            prop_assert!(vault.open_body(NAME, sealed[..at.index(sealed.len())].to_vec()).is_err());
            for other in [BodyName { part: 2, ..NAME }, BodyName { message: [8; 16], ..NAME }] {
                prop_assert_eq!(vault.open_body(other, sealed.clone()), Err(OpenError::NotAuthentic));
            }
        }
    }
}

#[test]
fn the_plain_octets_are_not_in_the_sealed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let plain = b"a name and an address".repeat(20);
    for cipher in Cipher::ALL {
        let vault = vault(dir.path(), cipher);
        let (one, two) = (vault.seal(NAME, &plain).unwrap(), vault.seal(NAME, &plain).unwrap());
        assert_ne!(one, two);
        assert!(!one.windows(8).any(|octets| octets == &plain[..8]));
    }
}

#[test]
fn bodies_of_earlier_sessions_and_of_the_other_cipher_open() {
    let dir = tempfile::tempdir().unwrap();
    let sealed: Vec<Vec<u8>> = [Cipher::Aes256Gcm, Cipher::KuznyechikMgm, Cipher::Aes256Gcm]
        .map(|cipher| vault(dir.path(), cipher).seal(NAME, b"body").unwrap())
        .into();
    let vault = vault(dir.path(), Cipher::KuznyechikMgm);
    assert_eq!(vault.current_key(), 4);
    for sealed in sealed {
        assert_eq!(vault.open_body(NAME, sealed).unwrap(), b"body");
    }
}

#[test]
fn another_master_key_is_told_apart_and_rotation_makes_it_the_one() {
    let dir = tempfile::tempdir().unwrap();
    let before = vault(dir.path(), Cipher::Aes256Gcm);
    let sealed = before.seal(NAME, b"body").unwrap();
    let (old, new) = (master(dir.path(), "master"), master(dir.path(), "another"));
    let (given, wanted) = (new.fingerprint(), old.fingerprint());
    let open = |master| open(keyring(dir.path()), master, Cipher::Aes256Gcm, 0, Timestamp::UNIX_EPOCH);
    let refused = open(master(dir.path(), "another")).unwrap_err();
    assert!(matches!(&refused, VaultError::WrongMaster { given: g, wanted: w, .. } if *g == given && *w == wanted));

    assert_eq!(before.rotate(new).unwrap(), wanted);
    assert!(matches!(open(old), Err(VaultError::WrongMaster { .. })));
    let new = master(dir.path(), "another");
    assert_eq!(newest(&*keyring(dir.path()), &new), Some(1));
    // Who rotated goes on with the new one.
    let later = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(25);
    assert_eq!(before.renew(later).unwrap(), Some(2));
    drop(before);
    assert_eq!(open(new).unwrap().open_body(NAME, sealed).unwrap(), b"body");
}

#[test]
fn no_new_key_gets_an_id_that_was_used() {
    let dir = tempfile::tempdir().unwrap();
    let master = || master(dir.path(), "master");
    assert_eq!(newest(&*keyring(dir.path()), &master()), None);
    let id_after = |used, hours| {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let vault = open(keyring(dir.path()), master(), Cipher::Aes256Gcm, used, now).unwrap();
        vault.current_key()
    };
    assert_eq!(id_after(7, 0), 8);
    assert_eq!(id_after(7, 0), 8, "it is young");
    assert_eq!(id_after(9, 0), 10);
    assert_eq!(id_after(10, 25), 11);
}

#[test]
fn a_changed_keyring_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    vault(dir.path(), Cipher::Aes256Gcm);
    let path = dir.path().join("keyring.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"id\": 1", "\"id\": 2"),
        ("\"format\": 1", "\"format\": 2"),
        ("aes-256-gcm", "kuznyechik-mgm"),
        ("1970-", "1971-"),
        ("\"wrapped\": \"", "\"wrapped\": \"AAAA"),
        ("{", ""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        std::fs::write(&path, changed).unwrap();
        let opened = open(
            keyring(dir.path()),
            master(dir.path(), "master"),
            Cipher::Aes256Gcm,
            0,
            Timestamp::UNIX_EPOCH,
        );
        assert!(matches!(opened, Err(VaultError::Damaged { .. })), "{from} -> {to}");
    }
}

#[test]
fn a_data_key_lasts_a_day_and_its_successor_is_on_the_keyring_first() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path(), Cipher::Aes256Gcm);
    let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
    assert_eq!(vault.renew(at(23)).unwrap(), None);
    assert_eq!(vault.renew(at(24)).unwrap(), Some(2));
    assert_eq!(vault.renew(at(47)).unwrap(), None);
    // A clock that was put back must not keep a key for ever.
    assert_eq!(vault.renew(at(-100)).unwrap(), Some(3));
    let path = dir.path().join("keyring.json");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(vault.renew(at(100)).is_err());
    let sealed = vault.seal(NAME, b"body").unwrap();
    assert_eq!(sealed::key_id(&sealed), Ok(3));
}

#[test]
fn an_unknown_data_key_is_named() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    vault(dirs[0].path(), Cipher::KuznyechikMgm);
    let sealed = vault(dirs[0].path(), Cipher::Aes256Gcm).seal(NAME, b"body").unwrap();
    let other = vault(dirs[1].path(), Cipher::Aes256Gcm);
    assert_eq!(other.open_body(NAME, sealed), Err(OpenError::UnknownKey(2)));
    assert_eq!(other.open_body(NAME, b"plain".to_vec()), Err(OpenError::Form));
}

/// A keyring that can be read and not be written.
#[derive(Debug)]
struct FullDisk(Box<KeyringFile>);

impl KeyringStore for FullDisk {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.read()
    }

    fn replace(&self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_full_disk_lets_the_present_data_key_go_on() {
    let dir = tempfile::tempdir().unwrap();
    drop(vault(dir.path(), Cipher::Aes256Gcm));
    let full = || Box::new(FullDisk(keyring(dir.path())));
    let master = || master(dir.path(), "master");
    let later = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(30);
    let vault = open(full(), master(), Cipher::Aes256Gcm, 1, later).unwrap();
    assert_eq!(vault.current_key(), 1);
    let sealed = vault.seal(NAME, b"body").unwrap();
    assert_eq!(vault.open_body(NAME, sealed).unwrap(), b"body");
    assert!(
        matches!(vault.renew(later), Err(VaultError::File { .. })),
        "it is tried again"
    );
    // Neither another cipher's key nor one that is known to be missing is gone on with.
    assert!(open(full(), master(), Cipher::KuznyechikMgm, 1, later).is_err());
    assert!(open(full(), master(), Cipher::Aes256Gcm, 2, later).is_err());
}
