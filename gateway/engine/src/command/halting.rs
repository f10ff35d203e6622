//! Bringing participants and queues to a halt, and letting them go on.

use crate::names::{Mnemonic, Queue};

/// What a person wants to stand still, or to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halting {
    /// A participant's calls are refused.
    Suspend {
        /// Which.
        participant: Mnemonic,
        /// The person's words, at most 500 characters.
        reason: String,
    },
    /// They are answered again.
    ResumeParticipant(Mnemonic),
    /// Nothing is handed out of a queue.
    Pause {
        /// Which.
        queue: Queue,
        /// The person's words, at most 500 characters.
        reason: String,
    },
    /// It is handed out again.
    ResumeQueue(Queue),
}
