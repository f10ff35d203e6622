//! The versions of the message-exchange schemas and what differs by name only (PROTOCOL §2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the SMEV 3 message-exchange protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// 1.1
    V1_1,
    /// 1.2, in the form that the real bus sends.
    V1_2,
    /// 1.3
    V1_3,
}

/// The namespace of 1.3 routing (`rout`).
pub const ROUTING: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/routing/1.3";

/// SOAP 1.1 envelopes.
pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// XML signatures.
pub const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// XML-binary optimised packaging.
pub const XOP: &str = "http://www.w3.org/2004/08/xop/include";

/// A text that names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of 1.1, 1.2, 1.3")]
pub struct UnknownVersion(String);

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Version; 3] = [Version::V1_1, Version::V1_2, Version::V1_3];

    /// The number as text, such as `1.2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }

    /// The namespace `T` of operations and messages.
    pub fn types(self) -> &'static str {
        match self {
            Self::V1_1 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.1",
            Self::V1_2 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2",
            Self::V1_3 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.3",
        }
    }

    /// The namespace `B` of the basic types.
    pub fn basic(self) -> &'static str {
        match self {
            Self::V1_1 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.1",
            Self::V1_2 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2",
            Self::V1_3 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.3",
        }
    }

    /// The namespace `F` of faults.
    pub fn faults(self) -> &'static str {
        match self {
            Self::V1_1 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.1",
            Self::V1_2 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.2",
            Self::V1_3 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.3",
        }
    }

    /// The version whose `T` this namespace is.
    pub fn from_types(namespace: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.types() == namespace)
    }

    /// The version whose `F` this namespace is.
    pub fn from_faults(namespace: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.faults() == namespace)
    }

    /// The tag of stored messages of this version: the engine's `format`.
    pub fn format(self) -> &'static str {
        match self {
            Self::V1_1 => "smev3/1.1",
            Self::V1_2 => "smev3/1.2",
            Self::V1_3 => "smev3/1.3",
        }
    }

    /// The version of a stored message's tag.
    pub fn from_format(format: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.format() == format)
    }

    /// How many characters `SmevFault/Code` may have (PROTOCOL §5).
    pub fn fault_code_len(self) -> usize {
        match self {
            Self::V1_1 => 50,
            Self::V1_2 | Self::V1_3 => 100,
        }
    }

    /// The three namespace declarations that the bus puts on the first element of a SOAP body: the basic types are
    /// the default namespace, `ns2` the message types, `ns3` the faults.
    pub(crate) fn declarations(self) -> String {
        format!(
            r#" xmlns:ns3="{}" xmlns:ns2="{}" xmlns="{}""#,
            self.faults(),
            self.types(),
            self.basic()
        )
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnknownVersion(text.chars().take(20).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_version() {
        for version in Version::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert_eq!(Version::from_format(version.format()), Some(version));
            assert_eq!(Version::from_types(version.types()), Some(version));
            assert_eq!(Version::from_faults(version.faults()), Some(version));
            assert_eq!(Version::from_types(version.basic()), None);
        }
        assert!("1.4".parse::<Version>().is_err());
        assert_eq!(Version::from_format("notice"), None);
    }
}
