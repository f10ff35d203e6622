//! Why a signature is not accepted.

use crate::TransformError;

/// Why a signature is not accepted. The sender is to blame for all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureRefusal {
    /// The element given is not a `ds:Signature`.
    #[error("there is no ds:Signature")]
    NotASignature,
    /// An element or attribute of the profile is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Something stands where the profile has no place for it (a second one of what may occur once included).
    #[error("{0} has unexpected content")]
    Unexpected(&'static str),
    /// An algorithm outside the closed list.
    #[error("the algorithm of {0} is not supported")]
    UnknownAlgorithm(&'static str),
    /// DigestMethod and SignatureMethod are of different generations.
    #[error("DigestMethod does not go with SignatureMethod")]
    AlgorithmsDisagree,
    /// SignedInfo has no Reference, or several.
    #[error("SignedInfo has {0} references instead of one")]
    NotOneReference(usize),
    /// The Reference is not `#` and an Id: it is missing, empty (the whole document) or external.
    #[error("the Reference does not name an element of this document by its Id")]
    ReferenceUri,
    /// More than four transforms.
    #[error("the Reference has more than four transforms")]
    TooManyTransforms,
    /// Transforms that are all known, in an order that is not allowed.
    #[error("transforms in an order that is not allowed: {0}")]
    TransformOrder(&'static str),
    /// Text that should be base64 is not.
    #[error("{0} is not base64")]
    Base64(&'static str),
    /// A value with a length that its algorithm never gives.
    #[error("{0} has the wrong length")]
    Length(&'static str),
    /// KeyInfo holds no X509Certificate.
    #[error("KeyInfo has no X509Certificate")]
    NoCertificate,
    /// KeyInfo holds more than one X509Certificate.
    #[error("KeyInfo has more than one X509Certificate")]
    AmbiguousCertificate,
    /// No element has the Id that the Reference names.
    #[error("no element has the Id that the Reference names")]
    TargetMissing,
    /// The Id that the Reference names is not unique in the document.
    #[error("the Id that the Reference names is not unique in the document")]
    DuplicateId,
    /// The Reference names another element than the one that has to be signed.
    #[error("another element is signed than the one that has to be")]
    WrongTarget,
    /// The transforms fail on the signed element.
    #[error("the signed element cannot be transformed: {0}")]
    Transform(#[from] TransformError),
    /// The element was changed after it was signed.
    #[error("the digest of the signed element does not match")]
    DigestMismatch {
        /// The digest that stands in the signature.
        expected: Vec<u8>,
        /// The digest of the element as it is.
        computed: gost::Digest,
    },
    /// The key is of another algorithm than SignatureMethod names.
    #[error("the key is of another algorithm than SignatureMethod names")]
    KeyAlgorithm,
    /// SignedInfo was not signed by this key, or was changed since.
    #[error("SignatureValue does not match")]
    SignatureMismatch,
}

impl SignatureRefusal {
    /// What the bus calls it (SignatureVerificationFault, PROTOCOL §5).
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotASignature => Cause::NoSignatureFound,
            Self::NoCertificate | Self::AmbiguousCertificate => Cause::CertificateIsNotFound,
            Self::NotOneReference(_)
            | Self::ReferenceUri
            | Self::TargetMissing
            | Self::DuplicateId
            | Self::WrongTarget => Cause::IncorrectSignatureTarget,
            Self::Missing(_) | Self::Unexpected(_) => Cause::PoorSOAPEnvelopeFormat,
            Self::UnknownAlgorithm(_)
            | Self::AlgorithmsDisagree
            | Self::TooManyTransforms
            | Self::TransformOrder(_)
            | Self::Base64(_)
            | Self::Length(_)
            | Self::Transform(_)
            | Self::DigestMismatch { .. }
            | Self::KeyAlgorithm
            | Self::SignatureMismatch => Cause::SignatureIsInvalid,
        }
    }
}

/// The codes of SignatureVerificationFault that this crate can tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The signature does not have the form it must have.
    PoorSOAPEnvelopeFormat,
    /// There is no signature where one must be.
    NoSignatureFound,
    /// The signature is over something else than it must be.
    IncorrectSignatureTarget,
    /// The signature does not hold.
    SignatureIsInvalid,
    /// The signature comes without the certificate.
    CertificateIsNotFound,
}

impl Cause {
    /// The code as it stands in the fault.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PoorSOAPEnvelopeFormat => "PoorSOAPEnvelopeFormat",
            Self::NoSignatureFound => "NoSignatureFound",
            Self::IncorrectSignatureTarget => "IncorrectSignatureTarget",
            Self::SignatureIsInvalid => "SignatureIsInvalid",
            Self::CertificateIsNotFound => "CertificateIsNotFound",
        }
    }
}
