//! Participants and queues that a person brings to a halt, and lets go on.

use serde::{Deserialize, Serialize};

use super::Person;
use crate::names::{Mnemonic, Queue};

/// A person suspends a participant: its calls are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedParticipant {
    /// Which.
    pub participant: Mnemonic,
    /// Who.
    pub by: Person,
    /// The person's words.
    pub reason: String,
}

/// A person lets a participant call again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumedParticipant {
    /// Which.
    pub participant: Mnemonic,
    /// Who.
    pub by: Person,
}

/// A person pauses a queue: nothing is handed out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedQueue {
    /// Which.
    pub queue: Queue,
    /// Who.
    pub by: Person,
    /// The person's words.
    pub reason: String,
}

/// A person lets a queue's messages go again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumedQueue {
    /// Which.
    pub queue: Queue,
    /// Who.
    pub by: Person,
}
