//! What operators have brought to a halt: participants whose calls are refused, and queues out of which nothing is handed.
//!
//! Messages go on coming in and wait; what waits expires by its own terms. The marks are rows of the index, made by events
//! alone, and part of the registry's picture, so that doors and links see them without asking the writer. Only a person's word
//! or the participant's removal ends one.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::RegistryDiff;
use crate::error::IndexError;
use crate::event::Person;
use crate::keys::{self, Key};
use crate::message::Micros;
use crate::names::{Mnemonic, Queue};
use crate::state::{State, bad_row, decode};

/// Since when, by whom and why something stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Since when.
    pub since: Timestamp,
    /// Who said so.
    pub by: Person,
    /// The person's words.
    pub reason: String,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, by, reason } = self;
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "since {since} by {}: {reason}", by.name)
    }
}

/// Everything that stands still.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halts {
    /// Participants that are suspended.
    pub participants: BTreeMap<Mnemonic, Halt>,
    /// Queues that are paused.
    pub queues: BTreeMap<Queue, Halt>,
}

impl Halts {
    /// Why a participant's calls are refused, if they are.
    pub fn suspended(&self, participant: &Mnemonic) -> Option<&Halt> {
        self.participants.get(participant)
    }

    /// Why nothing is handed out of a queue, if nothing is.
    pub fn paused(&self, queue: &Queue) -> Option<&Halt> {
        self.queues.get(queue)
    }

    /// The rows say so.
    pub(crate) fn of(state: &State<'_>) -> Result<Self, IndexError> {
        let mut halts = Self::default();
        let prefix = Key::new(keys::HALT);
        for row in state.scan(&prefix, prefix.as_slice()) {
            let (key, value) = row?;
            let Row { at, by, reason } = decode(&key, &value)?;
            let since = at.timestamp();
            let halt = Halt { since, by, reason };
            let bad = || bad_row(&key);
            match keys::texts(&key, 0).as_deref() {
                Some([keys::PARTICIPANT, name]) => {
                    halts.participants.insert(name.parse().map_err(|_| bad())?, halt);
                }
                Some([keys::QUEUE, name]) => {
                    halts.queues.insert(name.parse().map_err(|_| bad())?, halt);
                }
                _ => return Err(bad()),
            }
        }
        Ok(halts)
    }
}

/// The row of a halt.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    at: Micros,
    by: Person,
    reason: String,
}

/// Something stands still from now on.
pub(crate) fn begin(state: &mut State<'_>, key: Key, at: Micros, by: &Person, reason: &str) {
    let row = Row {
        at,
        by: by.clone(),
        reason: reason.to_owned(),
    };
    state.put(key, &row);
}

/// With a participant that was removed go its marks: one that is registered under the name later begins without them.
pub(crate) fn forget_removed(state: &mut State<'_>, diff: &RegistryDiff) -> Result<(), IndexError> {
    let removed = diff.removed.iter().filter_map(|key| key.strip_prefix("participant "));
    let removed: Vec<Mnemonic> = removed.filter_map(|name| name.parse().ok()).collect();
    if removed.is_empty() {
        return Ok(());
    }
    let Halts { participants, queues } = Halts::of(state)?;
    for name in participants.keys().filter(|name| removed.contains(name)) {
        state.remove(keys::suspended(name));
    }
    for queue in queues
        .keys()
        .filter(|queue| queue.owner().is_some_and(|owner| removed.contains(owner)))
    {
        state.remove(keys::paused(queue));
    }
    Ok(())
}
