//! Somebody who signs: a mnemonic, a name, a key and its certificate.

use std::sync::Arc;
use std::time::Duration;

use gost::{Certificate, Curve, KeyAlgorithm, Signer, SoftwareKey, SubjectName, VerifyingKey};
use jiff::Timestamp;

/// A key or certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("an identity for {mnemonic} cannot be made: {cause}")]
pub struct IdentityError {
    mnemonic: String,
    cause: String,
}

/// Somebody who signs messages. Clones share the key.
#[derive(Clone)]
pub struct Identity {
    mnemonic: String,
    name: String,
    signer: Arc<dyn Signer>,
    certificate: Certificate,
    private_key_pem: Option<Arc<str>>,
}

impl Identity {
    /// A new 256-bit key (CryptoPro-A) with a self-signed certificate valid from yesterday for ten years.
    ///
    /// # Errors
    /// If the mnemonic cannot stand in a certificate or randomness fails.
    pub fn generate(mnemonic: &str) -> Result<Identity, IdentityError> {
        let now = Timestamp::now().as_second();
        Identity::generate_with(
            mnemonic,
            Curve::CryptoProA,
            KeyAlgorithm::Gost2012_256,
            now - 86_400..now + 10 * 366 * 86_400,
        )
    }

    /// A new key on `curve` with a self-signed certificate valid in `validity` (Unix seconds).
    ///
    /// # Errors
    /// As [`Identity::generate`], and if the curve is not one of the algorithm's.
    pub fn generate_with(
        mnemonic: &str,
        curve: Curve,
        algorithm: KeyAlgorithm,
        validity: std::ops::Range<i64>,
    ) -> Result<Identity, IdentityError> {
        let fail = |cause: String| IdentityError {
            mnemonic: mnemonic.to_owned(),
            cause,
        };
        let key = SoftwareKey::generate(curve, algorithm).map_err(|error| fail(error.to_string()))?;
        let subject: SubjectName = format!("CN={mnemonic},O=Emulator,C=RU")
            .parse()
            .map_err(|error| fail(format!("{error}")))?;
        let certificate =
            gost::self_signed(&key, &subject, validity.start, validity.end).map_err(|error| fail(error.to_string()))?;
        let pem = Arc::from(key.to_pem().as_str());
        Ok(Identity {
            private_key_pem: Some(pem),
            ..Identity::from_parts(mnemonic, Arc::new(key), certificate)
        })
    }

    /// An identity of a key (PKCS#8) and a certificate that exist as PEM.
    ///
    /// # Errors
    /// If either cannot be read.
    pub fn from_pem(mnemonic: &str, key: &str, certificate: &str) -> Result<Identity, IdentityError> {
        let fail = |cause: String| IdentityError {
            mnemonic: mnemonic.to_owned(),
            cause,
        };
        let signer = SoftwareKey::from_pem(key).map_err(|error| fail(error.to_string()))?;
        let certificate =
            Certificate::from_pem_or_der(certificate.as_bytes()).map_err(|error| fail(error.to_string()))?;
        let pem = Some(Arc::from(key));
        Ok(Identity {
            private_key_pem: pem,
            ..Identity::from_parts(mnemonic, Arc::new(signer), certificate)
        })
    }

    /// An identity of a key and certificate that exist.
    pub fn from_parts(mnemonic: &str, signer: Arc<dyn Signer>, certificate: Certificate) -> Identity {
        Identity {
            mnemonic: mnemonic.to_owned(),
            name: mnemonic.to_owned(),
            signer,
            certificate,
            private_key_pem: None,
        }
    }

    /// The same with a name for people.
    #[must_use]
    pub fn named(mut self, name: &str) -> Identity {
        name.clone_into(&mut self.name);
        self
    }

    /// The mnemonic.
    pub fn mnemonic(&self) -> &str {
        &self.mnemonic
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The private key as PKCS#8 PEM, if this program generated it. Such keys belong to tests only.
    pub fn private_key_pem(&self) -> Option<&str> {
        self.private_key_pem.as_deref()
    }

    /// Signs a fragment whose root has an Id: the text of `ds:Signature`.
    pub(crate) fn sign(&self, fragment: &str) -> Result<String, xmldsig::SignError> {
        xmldsig::sign_fragment(fragment, self.signer.as_ref(), &self.certificate)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("mnemonic", &self.mnemonic)
            .finish_non_exhaustive()
    }
}

/// A certificate with its prepared key: what is needed to recognise and verify one signer.
#[derive(Clone)]
pub(crate) struct Trusted {
    pub(crate) certificate: Certificate,
    pub(crate) key: Arc<VerifyingKey>,
}

impl Trusted {
    pub(crate) fn new(certificate: Certificate) -> Trusted {
        let key = Arc::new(certificate.public_key().prepare());
        Trusted { certificate, key }
    }
}

/// How long an answer may take before a caller gives up.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
