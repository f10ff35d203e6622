//! What seals and opens bodies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use crate::cipher::{Cipher, Keyed};
use crate::error::{OpenError, SealError, VaultError};
use crate::keyring::{self, DataKey, DataKeys, KeyringStore};
use crate::master::MasterKey;
use crate::sealed;

/// How long a data key seals.
const EPOCH: SignedDuration = SignedDuration::from_hours(24);
/// Bodies that a data key seals at most, so that random nonces of 96 bits stay apart.
const MOST: u64 = 1 << 32;
/// A data key that has sealed so many is replaced at the next occasion.
const ENOUGH: u64 = MOST / 2;

/// Which body is sealed: what it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyName {
    /// Octets of the message's identifier.
    pub message: [u8; 16],
    /// Which part of the message.
    pub part: u16,
}

/// Seals bodies under the current data key and opens those of all epochs, from any number of threads.
pub struct Vault {
    store: Box<dyn KeyringStore>,
    cipher: Cipher,
    keys: RwLock<Keys>,
}

struct Keys {
    master: MasterKey,
    by_id: BTreeMap<u32, Arc<Usable>>,
    current: Arc<Usable>,
}

struct Usable {
    key: DataKey,
    keyed: Keyed,
    /// Bodies sealed by this process.
    sealed: AtomicU64,
}

impl Usable {
    fn new(key: DataKey) -> Arc<Self> {
        let keyed = Keyed::new(key.cipher, &key.secret);
        let sealed = AtomicU64::new(0);
        Arc::new(Self { key, keyed, sealed })
    }

    fn is_young(&self, now: Timestamp) -> bool {
        now.duration_since(self.key.created).abs() < EPOCH
    }
}

impl Vault {
    /// Goes on with the data keys of a keyring, or makes one; from now on bodies are sealed with `cipher`, under the newest data
    /// key while it is young, so that restarts do not make many. How much it has sealed is not known then, but no gateway
    /// seals 2^32 bodies in an epoch. A new one that is due and cannot be kept, as on a full disk, is left to
    /// [`renew`](Self::renew): the present one goes on. Nobody else may have the keyring open: the caller holds a lock.
    ///
    /// `used` is the highest id of a data key that bodies are known to be sealed under: no new key gets an id up to it.
    ///
    /// # Errors
    /// [`VaultError`] if the keyring cannot be written and there is no data key to go on with.
    pub fn open(
        store: Box<dyn KeyringStore>,
        master: MasterKey,
        keys: DataKeys,
        cipher: Cipher,
        used: u32,
        now: Timestamp,
    ) -> Result<Self, VaultError> {
        let mut by_id: BTreeMap<u32, Arc<Usable>> = keys.0.into_iter().map(|key| (key.id, Usable::new(key))).collect();
        let newest = by_id.last_key_value().map(|(_, newest)| Arc::clone(newest));
        let usable = newest.filter(|newest| newest.key.cipher == cipher && newest.key.id >= used);
        let current = match usable {
            Some(newest) if newest.is_young(now) => newest,
            usable => match (add_key(&*store, &master, cipher, &mut by_id, used, now), usable) {
                (Err(VaultError::File { .. }), Some(newest)) => newest,
                (added, _) => added?,
            },
        };
        let keys = Keys { master, by_id, current };
        Ok(Self {
            store,
            cipher,
            keys: RwLock::new(keys),
        })
    }

    /// Wraps the data keys under another master key; no body is touched. Tells the fingerprint of the one before.
    ///
    /// # Errors
    /// [`VaultError`]; the old master key is the one that holds then, or, if only the last sync failed, either.
    pub fn rotate(&self, master: MasterKey) -> Result<String, VaultError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keyring::write(&*self.store, &master, keys.by_id.values().map(|known| &known.key))?;
        Ok(std::mem::replace(&mut keys.master, master).fingerprint())
    }

    /// The cipher of new bodies.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The id of the current data key.
    #[must_use]
    pub fn current_key(&self) -> u32 {
        self.current().key.id
    }

    /// Seals a body; the result is longer by at most 40 octets.
    ///
    /// # Errors
    /// [`SealError`]; the body must not be stored in the open instead.
    pub fn seal(&self, name: BodyName, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let current = self.current();
        if current.sealed.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(SealError::UsedUp);
        }
        sealed::seal(current.key.id, &current.keyed, name, plain)
    }

    /// Opens a sealed body.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_body(&self, name: BodyName, sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        let id = sealed::key_id(&sealed)?;
        let key = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.by_id.get(&id).map(Arc::clone)
        };
        let key = key.ok_or(OpenError::UnknownKey(id))?;
        sealed::open(id, &key.keyed, name, sealed)
    }

    /// Brings a new data key if the current one is old or has sealed much; to be called every few minutes. Tells the new
    /// key's id.
    ///
    /// # Errors
    /// [`VaultError`] if the keyring cannot be written: the current key goes on until it is used up.
    pub fn renew(&self, now: Timestamp) -> Result<Option<u32>, VaultError> {
        let current = self.current();
        if current.is_young(now) && current.sealed.load(Ordering::Relaxed) < ENOUGH {
            return Ok(None);
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Keys { master, by_id, current } = &mut *keys;
        *current = add_key(&*self.store, master, self.cipher, by_id, 0, now)?;
        Ok(Some(current.key.id))
    }

    fn current(&self) -> Arc<Usable> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys.current)
    }
}

/// A new data key, on stable storage before it is used.
fn add_key(
    store: &dyn KeyringStore,
    master: &MasterKey,
    cipher: Cipher,
    by_id: &mut BTreeMap<u32, Arc<Usable>>,
    used: u32,
    now: Timestamp,
) -> Result<Arc<Usable>, VaultError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut()).map_err(|error| VaultError::Entropy(error.to_string()))?;
    let last = by_id.last_key_value().map_or(0, |(id, _)| *id);
    let key = Usable::new(DataKey {
        id: last.max(used) + 1,
        cipher,
        created: now,
        secret,
    });
    keyring::write(store, master, by_id.values().map(|known| &known.key).chain([&key.key]))?;
    by_id.insert(key.key.id, Arc::clone(&key));
    Ok(key)
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("keyring", &self.store)
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
