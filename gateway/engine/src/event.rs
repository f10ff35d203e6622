//! Events: what the journal says, and all that the index is made of.
//!
//! An event is written as JSON with its kind in `type`. Events are hashed on the writer's path, so they are lean: what
//! follows from other events is left out. `message` is always the sequence number of the message's accept event.

use jiff::Timestamp;
use journal::Location;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::{Evidence, ForwardOutcome, MessageType, RegistryDiff};
use crate::names::{KindName, MessageId, Mnemonic, NodeId, Party, UpstreamName};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The engine began to work.
    Started {
        /// The program's version.
        version: String,
        /// The machine's boot id.
        boot: String,
    },
    /// The engine ended in order.
    Stopped,
    /// A message was accepted, or the gateway wrote a notice.
    Accepted(Box<AcceptedMessage>),
    /// A message was handed to its receiver.
    HandedOut {
        /// Which.
        message: u64,
        /// End of the lease; none if nothing is to be acknowledged and the message has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The receiver did not acknowledge in time: the message is back in its place.
    LeaseExpired {
        /// Which.
        message: u64,
    },
    /// The receiver acknowledged.
    Acknowledged {
        /// Which.
        message: u64,
        /// What the receiver said about the gateway's signature.
        accepted: bool,
        /// The lease had run out.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
        /// Proof of receipt.
        evidence: Evidence,
    },
    /// EOL or the time to live passed.
    Expired {
        /// Which.
        message: u64,
    },
    /// The payload does not fit its kind's schema: the message ends here.
    SchemaRejected {
        /// Which.
        message: u64,
    },
    /// An attempt to send it upstream begins.
    ForwardStarted {
        /// Which.
        message: u64,
        /// Under which identifier.
        id: MessageId,
    },
    /// What came of the attempt.
    ForwardOutcome {
        /// Which.
        message: u64,
        /// What.
        outcome: ForwardOutcome,
    },
    /// A person decided about a message.
    Decided {
        /// Which.
        message: u64,
        /// Who.
        by: String,
        /// What.
        decision: Decided,
    },
    /// Our Ack for a pulled message reached the upstream.
    UpstreamAcknowledged {
        /// Which upstream.
        upstream: UpstreamName,
        /// The identifier.
        id: MessageId,
    },
    /// The registry was changed; its content is a file named by its digest.
    Registry {
        /// Streebog-256 of the content's file.
        digest: String,
        /// What was changed.
        diff: RegistryDiff,
    },
    /// A recognised participant's call was refused.
    Refused {
        /// Label of the door.
        door: String,
        /// Who.
        participant: Party,
        /// The operation, by the door's name for it.
        operation: String,
        /// The fault that the caller got, by the door's name for it.
        fault: String,
        /// Why, in one word of a closed set (`docs/refusals.md`).
        #[serde(default)]
        reason: String,
        /// The identifier in the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// Refusals of this participant that were not written since the last one.
        #[serde(default, skip_serializing_if = "is_zero")]
        omitted: u64,
    },
    /// Something that a person should know.
    Incident {
        /// A short word.
        kind: String,
        /// What happened, without payload.
        text: String,
    },
    /// The gateway vouches for the journal up to here.
    Checkpoint {
        /// Sequence number of the record before.
        through: u64,
        /// Digest of that record, hexadecimal.
        digest: String,
        /// Certificate of the key, a file under `registry/`.
        certificate: String,
        /// Signature over [`checkpoint_text`](crate::checkpoint_text), hexadecimal.
        signature: String,
    },
    /// A snapshot of the state right after this position was made.
    Snapshot {
        /// Sequence number of the last record that it reflects.
        through: u64,
        /// Digest of the snapshot file, hexadecimal.
        digest: String,
    },
    /// A body was copied into another spool segment.
    Relocated {
        /// Which message.
        message: u64,
        /// Which of its bodies.
        body: BodyName,
        /// From where.
        #[serde(with = "location")]
        from: Location,
        /// To where.
        #[serde(with = "location")]
        to: Location,
    },
    /// A spool segment was removed because nothing in it is needed.
    SpoolRemoved {
        /// Its number.
        segment: u64,
    },
    /// What is due was forgotten.
    Forgotten {
        /// What.
        what: Forgotten,
        /// All rows of the family up to this key (hexadecimal), in the order of their time.
        through: String,
    },
}

/// An accepted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedMessage {
    /// The sender's identifier.
    pub id: MessageId,
    /// Its type.
    #[serde(rename = "message_type")]
    pub message_type: MessageType,
    /// Label of the door; empty for notices.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub door: String,
    /// Who sent it.
    pub sender: Party,
    /// Sender's mnemonic behind the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_sender: Option<String>,
    /// Who receives it; none if nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party>,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Sub-queue: of a request, where its answers go; of an answer, where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The participant in whose lane a notice of the gateway goes upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf: Option<Mnemonic>,
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
    /// Parts: number and place.
    #[serde(with = "parts")]
    pub parts: Vec<(u16, Location)>,
    /// The exchange note.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_location")]
    pub note: Option<Location>,
    /// What routing looked at, if nobody could route it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_location")]
    pub facts: Option<Location>,
    /// Number of attached files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attachments: u16,
    /// What it answers, or what a notice is about: the sequence number …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<u64>,
    /// … and the identifier under which the receiver knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<MessageId>,
    /// It closes the exchange.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closes: bool,
    /// Of requests: the random part of the ReplyTo token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "token")]
    pub token: Option<[u8; 16]>,
    /// A person must decide about it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// Proof of authorship; none for notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Back to its place.
    Retry,
    /// To a place that is known now.
    Place(Box<Placement>),
    /// The end.
    Reject {
        /// The person's words.
        reason: String,
    },
}

/// Where a message goes that nobody could place when it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Who receives it.
    pub recipient: Party,
    /// Its type.
    pub message_type: MessageType,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Its sub-queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// What it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<u64>,
    /// The identifier under which the receiver knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<MessageId>,
    /// It closes the exchange.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closes: bool,
}

/// Which body of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyName {
    /// A part.
    Part(u16),
    /// The exchange note.
    Note,
    /// What routing looked at.
    Facts,
}

impl BodyName {
    /// The number under which the spool keeps it; parts keep their own.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Part(number) => number,
            Self::Note => u16::MAX,
            Self::Facts => u16::MAX - 1,
        }
    }

    /// Highest number that a part may have.
    pub(crate) const LAST_PART: u16 = u16::MAX - 2;
}

/// What is forgotten when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgotten {
    /// Bodies of messages that ended.
    Bodies,
    /// Messages that ended, with their exchanges.
    Messages,
    /// Delivered requests that nobody ever answered.
    Unanswered,
    /// Identifiers of local senders that are not fresh any more.
    Identifiers,
    /// Identifiers of upstreams.
    UpstreamIdentifiers,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Values that are written as their text form.
pub mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the text.
    pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Parses the text.
    pub fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom("not a valid text form"))
    }
}

/// The identifier of a certificate in hexadecimal, as it names the file.
pub(crate) mod certificate {
    use gost::CertificateId;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &CertificateId, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 64];
        hex::encode_to_slice(id.0, &mut text).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CertificateId, D::Error> {
        super::text::deserialize(deserializer)
    }
}

/// A place in the spool as `[segment, offset, length]`.
mod location {
    use journal::Location;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Location, serializer: S) -> Result<S::Ok, S::Error> {
        (at.segment, at.offset, at.len).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
        let (segment, offset, len) = Deserialize::deserialize(deserializer)?;
        Ok(Location { segment, offset, len })
    }
}

/// The same where there may be none.
mod maybe_location {
    use journal::Location;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's `with` hands the field over by reference")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Location>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| (at.segment, at.offset, at.len)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Location>, D::Error> {
        let at = Option::<(u64, u32, u32)>::deserialize(deserializer)?;
        Ok(at.map(|(segment, offset, len)| Location { segment, offset, len }))
    }
}

/// Parts as `[number, segment, offset, length]`.
mod parts {
    use journal::Location;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(parts: &[(u16, Location)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            parts
                .iter()
                .map(|(number, at)| (*number, at.segment, at.offset, at.len)),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u16, Location)>, D::Error> {
        let parts = Vec::<(u16, u64, u32, u32)>::deserialize(deserializer)?;
        let place = |(number, segment, offset, len)| (number, Location { segment, offset, len });
        Ok(parts.into_iter().map(place).collect())
    }
}

/// 16 octets in hexadecimal.
mod token {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::ref_option, reason = "serde's `with` hands the field over by reference")]
    pub(super) fn serialize<S: Serializer>(token: &Option<[u8; 16]>, serializer: S) -> Result<S::Ok, S::Error> {
        match token {
            Some(token) => {
                let mut text = [0; 32];
                hex::encode_to_slice(token, &mut text).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
            }
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 16]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let mut token = [0; 16];
        hex::decode_to_slice(text, &mut token).map_err(de::Error::custom)?;
        Ok(Some(token))
    }
}
