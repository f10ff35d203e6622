//! X.509 certificates with GOST keys (RFC 5280, RFC 4491, RFC 9215).
//!
//! The gateway pins certificates: it compares them as wholes ([`CertificateId`]) and takes key, names and validity out of
//! those that an operator registered. It builds no chains.

mod asn1;
mod create;
mod name;

pub use create::{certificate_request, certificate_request_pem, self_signed};
pub use name::SubjectName;

use crate::curve::KeyAlgorithm;
use crate::digest::DigestAlgorithm;
use crate::public_key::{KeyError, PublicKey};
use crate::signature::{SignError, SignatureError};
use der::Document;
use der::asn1::ObjectIdentifier;
use der::pem::LineEnding;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const PEM_LABEL: &str = "CERTIFICATE";

/// A certificate whose key is a GOST key. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Vec<u8>,
    id: CertificateId,
    public_key: PublicKey,
    subject: String,
    issuer: String,
    common_name: Option<String>,
    serial: String,
    not_before: i64,
    not_after: i64,
    key_identifier: Option<Vec<u8>>,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError`] if it is not a certificate, has octets behind its end, or its key is no good.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let outer = asn1::Certificate::from_der(der)?;
        let tbs = outer.tbs()?;
        Ok(Self(Arc::new(Parts {
            der: der.to_vec(),
            id: CertificateId::of_der(der),
            public_key: PublicKey::from_spki_der(tbs.public_key)?,
            subject: name::to_text(tbs.subject)?,
            issuer: name::to_text(tbs.issuer)?,
            common_name: name::common_name(tbs.subject)?,
            serial: tbs.serial(),
            not_before: tbs.validity.not_before.unix_seconds(),
            not_after: tbs.validity.not_after.unix_seconds(),
            key_identifier: tbs.key_identifier()?,
        })))
    }

    /// Reads PEM ("BEGIN CERTIFICATE", the first one if there are several) or DER, whichever it is.
    ///
    /// # Errors
    /// [`CertificateError`] as for [`Certificate::from_der`].
    pub fn from_pem_or_der(octets: &[u8]) -> Result<Self, CertificateError> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let Some(text) = std::str::from_utf8(octets)
            .ok()
            .filter(|text| text.contains("-----BEGIN "))
        else {
            return Self::from_der(octets);
        };
        let pem = text
            .find(BEGIN)
            .and_then(|begin| text[begin..].find(END).map(|end| &text[begin..begin + end + END.len()]))
            .ok_or_else(|| CertificateError::Pem("there is no certificate in it".to_owned()))?;
        let (_, document) = Document::from_pem(pem).map_err(|error| CertificateError::Pem(error.to_string()))?;
        Self::from_der(document.as_bytes())
    }

    /// The certificate's octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(PEM_LABEL, self.der())
    }

    /// The key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The subject as text in the manner of RFC 4514, such as `CN=…,O=…,C=RU`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The issuer as text in the manner of RFC 4514.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The subject's (most significant) common name.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    /// The serial number, in lower-case hexadecimal of whole octets, without leading zero octets.
    #[must_use]
    pub fn serial(&self) -> String {
        self.0.serial.clone()
    }

    /// The first second of validity, in seconds since 1970.
    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.0.not_before
    }

    /// The last second of validity, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.0.not_after
    }

    /// The subject key identifier, if the certificate has one.
    #[must_use]
    pub fn key_identifier(&self) -> Option<&[u8]> {
        self.0.key_identifier.as_deref()
    }

    /// What the certificate is known by in journal and registry.
    #[must_use]
    pub fn id(&self) -> CertificateId {
        self.0.id
    }

    /// Checks that the certificate was signed with a key; its own, if it is self-signed.
    ///
    /// # Errors
    /// [`CertificateError::Signature`] if it was not.
    pub fn verify(&self, issuer_key: &PublicKey) -> Result<(), CertificateError> {
        let outer = asn1::Certificate::from_der(self.der())?;
        outer.verify(issuer_key)
    }
}

/// Whose a certificate is and how long it holds, whatever its key: what can be told of a TLS certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOutline {
    /// The subject as text in the manner of RFC 4514; empty where the certificate has only alternative names.
    pub subject: String,
    /// The first second of validity, in seconds since 1970.
    pub not_before: i64,
    /// The last second of validity, in seconds since 1970.
    pub not_after: i64,
}

impl CertificateOutline {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError`] if it is not a certificate, or has octets behind its end.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let outer = asn1::Certificate::from_der(der)?;
        let tbs = outer.tbs()?;
        Ok(Self {
            subject: name::to_text(tbs.subject)?,
            not_before: tbs.validity.not_before.unix_seconds(),
            not_after: tbs.validity.not_after.unix_seconds(),
        })
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("id", &self.0.id)
            .field("subject", &self.0.subject)
            .finish_non_exhaustive()
    }
}

/// The Streebog-256 digest of a certificate's octets. Its text form is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(pub [u8; 32]);

impl CertificateId {
    /// The id of a certificate given by its octets, without reading them.
    #[must_use]
    pub fn of_der(der: &[u8]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(DigestAlgorithm::Streebog256.hash(der).as_ref());
        Self(id)
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(f, &self.0)
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateId({self})")
    }
}

impl FromStr for CertificateId {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        crate::hex::parse(text)
            .map(Self)
            .ok_or_else(|| CertificateError::Id(text.to_owned()))
    }
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The DER encoding is broken.
    #[error("not an X.509 certificate: {0}")]
    Encoding(#[from] der::Error),
    /// The text is not PEM of a certificate.
    #[error("not a certificate in PEM: {0}")]
    Pem(String),
    /// The key is none that the gateway can use.
    #[error("the certificate's key: {0}")]
    Key(#[from] KeyError),
    /// The algorithm of the signature is not known or not the issuer key's.
    #[error("the certificate is signed with {0}, not with the issuer's algorithm")]
    SignatureAlgorithm(ObjectIdentifier),
    /// The signature of the certificate does not hold.
    #[error("the certificate's signature: {0}")]
    Signature(#[from] SignatureError),
    /// Not the text of a [`CertificateId`].
    #[error("{0:?} is not a certificate id (64 hexadecimal digits)")]
    Id(String),
    /// The text is not a name that a certificate can have.
    #[error("{text:?} cannot be a certificate's subject: {reason}")]
    Name {
        /// The text, or its offending part.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The times are reversed or outside the years 1970 to 9999.
    #[error("a certificate cannot be valid from {not_before} to {not_after} (seconds since 1970)")]
    Validity {
        /// The first second.
        not_before: i64,
        /// The last second.
        not_after: i64,
    },
    /// The key for the signature failed.
    #[error("signing the certificate: {0}")]
    Signing(#[from] SignError),
}

/// The algorithm whose signatures an object identifier names.
fn algorithm_of_signature(oid: ObjectIdentifier) -> Option<KeyAlgorithm> {
    [
        KeyAlgorithm::Gost2001,
        KeyAlgorithm::Gost2012_256,
        KeyAlgorithm::Gost2012_512,
    ]
    .into_iter()
    .find(|algorithm| algorithm.signature_oid() == oid)
}

fn to_pem(label: &'static str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der).expect("label and line width are constants that PEM allows")
}
