//! The wrapped data keys: JSON, read and replaced as a whole.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cipher::{Cipher, Keyed, MAX_NONCE, TAG};
use crate::error::VaultError;
use crate::master::MasterKey;

const FORMAT: u32 = 1;

/// Where a keyring is kept.
pub trait KeyringStore: Send + Sync + fmt::Debug {
    /// The file, for messages.
    fn path(&self) -> &Path;

    /// Its octets; none if there is no keyring.
    ///
    /// # Errors
    /// The file cannot be read.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces it as a whole; when this returns `Ok`, the new one is on stable storage.
    ///
    /// # Errors
    /// The file cannot be written; the old one is what is there, or, if only the last sync failed, either.
    fn replace(&self, octets: &[u8]) -> io::Result<()>;
}

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

/// The data keys of a keyring, oldest first.
#[derive(Default)]
pub struct DataKeys(pub(crate) Vec<DataKey>);

impl DataKeys {
    /// Reads a keyring under its master key; one that is not there has none.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read, is damaged, or belongs to another master key.
    pub fn read(store: &dyn KeyringStore, master: &MasterKey) -> Result<Self, VaultError> {
        Ok(Self(read(store, master)?.unwrap_or_default()))
    }

    /// The highest id, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.0.last().map(|key| key.id)
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|key| key.id);
        f.debug_list().entries(ids).finish()
    }
}

/// What wraps the data keys of each cipher: derived once for all of them.
struct Wrapping([Keyed; Cipher::ALL.len()]);

impl Wrapping {
    fn of(master: &MasterKey) -> Self {
        Self(Cipher::ALL.map(|cipher| master.wrapping(cipher)))
    }

    fn of_cipher(&self, cipher: Cipher) -> &Keyed {
        let [aes, kuznyechik] = &self.0;
        match cipher {
            Cipher::Aes256Gcm => aes,
            Cipher::KuznyechikMgm => kuznyechik,
        }
    }
}

/// The data keys, oldest first; `None` if there is no keyring yet.
pub(crate) fn read(store: &dyn KeyringStore, master: &MasterKey) -> Result<Option<Vec<DataKey>>, VaultError> {
    let Some(text) = store.read().map_err(|error| failed(store, error))? else {
        return Ok(None);
    };
    let stored: Stored = serde_json::from_slice(&text).map_err(|error| damaged(store, error.to_string()))?;
    if stored.format != FORMAT {
        return Err(damaged(
            store,
            format!("format {} where {FORMAT} is known", stored.format),
        ));
    }
    let given = master.fingerprint();
    if stored.master != given {
        return Err(VaultError::WrongMaster {
            path: store.path().to_owned(),
            given,
            wanted: stored.master,
        });
    }
    let wrapping = Wrapping::of(master);
    let keys = stored.keys.iter().map(|key| {
        let damaged = || damaged(store, format!("data key {} does not open under the master key", key.id));
        unwrap(&wrapping, key).ok_or_else(damaged)
    });
    let keys: Vec<DataKey> = keys.collect::<Result<_, _>>()?;
    if !keys.is_sorted_by(|a, b| a.id < b.id) {
        return Err(damaged(
            store,
            "the data keys are not in the order of their ids".to_owned(),
        ));
    }
    Ok(Some(keys))
}

/// Replaces the file; when this returns `Ok`, the keys are on stable storage.
pub(crate) fn write<'k>(
    store: &dyn KeyringStore,
    master: &MasterKey,
    keys: impl Iterator<Item = &'k DataKey>,
) -> Result<(), VaultError> {
    let wrapping = Wrapping::of(master);
    let stored = Stored {
        format: FORMAT,
        master: master.fingerprint(),
        keys: keys.map(|key| wrap(&wrapping, key)).collect::<Result<_, _>>()?,
    };
    let mut text = serde_json::to_vec_pretty(&stored).expect("plain data");
    text.push(b'\n');
    store.replace(&text).map_err(|error| failed(store, error))
}

fn failed(store: &dyn KeyringStore, error: io::Error) -> VaultError {
    VaultError::File {
        path: store.path().to_owned(),
        error,
    }
}

fn damaged(store: &dyn KeyringStore, what: String) -> VaultError {
    VaultError::Damaged {
        path: store.path().to_owned(),
        what,
    }
}

/// A wrapped key is bound to what stands beside it.
fn associated(id: u32, cipher: Cipher, created: Timestamp) -> String {
    format!("rsmev data key {id} {cipher} {created}")
}

fn wrap(wrapping: &Wrapping, key: &DataKey) -> Result<Wrapped, VaultError> {
    let wrapping = wrapping.of_cipher(key.cipher);
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

fn unwrap(wrapping: &Wrapping, key: &Wrapped) -> Option<DataKey> {
    let wrapping = wrapping.of_cipher(key.cipher);
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
