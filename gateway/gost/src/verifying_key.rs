//! Public keys with their tables, and a bounded cache of them.

use crate::group::KeyTable;
use crate::public_key::PublicKey;
use crate::signature::SignatureError;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A public key with the multiples that make verification fast: 8 KB for 256 bits, 32 KB for 512.
pub struct VerifyingKey {
    public_key: PublicKey,
    table: Box<dyn KeyTable>,
}

impl VerifyingKey {
    pub(crate) fn new(public_key: PublicKey) -> Self {
        let table = public_key
            .curve()
            .group()
            .table(public_key.point())
            .expect("a public key is a point that has been checked");
        Self { public_key, table }
    }

    /// The key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Checks a signature of a digest.
    ///
    /// # Errors
    /// [`SignatureError`] unless the signature is this key's for this digest.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.public_key.check_lengths(digest, signature)?;
        if self.table.verify(digest, signature) {
            Ok(())
        } else {
            Err(SignatureError::Invalid)
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyingKey").field(&self.public_key).finish()
    }
}

/// The tables of the keys used last, at most as many as the capacity; shared by all threads.
///
/// When it is full, the key that was not asked for the longest goes. Meant for keys of *registered* certificates: what a
/// stranger sends should be verified with [`PublicKey::verify`], which leaves no trace here.
#[derive(Debug)]
pub struct VerifyingKeys {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    keys: HashMap<PublicKey, Entry>,
    /// Counts the look-ups; an entry's mark is the count at its last one.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    key: Arc<VerifyingKey>,
    last_used: u64,
}

impl VerifyingKeys {
    /// An empty cache for at most `capacity` keys; it holds one even if that is zero.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::default(),
        }
    }

    /// The table of a key, from the cache or computed now. Two threads that miss at once both compute; one result is
    /// kept.
    #[must_use]
    pub fn get(&self, key: &PublicKey) -> Arc<VerifyingKey> {
        if let Some(found) = self.locked().find(key) {
            return found;
        }
        let prepared = Arc::new(key.prepare());
        self.locked().keep(prepared, self.capacity)
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locked().keys.len()
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic elsewhere cannot leave the entries half-changed in a way that matters: at worst one is missing.
    fn locked(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn find(&mut self, key: &PublicKey) -> Option<Arc<VerifyingKey>> {
        self.clock += 1;
        let entry = self.keys.get_mut(key)?;
        entry.last_used = self.clock;
        Some(Arc::clone(&entry.key))
    }

    fn keep(&mut self, key: Arc<VerifyingKey>, capacity: usize) -> Arc<VerifyingKey> {
        if let Some(found) = self.find(key.public_key()) {
            return found;
        }
        if self.keys.len() >= capacity {
            let oldest = self
                .keys
                .iter()
                .min_by_key(|(_, entry)| entry.last_used)
                .map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.keys.remove(&oldest));
        }
        self.clock += 1;
        let entry = Entry {
            key: Arc::clone(&key),
            last_used: self.clock,
        };
        self.keys.insert(key.public_key().clone(), entry);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Curve, KeyAlgorithm, Signer, SoftwareKey};

    fn new_key() -> PublicKey {
        let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).expect("a new key");
        key.public_key().clone()
    }

    #[test]
    fn a_full_cache_drops_the_key_that_was_not_asked_for_the_longest() {
        let cache = VerifyingKeys::new(2);
        let (a, b, c) = (new_key(), new_key(), new_key());
        let first_a = cache.get(&a);
        let first_b = cache.get(&b);
        assert!(Arc::ptr_eq(&first_a, &cache.get(&a)));
        let first_c = cache.get(&c);
        assert_eq!(cache.len(), 2);
        assert!(Arc::ptr_eq(&first_a, &cache.get(&a)));
        assert!(Arc::ptr_eq(&first_c, &cache.get(&c)));
        assert!(!Arc::ptr_eq(&first_b, &cache.get(&b)));
        assert_eq!(cache.get(&b).public_key(), &b);
    }

    #[test]
    fn a_cache_for_nothing_still_answers() {
        let cache = VerifyingKeys::new(0);
        assert!(cache.is_empty());
        for key in [new_key(), new_key()] {
            assert_eq!(cache.get(&key).public_key(), &key);
            assert_eq!(cache.len(), 1);
        }
    }
}
