//! The three versions of the message exchange service and its operations (PROTOCOL §1, §2, §3).

use std::fmt;
use std::str::FromStr;

/// A version of the message exchange service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.1
    V1_1,
    /// 1.2, as the real bus speaks it
    V1_2,
    /// 1.3
    V1_3,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Version; 3] = [Version::V1_1, Version::V1_2, Version::V1_3];

    /// The number as it stands in namespaces and paths: `1.2`.
    pub fn number(self) -> &'static str {
        match self {
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
            Version::V1_3 => "1.3",
        }
    }

    /// The path of the version's endpoint: `/smev/v1.2/ws`.
    pub fn path(self) -> &'static str {
        match self {
            Version::V1_1 => "/smev/v1.1/ws",
            Version::V1_2 => "/smev/v1.2/ws",
            Version::V1_3 => "/smev/v1.3/ws",
        }
    }

    /// Namespace `T` of PROTOCOL §2: operations and messages.
    pub fn types(self) -> &'static str {
        match self {
            Version::V1_1 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.1",
            Version::V1_2 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2",
            Version::V1_3 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.3",
        }
    }

    /// Namespace `B` of PROTOCOL §2: basic types.
    pub fn basic(self) -> &'static str {
        match self {
            Version::V1_1 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.1",
            Version::V1_2 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2",
            Version::V1_3 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.3",
        }
    }

    /// Namespace `F` of PROTOCOL §2: faults.
    pub fn faults(self) -> &'static str {
        match self {
            Version::V1_1 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.1",
            Version::V1_2 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.2",
            Version::V1_3 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.3",
        }
    }

    /// The version whose namespace `T` this is.
    pub fn from_types(namespace: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.types() == namespace)
    }

    /// The status of a message in a queue's delivery: `responseIsDelivered` in 1.1, `messageIsDelivered` later.
    pub(crate) fn delivered_status(self) -> &'static str {
        match self {
            Version::V1_1 => "responseIsDelivered",
            Version::V1_2 | Version::V1_3 => "messageIsDelivered",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Version::ALL
            .into_iter()
            .find(|version| version.number() == text)
            .ok_or_else(|| format!("{text:?} is not a version of the service: 1.1, 1.2 or 1.3"))
    }
}

/// Namespace of `Routing` (1.3 only).
pub(crate) const ROUTING: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/routing/1.3";
/// Namespace of the SOAP 1.1 envelope.
pub(crate) const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Namespace of XML signatures.
pub(crate) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Namespace of `xop:Include`.
pub(crate) const XOP: &str = "http://www.w3.org/2004/08/xop/include";
/// Namespace of `xsi:type`.
pub(crate) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An operation of the service (PROTOCOL §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A consumer sends a request.
    SendRequest,
    /// A provider takes a request from its queue.
    GetRequest,
    /// A provider answers.
    SendResponse,
    /// A consumer takes an answer from its queue.
    GetResponse,
    /// A provider takes the outcome of asynchronous checks.
    GetStatus,
    /// The taker acknowledges a delivered message.
    Ack,
    /// Depths of the caller's queues (1.1 only).
    GetIncomingQueueStatistics,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 7] = [
        Operation::SendRequest,
        Operation::GetRequest,
        Operation::SendResponse,
        Operation::GetResponse,
        Operation::GetStatus,
        Operation::Ack,
        Operation::GetIncomingQueueStatistics,
    ];

    /// The operation's name, as in `urn:SendRequest`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::SendRequest => "SendRequest",
            Operation::GetRequest => "GetRequest",
            Operation::SendResponse => "SendResponse",
            Operation::GetResponse => "GetResponse",
            Operation::GetStatus => "GetStatus",
            Operation::Ack => "Ack",
            Operation::GetIncomingQueueStatistics => "GetIncomingQueueStatistics",
        }
    }

    /// The operation whose call is this element: `SendRequestRequest` and so on.
    pub(crate) fn from_call(local: &str) -> Option<Operation> {
        let name = local.strip_suffix("Request")?;
        Operation::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
