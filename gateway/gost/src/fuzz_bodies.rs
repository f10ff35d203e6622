//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use der::pem::{LineEnding, encode_string};

use crate::{Certificate, CertificateOutline, PublicKey, Signer, SoftwareKey, SubjectName};

/// A certificate is what its octets say, in DER and in PEM alike.
///
/// # Panics
/// When it is not.
pub fn certificate(octets: &[u8]) {
    let outline = CertificateOutline::from_der(octets);
    if let Ok(certificate) = Certificate::from_der(octets) {
        assert_eq!(certificate.der(), octets);
        let pem = Certificate::from_pem_or_der(certificate.to_pem().as_bytes());
        assert_eq!(pem.as_ref(), Ok(&certificate));
        let told = CertificateOutline {
            subject: certificate.subject().to_owned(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        };
        assert_eq!(outline, Ok(told));
        // Whether it is signed with its own key is told; which of the two it is does not matter here.
        let _ = certificate.verify(certificate.public_key());
        let _ = certificate.public_key().prepare();
    }
    let _ = Certificate::from_pem_or_der(octets);
    let _ = PublicKey::from_spki_der(octets);
    if let Ok(text) = std::str::from_utf8(octets) {
        let _ = SubjectName::new(text);
    }
}

/// A private key that is read, in PEM or as what PEM would hold, is the same when it is written again.
///
/// # Panics
/// When it is not.
pub fn private_key(octets: &[u8]) {
    let packed = encode_string("PRIVATE KEY", LineEnding::LF, octets).unwrap_or_default();
    for text in [std::str::from_utf8(octets).unwrap_or_default(), &packed] {
        if let Ok(key) = SoftwareKey::from_pem(text) {
            let again = SoftwareKey::from_pem(&key.to_pem()).expect("what we wrote is a key");
            assert_eq!(again.public_key(), key.public_key());
        }
    }
}
