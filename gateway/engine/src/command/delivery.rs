//! What receivers take and acknowledge, and what the gateway tells senders about their messages.

use jiff::Timestamp;
use journal::Location;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Evidence, MessageType, PayloadRoot};
use crate::event::BodyName;
use crate::names::{KindName, MessageId, Mnemonic, NodeId, Party, UpstreamName};

/// Get*: the next message of one of the caller's queues.
#[derive(Debug, Clone)]
pub struct Take {
    /// The caller.
    pub participant: Mnemonic,
    /// Which queue.
    pub from: TakeFrom,
    /// Only this root element (MessageTypeSelector).
    pub selector: Option<PayloadRoot>,
}

/// The queue of a Get* operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeFrom {
    /// GetRequest; a NodeID in it changes nothing (DESIGN §6).
    Requests,
    /// GetResponse with this NodeID.
    Responses(Option<NodeId>),
    /// GetStatus: removed at hand-out.
    Status,
}

/// A message as it is handed to its receiver, or shown to `forward` or an operator.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The inner key.
    pub seq: u64,
    /// When it was accepted (SendingTimestamp).
    pub accepted_at: Timestamp,
    /// When it was handed out (DeliveryTimestamp); for `forward` the moment of reading.
    pub delivered_at: Timestamp,
    /// The sender's identifier.
    pub message_id: MessageId,
    /// ReferenceMessageID.
    pub reference_id: Option<Uuid>,
    /// Request, response or status.
    pub message_type: MessageType,
    /// Who sent it.
    pub sender: Party,
    /// Sender's mnemonic behind an upstream.
    pub remote_sender: Option<String>,
    /// Who receives it.
    pub recipient: Party,
    /// The kind, if registered.
    pub kind: Option<KindName>,
    /// Tag of the wire format of part 0; [`NOTICE_FORMAT`] for notices of the gateway.
    pub format: String,
    /// Where the parts lie, in the order of their numbers.
    pub parts: Vec<BodyRef>,
    /// The request's token, for requests: what the receiver must send back as `To`.
    pub reply_token: Option<String>,
    /// For answers: the identifier of the request under which its sender knows it.
    pub original_message_id: Option<MessageId>,
    /// Where the request's exchange note lies (for answers: the original request's; for requests: its own).
    pub exchange_note: Option<BodyRef>,
    /// TestMessage.
    pub test: bool,
    /// EOL.
    pub end_of_life: Option<Timestamp>,
}

/// A body in the spool: which one it is, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRef {
    /// The message that it belongs to.
    pub message: MessageId,
    /// Which of the message's bodies it is.
    pub name: BodyName,
    /// Where it lies; sealed, it is some octets longer there.
    pub place: Location,
    /// It was sealed when it was stored: an open record in its place is not it.
    pub sealed: bool,
}

/// Format tag of notices; part 0 is a [`Notice`] as JSON.
pub const NOTICE_FORMAT: &str = "notice";

/// What the gateway tells a sender about its message (AsyncProcessingStatus).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The notice's own identifier, made by the gateway.
    pub message_id: MessageId,
    /// The message it is about, under its sender's identifier.
    pub original_message_id: MessageId,
    /// Whether it is about a request (GetResponse) or an answer (GetStatus).
    pub about: MessageType,
    /// Why.
    pub reason: NoticeReason,
    /// Text for a person, at most 500 characters.
    pub details: String,
    /// Messages of the schema, or of the upstream's fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The original TransactionCode can be found in the exchange note of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamName>,
}

/// Why a message was rejected after its acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeReason {
    /// The payload does not fit the kind's schema.
    InvalidContent,
    /// EOL or the time to live passed.
    Expired,
    /// The upstream refused it with this fault (element name, closed set or `other`).
    UpstreamFault {
        /// Fault element name.
        fault: String,
        /// Code as received, at most 100 characters.
        code: Option<String>,
    },
    /// A person rejected it from quarantine.
    Operator,
    /// What the receiver's version of the protocol cannot express.
    NotTranslatable,
}

/// Ack.
#[derive(Debug, Clone)]
pub struct Acknowledge {
    /// The caller.
    pub participant: Mnemonic,
    /// The delivered message.
    pub target: MessageId,
    /// `accepted="false"` says that the signature of the bus did not verify.
    pub accepted: bool,
    /// Proof of receipt.
    pub evidence: Evidence,
}

/// What became of an Ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The message's inner key.
    pub seq: u64,
    /// The lease had run out (DESIGN §6: honoured, journaled as late).
    pub late: bool,
}
