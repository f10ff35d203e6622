//! The file of wrapped data keys. It is replaced as a whole: written beside, synced, renamed, the folder synced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cipher::{Cipher, MAX_NONCE, TAG};
use crate::error::VaultError;
use crate::master::MasterKey;

const FORMAT: u32 = 1;
/// Octets of the largest file that is read: tens of thousands of keys.
const LONGEST: u64 = 16 << 20;

/// A data key as it is used.
pub(crate) struct DataKey {
    pub(crate) id: u32,
    pub(crate) cipher: Cipher,
    pub(crate) created: Timestamp,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    /// Fingerprint of the master key.
    master: String,
    keys: Vec<Wrapped>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    id: u32,
    cipher: Cipher,
    created: Timestamp,
    /// Nonce, ciphertext and tag in base64.
    wrapped: String,
}

/// Where the data keys are kept.
#[derive(Debug, Clone)]
pub(crate) struct Keyring {
    path: PathBuf,
}

impl Keyring {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("keyring.json"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The data keys, oldest first; `None` if there is no keyring yet.
    pub(crate) fn read(&self, master: &MasterKey) -> Result<Option<Vec<DataKey>>, VaultError> {
        let mut text = String::new();
        match File::open(&self.path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        }
        let stored: Stored = serde_json::from_str(&text).map_err(|error| self.damaged(error.to_string()))?;
        if stored.format != FORMAT {
            return Err(self.damaged(format!("format {} where {FORMAT} is known", stored.format)));
        }
        let given = master.fingerprint();
        if stored.master != given {
            return Err(VaultError::WrongMaster {
                path: self.path.clone(),
                given,
                wanted: stored.master,
            });
        }
        let keys = stored.keys.iter().map(|key| {
            let damaged = || self.damaged(format!("data key {} does not open under the master key", key.id));
            unwrap(master, key).ok_or_else(damaged)
        });
        let keys: Vec<DataKey> = keys.collect::<Result<_, _>>()?;
        if !keys.is_sorted_by(|a, b| a.id < b.id) {
            return Err(self.damaged("the data keys are not in the order of their ids".to_owned()));
        }
        Ok(Some(keys))
    }

    /// Replaces the file; when this returns `Ok`, the keys are on stable storage.
    pub(crate) fn write<'k>(
        &self,
        master: &MasterKey,
        keys: impl Iterator<Item = &'k DataKey>,
    ) -> Result<(), VaultError> {
        let stored = Stored {
            format: FORMAT,
            master: master.fingerprint(),
            keys: keys.map(|key| wrap(master, key)).collect::<Result<_, _>>()?,
        };
        let mut text = serde_json::to_vec_pretty(&stored).expect("plain data");
        text.push(b'\n');
        self.replace(&text).map_err(|error| self.failed(error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        if !dir.is_dir() {
            DirBuilder::new().mode(0o700).create(dir)?;
            File::open(dir.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        File::open(dir)?.sync_all()
    }

    fn failed(&self, error: io::Error) -> VaultError {
        VaultError::File {
            path: self.path.clone(),
            error,
        }
    }

    fn damaged(&self, what: String) -> VaultError {
        VaultError::Damaged {
            path: self.path.clone(),
            what,
        }
    }
}

/// A wrapped key is bound to what stands beside it.
fn associated(id: u32, cipher: Cipher, created: Timestamp) -> String {
    format!("rsmev data key {id} {cipher} {created}")
}

fn wrap(master: &MasterKey, key: &DataKey) -> Result<Wrapped, VaultError> {
    let wrapping = master.wrapping(key.cipher);
    let mut room = [0; MAX_NONCE];
    let nonce = wrapping
        .nonce(&mut room)
        .map_err(|error| VaultError::Entropy(error.to_string()))?;
    let mut octets = Zeroizing::new([nonce, key.secret.as_ref()].concat());
    let associated = associated(key.id, key.cipher, key.created);
    let tag = wrapping.encrypt(nonce, associated.as_bytes(), &mut octets[nonce.len()..]);
    Ok(Wrapped {
        id: key.id,
        cipher: key.cipher,
        created: key.created,
        wrapped: BASE64_STANDARD.encode([octets.as_slice(), &tag].concat()),
    })
}

fn unwrap(master: &MasterKey, key: &Wrapped) -> Option<DataKey> {
    let wrapping = master.wrapping(key.cipher);
    let octets = BASE64_STANDARD.decode(&key.wrapped).ok()?;
    let (nonce, rest) = octets.split_at_checked(key.cipher.nonce_len())?;
    let (octets, tag) = rest.split_first_chunk::<32>()?;
    let tag: &[u8; TAG] = tag.try_into().ok()?;
    let mut secret = Zeroizing::new(*octets);
    let associated = associated(key.id, key.cipher, key.created);
    wrapping
        .decrypt(nonce, associated.as_bytes(), secret.as_mut(), tag)
        .ok()?;
    Some(DataKey {
        id: key.id,
        cipher: key.cipher,
        created: key.created,
        secret,
    })
}
