//! Why something is not done: what doors map to their faults.

use jiff::Timestamp;

use super::AttachmentFault;
use crate::names::{KindName, MessageId, Mnemonic, Party, Queue};
use crate::registry::Direction;

/// A refusal: nothing was changed. Doors map it to their faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The same sender sent this identifier before and it was accepted.
    #[error("message {0} has already been sent")]
    AlreadySent(MessageId),
    /// Another sender used this identifier (an incident).
    #[error("message identifier {0} belongs to another sender")]
    ForeignId(MessageId),
    /// The identifier's time is too old or too far in the future.
    #[error("message identifier {id}: its time {time} is outside the allowed window")]
    StaleMessageId {
        /// The identifier.
        id: MessageId,
        /// Its time.
        time: Timestamp,
    },
    /// No such kind.
    #[error("no kind is registered for {{{namespace}}}{local}")]
    UnknownKind {
        /// Root namespace.
        namespace: String,
        /// Root local name.
        local: String,
    },
    /// The payload of an answer is registered as a request, or belongs to another kind than the request.
    #[error("{{{namespace}}}{local} is not an answer to this request")]
    IncorrectResponse {
        /// Root namespace.
        namespace: String,
        /// Root local name.
        local: String,
    },
    /// No grant.
    #[error("{party} may not {} kind {kind}", may_text(*.direction))]
    AccessDenied {
        /// Whose permission is missing.
        party: Party,
        /// For which kind.
        kind: KindName,
        /// For sending requests or for providing.
        direction: Direction,
    },
    /// No route, or the token leads nowhere.
    #[error("no recipient: {0}")]
    RecipientNotFound(String),
    /// The attached files cannot be delivered.
    #[error("{0}")]
    Attachments(AttachmentFault),
    /// Files in a file storage cannot be delivered locally yet.
    #[error("files outside the message cannot be delivered on a local route")]
    FileReferences,
    /// EOL has passed.
    #[error("end of life {0} has passed")]
    EndOfLife(Timestamp),
    /// The recipient's queue, or the sender's share of an upstream's queue, is full.
    #[error("queue {queue} is full: {limit}")]
    Overflow {
        /// Which.
        queue: Queue,
        /// The limit that was hit, in words.
        limit: String,
    },
    /// The selector's type is not registered, or the caller does not provide it.
    #[error("no queue for {{{namespace}}}{local} of {participant}")]
    UnknownMessageType {
        /// Root namespace.
        namespace: String,
        /// Root local name.
        local: String,
        /// The caller.
        participant: Mnemonic,
    },
    /// Nothing handed out under this identifier.
    #[error("message {0} is not among the unacknowledged")]
    TargetNotFound(MessageId),
    /// The gateway cannot keep its promises now (I9); the caller should retry.
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
}

impl Refusal {
    /// A short name for the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AlreadySent(_) => "already_sent",
            Self::ForeignId(_) => "foreign_id",
            Self::StaleMessageId { .. } => "stale_message_id",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::IncorrectResponse { .. } => "incorrect_response",
            Self::AccessDenied { .. } => "access_denied",
            Self::RecipientNotFound(_) => "recipient_not_found",
            Self::Attachments(_) => "attachments",
            Self::FileReferences => "file_references",
            Self::EndOfLife(_) => "end_of_life",
            Self::Overflow { .. } => "overflow",
            Self::UnknownMessageType { .. } => "unknown_message_type",
            Self::TargetNotFound(_) => "target_not_found",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

fn may_text(direction: Direction) -> &'static str {
    match direction {
        Direction::Request => "request",
        Direction::Response => "provide",
    }
}

/// A call of a recognised participant that a door refused.
#[derive(Debug, Clone)]
pub struct RefusedCall {
    /// Label of the door.
    pub door: &'static str,
    /// Who called.
    pub participant: Mnemonic,
    /// The operation, such as `SendRequest`.
    pub operation: &'static str,
    /// Name of the fault from the door's closed set.
    pub fault: &'static str,
    /// The identifier in the call, if it had a valid one.
    pub message_id: Option<MessageId>,
}
