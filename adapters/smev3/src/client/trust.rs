//! Whose signatures are accepted on what an upstream says: exactly the certificates that the configuration pins.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::command::Evidence;
use gost::{Certificate, CertificateId, VerifyingKey};
use xmldsig::{Document, Element, SignatureElement, XMLDSIG_NAMESPACE};

use super::error::ClientError;

/// The pinned signers; can be replaced while the client works.
///
/// A pinned certificate is trusted because a person named it: neither its issuer nor its dates are looked at. An
/// operator sees the dates in the metric `certificate_expires_seconds`.
pub(super) struct TrustedSigners(RwLock<Arc<[Signer]>>);

struct Signer {
    der: Vec<u8>,
    id: CertificateId,
    key: VerifyingKey,
}

impl TrustedSigners {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        Self(RwLock::new(prepare(certificates)))
    }

    pub(super) fn replace(&self, certificates: &[Certificate]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = prepare(certificates);
    }

    /// Checks the signature that stands in `parent/wrapper` over `target`, and gives its evidence.
    pub(super) fn verify(
        &self,
        document: &Document<'_>,
        wrapper: Option<Element<'_, '_>>,
        target: Element<'_, '_>,
    ) -> Result<Evidence, ClientError> {
        let bad = |text: String| ClientError::BadSignature(text);
        let wrapper = wrapper.ok_or_else(|| bad("the answer is not signed".to_owned()))?;
        let signature = wrapper
            .only_child(XMLDSIG_NAMESPACE, "Signature")
            .map_err(|error| bad(format!("ds:Signature: {error}")))?;
        let signature = SignatureElement::parse(signature).map_err(|error| bad(error.to_string()))?;
        let signers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let der = signature.certificate_der();
        let signer = signers.iter().find(|signer| signer.der == der).ok_or_else(|| {
            bad(format!(
                "certificate {} is not among the trusted signers",
                CertificateId::of_der(der)
            ))
        })?;
        let proof = signature
            .verify(document, target, &signer.key)
            .map_err(|error| bad(error.to_string()))?;
        Ok(Evidence {
            certificate: signer.id,
            signed_info: proof.canonical_signed_info,
            signature: STANDARD.encode(&proof.signature_value),
            attachments: Vec::new(),
        })
    }
}

fn prepare(certificates: &[Certificate]) -> Arc<[Signer]> {
    let signer = |certificate: &Certificate| Signer {
        der: certificate.der().to_vec(),
        id: certificate.id(),
        key: certificate.public_key().prepare(),
    };
    certificates.iter().map(signer).collect()
}
