//! Certificates and requests for certificates, made with a key of ours.

use super::asn1::{SUBJECT_KEY_IDENTIFIER, wrap, wrap_context_specific};
use super::{Certificate, CertificateError, SubjectName, to_pem};
use crate::digest::DigestAlgorithm;
use crate::public_key::PublicKey;
use crate::signature::{SignError, Signer};
use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{DateTime, Encode, Tag};
use std::time::Duration;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// BIT STRING of digitalSignature and nonRepudiation (RFC 5280, section 4.2.1.3).
const SIGNATURES: &[u8] = &[0x03, 0x02, 0x06, 0xC0];
/// INTEGER 0 and 2: the versions of a request, and of a certificate with extensions.
const REQUEST_VERSION: &[u8] = &[0x02, 0x01, 0x00];
const CERTIFICATE_VERSION: &[u8] = &[0x02, 0x01, 0x02];
/// RFC 5280, section 4.1.2.5: UTCTime until then.
const FIRST_YEAR_OF_GENERALIZED_TIME: u16 = 2050;

/// A self-signed certificate, version 3, for signatures only, valid from `not_before` to `not_after` (seconds since 1970,
/// both included), with a random serial number.
///
/// # Errors
/// [`CertificateError::Validity`] for times that are reversed or cannot be written; [`CertificateError::Signing`] if the
/// signer fails or there is no randomness.
pub fn self_signed(
    signer: &dyn Signer,
    subject: &SubjectName,
    not_before: i64,
    not_after: i64,
) -> Result<Certificate, CertificateError> {
    let key = signer.public_key();
    let name = subject.to_der()?;
    let invalid = || CertificateError::Validity { not_before, not_after };
    if not_before > not_after {
        return Err(invalid());
    }
    let from = time(not_before).ok_or_else(invalid)?;
    let to = time(not_after).ok_or_else(invalid)?;
    let tbs = wrap(
        Tag::Sequence,
        &[
            &wrap_context_specific(0, &[CERTIFICATE_VERSION])?,
            &serial_number()?,
            &signature_algorithm(key)?,
            &name,
            &wrap(Tag::Sequence, &[&from, &to])?,
            &name,
            &key.to_spki_der(),
            &wrap_context_specific(3, &[&extensions(key)?])?,
        ],
    )?;
    Certificate::from_der(&signed(signer, &tbs)?)
}

/// A request for a certificate (PKCS#10, RFC 2986), DER. It asks for no extensions: these are the authority's to choose.
///
/// # Errors
/// [`CertificateError::Signing`] if the signer fails.
pub fn certificate_request(signer: &dyn Signer, subject: &SubjectName) -> Result<Vec<u8>, CertificateError> {
    let info = wrap(
        Tag::Sequence,
        &[
            REQUEST_VERSION,
            &subject.to_der()?,
            &signer.public_key().to_spki_der(),
            &wrap_context_specific(0, &[])?,
        ],
    )?;
    signed(signer, &info)
}

/// The same in PEM ("BEGIN CERTIFICATE REQUEST").
///
/// # Errors
/// As for [`certificate_request`].
pub fn certificate_request_pem(signer: &dyn Signer, subject: &SubjectName) -> Result<String, CertificateError> {
    Ok(to_pem("CERTIFICATE REQUEST", &certificate_request(signer, subject)?))
}

/// The octets with algorithm and signature behind them.
fn signed(signer: &dyn Signer, tbs: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let key = signer.public_key();
    let signature = signer.sign(key.algorithm().digest().hash(tbs).as_ref())?;
    let signature = wrap(Tag::BitString, &[&[0], signature.as_ref()])?;
    Ok(wrap(Tag::Sequence, &[tbs, &signature_algorithm(key)?, &signature])?)
}

/// AlgorithmIdentifier without parameters (RFC 9215, section 2).
fn signature_algorithm(key: &PublicKey) -> der::Result<Vec<u8>> {
    wrap(Tag::Sequence, &[&key.algorithm().signature_oid().to_der()?])
}

fn serial_number() -> Result<Vec<u8>, CertificateError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| SignError::Entropy(error.to_string()))?;
    // Positive, and without a leading zero octet.
    serial[0] = serial[0] & 0x7F | 0x40;
    Ok(wrap(Tag::Integer, &[&serial])?)
}

fn time(unix_seconds: i64) -> Option<Vec<u8>> {
    let since_1970 = Duration::from_secs(u64::try_from(unix_seconds).ok()?);
    let date = DateTime::from_unix_duration(since_1970).ok()?;
    if date.year() < FIRST_YEAR_OF_GENERALIZED_TIME {
        UtcTime::from_date_time(date).ok()?.to_der().ok()
    } else {
        GeneralizedTime::from_date_time(date).to_der().ok()
    }
}

fn extensions(key: &PublicKey) -> der::Result<Vec<u8>> {
    let critical = [0x01, 0x01, 0xFF];
    let not_an_authority = wrap(Tag::Sequence, &[])?;
    // RFC 7093, section 2: any hash of the key will do.
    let digest = DigestAlgorithm::Streebog256.hash(key.point());
    let identifier = wrap(Tag::OctetString, &[&digest.as_ref()[..20]])?;
    let extension = |id: ObjectIdentifier, critical: &[u8], value: &[u8]| {
        wrap(
            Tag::Sequence,
            &[&id.to_der()?, critical, &wrap(Tag::OctetString, &[value])?],
        )
    };
    wrap(
        Tag::Sequence,
        &[
            &extension(BASIC_CONSTRAINTS, &critical, &not_an_authority)?,
            &extension(KEY_USAGE, &critical, SIGNATURES)?,
            &extension(SUBJECT_KEY_IDENTIFIER, &[], &identifier)?,
        ],
    )
}
