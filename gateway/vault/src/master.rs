//! The master key: where it comes from, and what is derived from it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use streebog::Streebog256;
use zeroize::Zeroizing;

use crate::cipher::{Cipher, Keyed};
use crate::error::MasterKeyError;

/// Octets of the file: 64 hexadecimal digits and a line feed, with some room for spaces.
const LONGEST: u64 = 256;

/// 32 secret octets under which data keys are wrapped. Wiped from memory when dropped, and never shown.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`MasterKeyError::Entropy`].
    pub fn generate() -> Result<Self, MasterKeyError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).map_err(|error| MasterKeyError::Entropy(error.to_string()))?;
        Ok(Self(key))
    }

    /// The key with these octets.
    pub(crate) fn of(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The key in a file of 64 hexadecimal digits that only its owner may read. A file in the service's credential folder (systemd's
    /// `LoadCredential=`) may be readable to a group, because systemd gives access that way.
    ///
    /// # Errors
    /// [`MasterKeyError`] if it cannot be read, is open to others, or is no key.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |error| MasterKeyError::File {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        let closed_to = if is_credential(path) { 0o007 } else { 0o077 };
        if mode & closed_to != 0 {
            return Err(MasterKeyError::Permissions {
                path: path.to_owned(),
                mode,
            });
        }
        // With room for all of it, so that nothing is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize + 1));
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut()).map_err(|_| MasterKeyError::Form { path: path.to_owned() })?;
        Ok(Self(key))
    }

    /// Writes the key to a new file that only its owner may read, and syncs it.
    ///
    /// # Errors
    /// [`MasterKeyError::File`], also if there is such a file already: a key is never overwritten.
    pub fn write(&self, path: &Path) -> Result<(), MasterKeyError> {
        let mut text = Zeroizing::new([0; 65]);
        hex::encode_to_slice(self.0.as_ref(), &mut text[..64]).expect("two digits for each octet");
        text[64] = b'\n';
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            if let Err(error) = file.write_all(text.as_ref()).and_then(|()| file.sync_all()) {
                // A part of a key would only be in the way; if it cannot be removed, the next reader says so.
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| MasterKeyError::File {
            path: path.to_owned(),
            error,
        })
    }

    /// What tells this key from another one, and shows nothing of it: 16 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(&self.derive("rsmev master key", "fingerprint")[..8])
    }

    /// The key under which data keys of a cipher are wrapped.
    pub(crate) fn wrapping(&self, cipher: Cipher) -> Keyed {
        Keyed::new(cipher, &self.derive("rsmev data keys", cipher.name()))
    }

    /// KDF_GOSTR3411_2012_256 (RFC 7836, section 4.5).
    fn derive(&self, label: &str, seed: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.0, label.as_bytes(), seed.as_bytes())
    }
}

fn derive(key: &[u8; 32], label: &[u8], seed: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Streebog256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [&[1][..], label, &[0], seed, &[1, 0]] {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Whether the file lies where systemd puts a service's credentials.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(PathBuf::from(folder)))
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKey").field(&self.fingerprint()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7836, appendix B, KDF_GOSTR3411_2012_256.
    #[test]
    fn keys_are_derived_as_in_rfc_7836() {
        let key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let derived = derive(
            &key,
            &[0x26, 0xBD, 0xB8, 0x78],
            &hex::decode("af21434145656378").unwrap(),
        );
        let expected = "a1aa5f7de402d7b3d323f2991c8d4534013137010a83754fd0af6d7cd4922ed9";
        assert_eq!(hex::encode(*derived), expected);
    }

    #[test]
    fn a_written_key_is_read_again_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let key = MasterKey::generate().unwrap();
        key.write(&path).unwrap();
        assert_eq!(MasterKey::read(&path).unwrap().fingerprint(), key.fingerprint());
        assert!(matches!(
            MasterKey::generate().unwrap().write(&path),
            Err(MasterKeyError::File { .. })
        ));
        assert_eq!(MasterKey::read(&path).unwrap().fingerprint(), key.fingerprint());
        assert!(!format!("{key:?}").contains(&hex::encode(*key.0)[..8]));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::generate().unwrap().write(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(MasterKey::read(&path), Err(MasterKeyError::Permissions { .. })),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        assert!(matches!(MasterKey::read(&path), Err(MasterKeyError::File { .. })));
        for text in [
            "",
            "00",
            &"0".repeat(63),
            &"0".repeat(66),
            &"g".repeat(64),
            &"0".repeat(4000),
        ] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(
                matches!(MasterKey::read(&path), Err(MasterKeyError::Form { .. })),
                "{text:?}"
            );
        }
    }
}
