//! What the engine does for a backup: it says up to where all is durable, keeps the files that make that up in their place
//! while they are copied, and vouches for the manifest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long files stay in their place for a backup that is not heard of again.
const HOLD: Duration = Duration::from_mins(10);

/// A moment of the store, all of it durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMark {
    /// Number of the hold on the files.
    pub hold: u64,
    /// The gateway's mnemonic.
    pub node: String,
    /// Sequence number of the last record.
    pub through: u64,
    /// Its digest, hexadecimal.
    pub digest: String,
    /// First record of the live journal segment.
    pub live_first: u64,
    /// Octets of the live journal segment up to here.
    pub live_bytes: u64,
    /// The live spool segment.
    pub spool_segment: u64,
    /// Octets of it up to here.
    pub spool_bytes: u64,
    /// The gateway's certificate (DER), hexadecimal.
    pub certificate: String,
}

/// A manifest that was vouched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMade {
    /// The last record that the backup has.
    pub through: u64,
    /// Streebog-256 of the manifest, hexadecimal.
    pub manifest: String,
    /// Files that the manifest names.
    pub files: u64,
    /// Their octets.
    pub bytes: u64,
}

/// The octets that are signed for a manifest with this digest (hexadecimal), after hashing with the algorithm of the key.
pub fn manifest_text(digest: &str) -> Vec<u8> {
    format!("rsmev backup manifest\n{digest}\n").into_bytes()
}

/// Who needs files to stay where they are.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<(u64, BTreeMap<u64, Instant>)>);

impl Holds {
    /// Begins one; returns its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.0 += 1;
        let number = state.0;
        state.1.insert(number, Instant::now() + HOLD);
        number
    }

    /// Goes on with one; false if it has run out.
    pub(crate) fn renew(&self, number: u64) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        match state.1.get_mut(&number).filter(|until| **until > now) {
            Some(until) => {
                *until = now + HOLD;
                true
            }
            None => false,
        }
    }

    pub(crate) fn end(&self, number: u64) {
        self.lock().1.remove(&number);
    }

    /// Whether there is one.
    pub(crate) fn any(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        state.1.retain(|_, until| *until > now);
        !state.1.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Instant>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
