//! The accept event: what was sent, and what the gateway made of it.

use jiff::Timestamp;
use journal::Location;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::forms::{is_zero, maybe_location, parts, token};
use crate::command::{Evidence, MessageType};
use crate::names::{KindName, MessageId, Mnemonic, NodeId, Party};

/// An accepted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedMessage {
    /// What was sent.
    #[serde(flatten)]
    pub sent: SentMessage,
    /// What the gateway made of it.
    #[serde(flatten)]
    pub admission: Admission,
}

/// What is known of a message before it is decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// The sender's identifier.
    pub id: MessageId,
    /// Label of the door; empty for notices.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub door: String,
    /// Who sent it.
    pub sender: Party,
    /// Sender's mnemonic behind the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_sender: Option<String>,
    /// ReferenceMessageID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Uuid>,
    /// EOL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_life: Option<Timestamp>,
    /// TestMessage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// Wire format of part 0.
    pub format: String,
    /// Number of attached files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attachments: u16,
    /// Proof of authorship; none for notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the gateway made of a message when it accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Who receives it; none if nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party>,
    /// What it is in its exchange.
    #[serde(flatten)]
    pub role: Role,
    /// The participant in whose lane a notice of the gateway goes upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf: Option<Mnemonic>,
    /// Parts: number and place.
    #[serde(with = "parts")]
    pub parts: Vec<(u16, Location)>,
    /// All that is stored of it is sealed: an open record in the place of a sealed one is none of ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// The exchange note.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_location")]
    pub note: Option<Location>,
    /// What routing looked at, if nobody could route it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_location")]
    pub facts: Option<Location>,
    /// Of requests: the random part of the ReplyTo token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "token")]
    pub token: Option<[u8; 16]>,
    /// A person must decide about it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
}

/// What a message is in its exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its type.
    pub message_type: MessageType,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Sub-queue: of a request, where its answers go; of an answer, where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// What it answers, or what a notice is about: the sequence number …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<u64>,
    /// … and the identifier under which the receiver knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<MessageId>,
    /// It closes the exchange.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closes: bool,
}

/// Where a message goes, and what it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Who receives it.
    pub recipient: Party,
    /// What it is in its exchange.
    #[serde(flatten)]
    pub role: Role,
}
