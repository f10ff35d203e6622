//! What doors and adapters hand in: messages that want to be accepted, and what became of them.

use std::collections::BTreeMap;

use gost::CertificateId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::names::{KindName, MessageId, NodeId, Party};

/// One body of a message: what a door wants kept. Number 0 is the door's own envelope, attachments follow from 1.
#[derive(Debug, Clone)]
pub struct Part {
    /// 0 for the envelope, attachments from 1.
    pub number: u16,
    /// The octets, opaque to the engine.
    pub octets: Vec<u8>,
}

/// What proves authorship after the body is gone (DESIGN §4); it is part of the accept or Ack event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The certificate that the signature verified under.
    #[serde(with = "crate::event::certificate")]
    pub certificate: CertificateId,
    /// Canonical SignedInfo: the octets that were signed, the digest of the signed element among them. The journal writes
    /// it in parts where it can.
    #[serde(with = "crate::signed_info")]
    pub signed_info: String,
    /// SignatureValue, base64 without line breaks.
    pub signature: String,
    /// Digests of the attachments in order, lower-case hex, Streebog-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
}

/// What routing may look at.
#[derive(Debug, Clone, Default)]
pub struct RoutingFacts {
    /// Path of a route's condition → text of the first match. Paths that matched nothing are absent.
    pub payload: BTreeMap<String, String>,
    /// 1.3 DynamicRouting values in order.
    pub dynamic: Vec<String>,
    /// 1.3 IdentifierRouting values in order.
    pub identifier: Vec<String>,
}

/// The verdict of a payload schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaVerdict {
    /// The kind has no schema.
    NotChecked,
    /// The payload fits.
    Valid,
    /// It does not; at most ten messages of at most 500 characters each.
    Invalid(Vec<String>),
    /// The kind's schema cannot be used, so that nobody knows.
    Unusable,
}

/// What is wrong with the attachments of a message. A door finds it while it reads; the engine tells it when nothing
/// more urgent is wrong (DESIGN §6, order of checks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentFault {
    /// More than one message may have.
    #[error("there are more than {permitted} attachments")]
    TooMany {
        /// How many it may have.
        permitted: usize,
    },
    /// There is more than one list of them.
    #[error("the attachments are listed more than once")]
    ManyLists,
    /// Not as many are there as are announced.
    #[error("{announced} attachments are announced, {present} are there")]
    Count {
        /// Announced by the signed part of the message.
        announced: usize,
        /// Contents in the message.
        present: usize,
    },
    /// One has no identifier.
    #[error("an attachment has no identifier")]
    Unnamed,
    /// The identifiers of what is announced and of what is there are not the same.
    #[error("the attachments are not those that are announced")]
    Mismatch,
    /// One has no content.
    #[error("an attachment has no content")]
    Empty,
    /// One lies in a part that the message does not have.
    #[error("an attachment lies in a part that is not there")]
    PartMissing,
    /// Two contents refer to one part of the message.
    #[error("two contents refer to one part of the message")]
    PartRepeated,
    /// The content of one is in no known encoding.
    #[error("the content of an attachment is in no known encoding")]
    Encoding,
    /// Together they are larger than one message may carry.
    #[error("the attachments have {real} octets, {permitted} are permitted")]
    TooLarge {
        /// Octets that are permitted.
        permitted: u64,
        /// Octets that they have.
        real: u64,
    },
}

/// The root element of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadRoot {
    /// Its namespace.
    pub namespace: String,
    /// Its local name.
    pub local: String,
}

/// A verified message that wants to be accepted.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Label of the door for metrics and the journal, such as `smev3`.
    pub door: &'static str,
    /// Who sends: the owner of the certificate, or the upstream it was pulled from.
    pub sender: Party,
    /// Sender's mnemonic as the upstream states it, for what is pulled; shown to the receiver.
    pub remote_sender: Option<String>,
    /// The sender's identifier.
    pub message_id: MessageId,
    /// ReferenceMessageID, if any.
    pub reference_id: Option<Uuid>,
    /// The sender's sub-queue, if any: where answers go.
    pub node: Option<NodeId>,
    /// End of life, if any.
    pub end_of_life: Option<Timestamp>,
    /// TestMessage.
    pub test: bool,
    /// Tag of the wire format of part 0, such as `smev3/1.2`; opaque.
    pub format: String,
    /// Part 0 and the attachments; together they count for the quota.
    pub parts: Vec<Part>,
    /// What must be kept as long as the exchange lives, however short the body does (TransactionCode, an upstream's ReplyTo); opaque.
    pub exchange_note: Option<Vec<u8>>,
    /// Whether the attached files can be delivered; what is wrong with them, if not (`parts` then lacks them).
    pub attachments: Result<(), AttachmentFault>,
    /// Whether the message has references to files in a file storage (RefAttachmentHeaderList).
    pub file_references: bool,
    /// Proof of authorship.
    pub evidence: Evidence,
    /// What it is.
    pub content: Content,
}

/// What an incoming message is.
#[derive(Debug, Clone)]
pub enum Content {
    /// SendRequest.
    Request {
        /// The payload's root.
        root: PayloadRoot,
        /// What routing may look at.
        routing: RoutingFacts,
        /// The schema's verdict.
        schema: SchemaVerdict,
    },
    /// SendResponse by a local provider, or an answer pulled from an upstream.
    Response {
        /// To which request.
        to: AnswerTo,
        /// The answer itself.
        answer: Answer,
        /// The schema's verdict, where there is a payload.
        schema: SchemaVerdict,
    },
}

/// How an answer names its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerTo {
    /// By the ReplyTo token that the gateway gave to the provider.
    Token(String),
    /// By the identifier under which the request went to the upstream.
    Original(MessageId),
}

/// The forms of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A payload: final.
    Payload(PayloadRoot),
    /// RequestRejected: final.
    Rejected,
    /// RequestStatus: an intermediate state; others may follow.
    Status,
    /// AsyncProcessingStatus of an upstream about the request: final when its category is a rejection.
    Async {
        /// Whether it ends the exchange.
        rejection: bool,
    },
}

/// The type of a message (metric label `type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// A request.
    Request,
    /// An answer, or a notice about a request.
    Response,
    /// A notice about an answer (GetStatus).
    Status,
}

impl MessageType {
    /// The label's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Status => "status",
        }
    }
}

/// What was accepted, for the answer to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Journal sequence number of the accept event: the message's inner key.
    pub seq: u64,
    /// The legal time of acceptance.
    pub at: Timestamp,
    /// Who receives it: a local participant or an upstream.
    pub recipient: Party,
    /// The registered kind, for metrics.
    pub kind: Option<KindName>,
    /// `request` | `response` | `status`.
    pub message_type: MessageType,
}

/// What became of a message that was pulled from an upstream. In all three cases: acknowledge it upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Accepted now.
    Accepted(Accepted),
    /// Accepted before: only the acknowledgement was missing.
    Duplicate,
    /// Accepted, but a person must decide about it.
    Quarantined {
        /// The inner key.
        seq: u64,
        /// Why, without payload.
        cause: String,
    },
}
