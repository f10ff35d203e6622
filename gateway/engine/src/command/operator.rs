//! What operators look at, decide and change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::halts::Halt;
use crate::names::{KindName, MessageId, Party, Queue};
use crate::registry::RegistryContent;

/// A decision about a quarantined message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuarantineDecision {
    /// Try again from the start of its lane or queue.
    Retry,
    /// Reject it; the sender gets a notice with this reason.
    Reject {
        /// The person's words, at most 500 characters.
        reason: String,
    },
}

/// A message in quarantine.
#[derive(Debug, Clone, Serialize)]
pub struct Quarantined {
    /// Inner key.
    pub seq: u64,
    /// The sender's identifier.
    pub message_id: MessageId,
    /// Who sent it.
    pub sender: Party,
    /// Where it was going.
    pub recipient: Option<Party>,
    /// Registered kind.
    pub kind: Option<KindName>,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub cause: String,
}

/// One queue in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct QueueStatus {
    /// Contract name.
    pub queue: Queue,
    /// Messages, handed-out ones included.
    pub messages: u64,
    /// Of these handed out and not yet acknowledged.
    pub leased: u64,
    /// Octets.
    pub bytes: u64,
    /// Acceptance time of the oldest.
    pub oldest: Option<Timestamp>,
    /// Why nothing is handed out of it, if it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Halt>,
    /// Why its owner cannot take anything, if that is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Halt>,
}

/// One waiting message as `queue show` lists it.
#[derive(Debug, Clone, Serialize)]
pub struct QueuedMessage {
    /// Inner key.
    pub seq: u64,
    /// Identifier.
    pub message_id: MessageId,
    /// Sender.
    pub sender: Party,
    /// Kind.
    pub kind: Option<KindName>,
    /// Accepted when.
    pub accepted_at: Timestamp,
    /// Size of all parts.
    pub bytes: u64,
    /// Handed out until.
    pub leased_until: Option<Timestamp>,
}

/// The cut of the journal that a person has taken note of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedCut {
    /// The last durable record that was known.
    pub known: u64,
    /// Where the journal ended.
    pub end: u64,
}

/// The clock that a person has said to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedClock {
    /// What it says.
    pub clock: Timestamp,
    /// The moment by which the gateway went until then, or the latest one in the journal.
    pub before: Timestamp,
}

/// A change of the registry: adds and replaces by key; removes what is absent only with `prune`.
#[derive(Debug, Clone)]
pub struct RegistryChange {
    /// What the files say.
    pub content: RegistryContent,
    /// Remove what is not in `content`.
    pub prune: bool,
    /// Certificates (DER) and schema files by Streebog-256 hex: stored before the event that names them.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// What a registry change did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryDiff {
    /// Keys, in words such as `participant MUN001`.
    pub added: Vec<String>,
    /// Replaced.
    pub changed: Vec<String>,
    /// Removed.
    pub removed: Vec<String>,
}
