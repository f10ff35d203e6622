//! What happened in a life, and what was promised in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journal::Record;
use testdisk::Recording;

use crate::command::ForwardOutcome;
use crate::event::{Decided, Event};
use crate::names::MessageId;
use crate::testing::Running;

/// A message as it was offered: its parts by number, and its exchange note.
pub(super) type Offered = (Vec<(u16, Vec<u8>)>, Option<Vec<u8>>);

/// A life after its end.
pub(super) struct Story {
    pub(super) running: Running,
    pub(super) recording: Recording,
    /// The whole journal.
    pub(super) records: Vec<Record>,
    /// Everything that was ever offered, accepted or not.
    pub(super) offered: BTreeMap<MessageId, Offered>,
    /// What was answered, and where the recording stood then.
    pub(super) promises: Vec<(usize, Promise)>,
    /// Copies of the index, and where the recording stood then.
    pub(super) indexes: Vec<(usize, PathBuf)>,
    /// Records up to which were destroyed, and where the recording stood before that was approved.
    pub(super) destroyed: Vec<(usize, u64)>,
    /// Where the copies lie, and the data directory of the engine's index.
    pub(super) _dirs: Vec<tempfile::TempDir>,
}

/// What an answer promised: an event in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    /// This message was accepted as this record.
    Accepted(u64, MessageId),
    HandedOut(u64),
    Acknowledged(u64),
    Started(u64, MessageId),
    Outcome(u64),
    Decided(u64),
    AcknowledgedUpstream(MessageId),
    Registry,
    Incident,
}

impl Promise {
    /// What a record promises, if it is of that kind.
    pub(super) fn of(seq: u64, event: &Event) -> Option<Self> {
        Some(match event {
            Event::Accepted(accepted) => Self::Accepted(seq, accepted.sent.id),
            Event::HandedOut { message, .. } => Self::HandedOut(*message),
            Event::Acknowledged { message, .. } => Self::Acknowledged(*message),
            Event::ForwardStarted { message, id } => Self::Started(*message, *id),
            Event::ForwardOutcome { message, .. } => Self::Outcome(*message),
            Event::Decided { message, .. } => Self::Decided(*message),
            Event::UpstreamAcknowledged { id, .. } => Self::AcknowledgedUpstream(*id),
            Event::Registry { .. } => Self::Registry,
            Event::Incident { kind, .. } if kind == "test" => Self::Incident,
            _ => return None,
        })
    }
}

impl Story {
    /// The index copied last before a cut, an older one, or none.
    pub(super) fn index_at(&self, cut: usize, age: usize) -> Option<&Path> {
        let there = self.indexes.iter().filter(|(at, _)| *at <= cut);
        let newest_first: Vec<_> = there.map(|(_, path)| path.as_path()).rev().collect();
        newest_first.get(age).copied()
    }

    /// How many records a crash at a cut must leave: up to the last one that was promised. Each promise is kept by a record
    /// of its own, in the order in which they were given.
    pub(super) fn promised(&self, cut: usize) -> usize {
        let mut kept = Vec::new();
        for (place, record) in self.records.iter().enumerate() {
            kept.extend(Promise::of(record.seq, &read(record)).map(|promise| (promise, place + 1)));
        }
        let mut needed = 0;
        for (_, promise) in self.promises.iter().filter(|(at, _)| *at <= cut) {
            let found = kept.iter().position(|(other, _)| other == promise);
            let found = found.unwrap_or_else(|| panic!("{promise:?} is not in the journal"));
            needed = needed.max(kept.remove(found).1);
        }
        needed
    }
}

pub(super) fn read(record: &Record) -> Event {
    serde_json::from_str(record.event.get()).unwrap()
}

/// Whether an event ends a message for good.
pub(super) fn ends(event: &Event) -> Option<u64> {
    match event {
        Event::Acknowledged { message, .. } | Event::Expired { message } | Event::SchemaRejected { message } => {
            Some(*message)
        }
        Event::HandedOut { message, until: None } => Some(*message),
        Event::ForwardOutcome { message, outcome } => {
            use ForwardOutcome::{Accepted, AlreadySent, Rejected};
            matches!(outcome, Accepted | AlreadySent | Rejected { .. }).then_some(*message)
        }
        Event::Decided {
            message,
            decision: Decided::Reject { .. },
            ..
        } => Some(*message),
        _ => None,
    }
}
