//! What can go wrong with a call to an upstream, told apart by what is known about the message afterwards.

use crate::Version;
use crate::fault::FaultName;

/// A SOAP fault of an upstream (PROTOCOL §5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamFault {
    /// The fault, if `detail` holds one that the protocol knows.
    pub name: Option<FaultName>,
    /// Local name of the element in `detail`, whatever it is; `None` if there is none, or one that no protocol would use.
    pub element: Option<String>,
    /// `Code` as received.
    pub code: Option<String>,
    /// `Description` as received.
    pub description: Option<String>,
    /// `faultstring`.
    pub text: String,
}

impl UpstreamFault {
    /// What a person is told of it: the element's name.
    pub fn shown(&self) -> &str {
        self.element.as_deref().unwrap_or("without a name")
    }
}

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There was no connection: certainly not one octet of the call left.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The call left, or part of it, and no understandable answer came: it may have taken effect.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The upstream answered with a fault.
    #[error("fault {}", .0.shown())]
    Fault(UpstreamFault),
    /// The answer is not signed, or not by a trusted signer, or the signature does not verify.
    #[error("the answer's signature is not accepted: {0}")]
    BadSignature(String),
    /// The answer is signed as it should be and yet not what the protocol says.
    #[error("the answer breaks the protocol: {0}")]
    Protocol(String),
    /// The call could not be made ready; nothing was sent.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Why a stored message cannot be written for an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The octets from the spool are not a message of this adapter.
    #[error("the stored message cannot be read: {0}")]
    Stored(String),
    /// The upstream's version of the protocol has no place for something in the message.
    #[error("version {version} of the upstream cannot express {what}")]
    NotExpressible {
        /// The upstream's version.
        version: Version,
        /// What, in words.
        what: String,
    },
    /// An answer to a request of which no ReplyTo is known.
    #[error("the upstream's ReplyTo is not known")]
    NoReplyTo,
    /// The key did not sign.
    #[error("signing failed: {0}")]
    Sign(String),
}
