//! What the outside asks of the engine, and what it answers: plain data, no wire formats.

use std::collections::BTreeMap;

use gost::CertificateId;
use jiff::Timestamp;
use journal::Location;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::names::{KindName, MessageId, Mnemonic, NodeId, Party, Queue, UpstreamName};
use crate::registry::{Direction, RegistryContent};

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
    pub parts: Vec<(u16, Location)>,
    /// The request's token, for requests: what the receiver must send back as `To`.
    pub reply_token: Option<String>,
    /// For answers: the identifier of the request under which its sender knows it.
    pub original_message_id: Option<MessageId>,
    /// Where the request's exchange note lies (for answers: the original request's; for requests: its own).
    pub exchange_note: Option<Location>,
    /// TestMessage.
    pub test: bool,
    /// EOL.
    pub end_of_life: Option<Timestamp>,
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

/// A lane of an upstream: the unit of order (DESIGN §1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The upstream.
    pub upstream: UpstreamName,
    /// The sender.
    pub sender: Mnemonic,
    /// The kind.
    pub kind: KindName,
}

/// The first waiting message of a lane, with its history upstream.
#[derive(Debug, Clone)]
pub struct LaneHead {
    /// The lane.
    pub lane: Lane,
    /// The message.
    pub message: Delivery,
    /// Attempts begun so far.
    pub attempts: u32,
    /// The identifier of the last attempt, if there was one.
    pub last_id: Option<MessageId>,
    /// Every earlier attempt certainly did not reach the upstream (connection refused). True when there was none.
    pub certainly_not_sent: bool,
    /// Tries in a row with unknown outcome.
    pub unknown_outcomes: u32,
    /// For answers: the upstream's own exchange note lies in `message.exchange_note`; for requests the sender's.
    pub answer_to_upstream: bool,
}

/// What came of one attempt upstream (DESIGN §6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardOutcome {
    /// Final for this hop.
    Accepted,
    /// The upstream had it already; counts as accepted because an earlier attempt was started.
    AlreadySent,
    /// Nothing was sent; the identifier may be renewed when it gets stale.
    NotSent {
        /// What happened, without payload.
        cause: String,
    },
    /// Unknown whether it arrived; the same identifier must be used.
    Unknown {
        /// What happened, without payload.
        cause: String,
    },
    /// The upstream's queue or quota is full: certainly not accepted.
    SlowDown {
        /// Fault element name.
        fault: String,
    },
    /// The identifier is stale and every earlier attempt certainly failed: go on under a new one.
    Renew,
    /// Final refusal: the sender gets a notice.
    Rejected {
        /// Fault element name, closed set or `other`.
        fault: String,
        /// Code as received, at most 100 characters.
        code: Option<String>,
        /// faultstring, kept in the spool, never in the journal; at most 500 characters.
        #[serde(skip)]
        text: String,
    },
    /// A person must decide.
    Quarantined {
        /// Why, without payload.
        cause: String,
    },
}

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
