//! Why something is not done: what doors map to their faults.

use std::net::IpAddr;

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
    /// Nobody can be given the message.
    #[error("no recipient: {0}")]
    RecipientNotFound(#[from] NoRecipient),
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
        /// The limit that was hit.
        limit: QueueLimit,
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
    /// An operator has suspended the caller. Why is the operators' business.
    #[error("{0} is suspended")]
    Suspended(Mnemonic),
    /// The gateway cannot keep its promises now (I9); the caller should retry. The words are for the log.
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
    /// This cannot be done to the message as it stands; told to operators and `forward` only.
    #[error("message {seq} {standing}")]
    Standing {
        /// The message's inner key.
        seq: u64,
        /// How it stands.
        standing: Standing,
    },
    /// The journal has no cut that nobody has taken note of; told to operators only.
    #[error("the journal has no cut to take note of")]
    NoCut,
    /// Why something that keeps the journal cannot be done; told to operators only.
    #[error("{0}")]
    NotDone(String),
    /// What was pulled from an upstream still has no place; told to operators only.
    #[error("{0}")]
    Unplaced(String),
}

/// Why there is nobody to give a message to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecipient {
    /// No route of the kind has a condition that holds.
    #[error("no route for kind {0}")]
    NoRoute(KindName),
    /// The route leads to a participant that is not registered.
    #[error("participant {0} is not registered")]
    NotRegistered(Mnemonic),
    /// The route leads out of the region, and the kind must stay in it.
    #[error("kind {0} never leaves the region")]
    LocalKind(KindName),
    /// The route leads to the gateway itself.
    #[error("the gateway does not take requests of kind {0}")]
    Gateway(KindName),
    /// The answer's token is not that of a request which its sender was handed and may answer.
    #[error("the token leads nowhere")]
    UnknownToken,
    /// The request has its final answer.
    #[error("the request is already answered")]
    Answered,
    /// Only a bus tells what became of a message.
    #[error("a participant does not send notices")]
    Notice,
}

/// A quota (DESIGN §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueLimit {
    /// `limits.queue_messages`
    #[error("it may hold {0} messages")]
    Messages(u64),
    /// `limits.queue_bytes`
    #[error("it may hold {0} octets")]
    Octets(u64),
}

/// How a message stands, as far as it forbids something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Standing {
    /// There is no such message.
    #[error("is not known")]
    Unknown,
    /// Only what is in quarantine can be tried again.
    #[error("is not in quarantine")]
    NotQuarantined,
    /// An attempt upstream was begun.
    #[error("may have been sent upstream already")]
    MaybeSent,
    /// Its receiver has it.
    #[error("is handed out")]
    HandedOut,
    /// Nothing can happen to it any more.
    #[error("has ended")]
    Ended,
    /// It is in no lane.
    #[error("does not wait for an upstream")]
    NotForwarded,
}

impl Refusal {
    /// A stable word for the reason; the journal keeps it beside the door's name for the fault (`docs/refusals.md`).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AlreadySent(_) => "already_sent",
            Self::ForeignId(_) => "foreign_id",
            Self::StaleMessageId { .. } => "stale_id",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::IncorrectResponse { .. } => "not_an_answer",
            Self::AccessDenied {
                direction: Direction::Request,
                ..
            } => "sender_without_grant",
            Self::AccessDenied {
                direction: Direction::Response,
                ..
            } => "recipient_without_grant",
            Self::RecipientNotFound(why) => why.reason(),
            Self::Attachments(fault) => fault.reason(),
            Self::FileReferences => "file_references",
            Self::EndOfLife(_) => "end_of_life",
            Self::Overflow {
                limit: QueueLimit::Messages(_),
                ..
            } => "queue_messages",
            Self::Overflow {
                limit: QueueLimit::Octets(_),
                ..
            } => "queue_bytes",
            Self::UnknownMessageType { .. } => "unknown_message_type",
            Self::TargetNotFound(_) => "target_not_found",
            Self::Suspended(_) => "suspended",
            Self::Unavailable(_) => "unavailable",
            Self::Standing { .. } => "standing",
            Self::NoCut => "no_cut",
            Self::NotDone(_) => "not_done",
            Self::Unplaced(_) => "unplaced",
        }
    }
}

impl NoRecipient {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoRoute(_) => "no_route",
            Self::NotRegistered(_) => "recipient_not_registered",
            Self::LocalKind(_) => "local_kind",
            Self::Gateway(_) => "route_to_gateway",
            Self::UnknownToken => "unknown_token",
            Self::Answered => "already_answered",
            Self::Notice => "notice",
        }
    }
}

impl AttachmentFault {
    /// A stable word for the reason, as [`Refusal::reason`].
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooMany { .. } => "attachments_number",
            Self::ManyLists => "attachments_lists",
            Self::Count { .. } => "attachments_count",
            Self::Unnamed => "attachment_unnamed",
            Self::Mismatch => "attachments_mismatch",
            Self::Empty => "attachment_empty",
            Self::PartMissing | Self::PartRepeated => "attachment_part",
            Self::Encoding => "attachment_encoding",
            Self::TooLarge { .. } => "attachments_size",
        }
    }
}

fn may_text(direction: Direction) -> &'static str {
    match direction {
        Direction::Request => "request",
        Direction::Response => "provide",
    }
}

/// A call under the name of a participant that was refused, for the journal.
#[derive(Debug, Clone)]
pub struct RefusedCall {
    /// Label of the door.
    pub door: &'static str,
    /// Who called; if the call was not [verified](Self::verified), who it claims to be.
    pub participant: Mnemonic,
    /// Whether the participant's signature was verified: anybody can send another's certificate, which is public.
    pub verified: bool,
    /// The peer's address.
    pub address: IpAddr,
    /// The operation by the door's name for it, such as `SendRequest`; `unknown` if the call names none.
    pub operation: &'static str,
    /// Name of the fault from the door's closed set, such as `AccessDenied`.
    pub fault: &'static str,
    /// The reason in one word, from a closed set: [`Refusal::reason`], or the door's own.
    pub reason: &'static str,
    /// The identifier in the call, if it had a valid one.
    pub message_id: Option<MessageId>,
}
