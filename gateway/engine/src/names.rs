//! The words of the field as types. Each has one parsing constructor; what exists is valid.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?}: {problem}")]
pub struct NameError {
    /// What was expected.
    pub what: &'static str,
    /// The offending text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let problem = if text.is_empty() {
                    "is empty"
                } else if text.chars().count() > $max {
                    concat!("is longer than ", stringify!($max), " characters")
                } else if !text.chars().all($allowed) {
                    $rule
                } else {
                    return Ok(Self(text.into()));
                };
                Err(NameError { what: $what, text: text.chars().take(80).collect(), problem })
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_name!(
    /// A participant's mnemonic, such as `MUN001` or `500502_3T`.
    Mnemonic,
    "mnemonic",
    50,
    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    "may only have Latin letters, digits, '_', '-' and '.'"
);
text_name!(
    /// The short unique name of a registered kind (вид сведений).
    KindName,
    "kind",
    50,
    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    "may only have Latin letters, digits, '_', '-' and '.'"
);
text_name!(
    /// The name of an upstream in the configuration, such as `federal`.
    UpstreamName,
    "upstream",
    50,
    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    "may only have Latin letters, digits, '_', '-' and '.'"
);
text_name!(
    /// A sub-queue of a participant (PROTOCOL §4, NodeID).
    NodeId,
    "NodeID",
    50,
    |c: char| !c.is_control() && c != '/',
    "may not have control characters or '/'"
);

/// A message identifier: an RFC 4122 UUID of version 1, chosen by the sender (PROTOCOL §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Takes a UUID if it is of version 1 and the RFC 4122 variant.
    pub fn new(uuid: Uuid) -> Option<Self> {
        (uuid.get_version_num() == 1 && uuid.get_variant() == uuid::Variant::RFC4122).then_some(Self(uuid))
    }

    /// The UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// The moment the sender wrote into the identifier. `None` only if it is outside the range of a timestamp.
    pub fn time(self) -> Option<Timestamp> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
    }
}

impl FromStr for MessageId {
    type Err = NameError;

    /// Parses the lower-case hyphenated form, the only one the protocol allows.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let fail = |problem| NameError {
            what: "MessageID",
            text: text.chars().take(80).collect(),
            problem,
        };
        if text.len() != 36 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(fail("is not a UUID in lower-case hyphenated form"));
        }
        let uuid = Uuid::try_parse(text).map_err(|_| fail("is not a UUID in lower-case hyphenated form"))?;
        Self::new(uuid).ok_or_else(|| fail("is not a UUID of version 1 (RFC 4122)"))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who stands at one end of a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// A local system.
    Participant(Mnemonic),
    /// A system behind an upstream; the upstream answers for it.
    Upstream(UpstreamName),
    /// The gateway itself: the author of notices.
    Gateway,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Participant(mnemonic) => write!(f, "{mnemonic}"),
            Self::Upstream(name) => write!(f, "upstream/{name}"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

/// Messages waiting for one participant or one upstream. Its text form is the contract's queue name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Queue {
    /// `MUN001/requests`
    Requests(Mnemonic),
    /// `MUN001/responses` or `MUN001/responses/NODE`
    Responses(Mnemonic, Option<NodeId>),
    /// `MUN001/status`
    Status(Mnemonic),
    /// `upstream/federal`
    Upstream(UpstreamName),
}

impl Queue {
    /// The participant whose messages it holds; none of those on their way to an upstream.
    pub fn owner(&self) -> Option<&Mnemonic> {
        match self {
            Self::Requests(owner) | Self::Responses(owner, _) | Self::Status(owner) => Some(owner),
            Self::Upstream(_) => None,
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(owner) => write!(f, "{owner}/requests"),
            Self::Responses(owner, None) => write!(f, "{owner}/responses"),
            Self::Responses(owner, Some(node)) => write!(f, "{owner}/responses/{node}"),
            Self::Status(owner) => write!(f, "{owner}/status"),
            Self::Upstream(name) => write!(f, "upstream/{name}"),
        }
    }
}

impl FromStr for Queue {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fail = |problem| NameError {
            what: "queue",
            text: text.chars().take(160).collect(),
            problem,
        };
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("upstream"), Some(name), None) => Ok(Self::Upstream(name.parse()?)),
            (Some(owner), Some("requests"), None) => Ok(Self::Requests(owner.parse()?)),
            (Some(owner), Some("responses"), None) => Ok(Self::Responses(owner.parse()?, None)),
            (Some(owner), Some("responses"), Some(node)) => Ok(Self::Responses(owner.parse()?, Some(node.parse()?))),
            (Some(owner), Some("status"), None) => Ok(Self::Status(owner.parse()?)),
            _ => Err(fail(
                "is none of OWNER/requests, OWNER/responses[/NODE], OWNER/status, upstream/NAME",
            )),
        }
    }
}

impl TryFrom<String> for Queue {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Queue> for String {
    fn from(queue: Queue) -> String {
        queue.to_string()
    }
}
