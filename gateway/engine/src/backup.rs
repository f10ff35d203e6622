//! What the engine does for a backup: it says up to where all is durable, keeps the files that make that up in their place
//! while they are copied, and vouches for the manifest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::keys;
use crate::message::Micros;
use crate::state::State as Rows;

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

/// The row of the newest backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastBackup {
    /// When the journal told of it.
    pub(crate) at: Micros,
    /// The last record that it has.
    pub(crate) through: u64,
}

/// The newest backup that was made of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDone {
    /// When it was complete.
    pub at: Timestamp,
    /// The last record of the journal that it has.
    pub through: u64,
}

/// The newest backup, if one was ever made.
pub(crate) fn last(rows: &Rows<'_>) -> Result<Option<BackupDone>, IndexError> {
    let last: Option<LastBackup> = rows.get(&keys::backed_up())?;
    Ok(last.map(|last| BackupDone {
        at: last.at.timestamp(),
        through: last.through,
    }))
}

/// The octets that are signed for a manifest with this digest (hexadecimal), after hashing with the algorithm of the key. The
/// first line tells them from everything else that the key signs.
pub fn manifest_text(digest: &str) -> Vec<u8> {
    format!("rsmev backup manifest\n{digest}\n").into_bytes()
}

/// Who needs files to stay where they are.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    open: BTreeMap<u64, Hold>,
}

#[derive(Debug)]
struct Hold {
    until: Instant,
    /// The last record of the backup.
    through: u64,
}

impl Holds {
    /// Begins one for a backup that ends with a record; returns its number.
    pub(crate) fn begin(&self, through: u64) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let (number, until) = (state.last, Instant::now() + HOLD);
        state.open.insert(number, Hold { until, through });
        number
    }

    /// The last record of the backup that has this hold, if it has not run out.
    pub(crate) fn through(&self, number: u64) -> Option<u64> {
        let (state, now) = (self.lock(), Instant::now());
        let hold = state.open.get(&number).filter(|hold| hold.until > now);
        hold.map(|hold| hold.through)
    }

    /// Goes on with one; false if it has run out.
    pub(crate) fn renew(&self, number: u64) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        match state.open.get_mut(&number).filter(|hold| hold.until > now) {
            Some(hold) => {
                hold.until = now + HOLD;
                true
            }
            None => false,
        }
    }

    pub(crate) fn end(&self, number: u64) {
        self.lock().open.remove(&number);
    }

    /// Whether there is one.
    pub(crate) fn any(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        state.open.retain(|_, hold| hold.until > now);
        !state.open.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_knows_its_backup_until_it_ends() {
        let holds = Holds::default();
        let (one, other) = (holds.begin(7), holds.begin(9));
        assert_eq!((holds.through(one), holds.through(other)), (Some(7), Some(9)));
        holds.end(one);
        assert_eq!((holds.through(one), holds.renew(one), holds.any()), (None, false, true));
        holds.end(other);
        assert!(!holds.any());
    }
}
