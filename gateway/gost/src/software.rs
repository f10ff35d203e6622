//! The provider that keeps the secret in memory.

use crate::curve::{Curve, KeyAlgorithm};
use crate::nonce::NonceSource;
use crate::public_key::{KeyError, KeyParameters, PublicKey, read_algorithm};
use crate::signature::{SignError, Signature, Signer};
use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::pem::LineEnding;
use der::{Decode, Encode, SecretDocument};
use pkcs8::PrivateKeyInfoRef;
use spki::AlgorithmIdentifier;
use std::fmt;
use zeroize::Zeroizing;

/// A private key in this process's memory, wiped when it is dropped.
///
/// Every signature takes 32 octets from the operating system; its nonce is an HMAC under the secret over these and the
/// digest, so that neither a weak random generator nor an observer of one source alone can learn the key.
pub struct SoftwareKey {
    public_key: PublicKey,
    /// Least significant octet first.
    secret: Zeroizing<[u8; 64]>,
    nonces: NonceSource,
}

/// Attempts at a signature. One fails with a chance of about 2^-250, so that a second failure means a broken machine.
const ATTEMPTS: u8 = 8;

const PEM_LABEL: &str = "PRIVATE KEY";

impl SoftwareKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError`] if the parameter set does not go with the algorithm, if the algorithm is for verification only
    /// (GOST R 34.10-2001) or if there is no randomness.
    pub fn generate(curve: Curve, algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 64]);
        let secret = &mut secret[..curve.coordinate_len()];
        loop {
            getrandom::fill(secret).map_err(|error| KeyError::Entropy(error.to_string()))?;
            match Self::from_secret(algorithm, curve, secret) {
                // At worst three in four are above the order (tc26-256-a, tc26-512-c).
                Err(KeyError::SecretOutOfRange) => {}
                result => return result,
            }
        }
    }

    /// The key with this secret, least significant octet first.
    ///
    /// # Errors
    /// [`KeyError`] if the secret is zero, not below the order of the group or of the wrong length, and as for
    /// [`SoftwareKey::generate`].
    pub fn from_secret(algorithm: KeyAlgorithm, curve: Curve, secret: &[u8]) -> Result<Self, KeyError> {
        if algorithm == KeyAlgorithm::Gost2001 {
            return Err(KeyError::VerificationOnly(algorithm));
        }
        if !algorithm.allows(curve) {
            return Err(KeyError::Mismatch { algorithm, curve });
        }
        let mut point = [0; 128];
        let point = &mut point[..2 * curve.coordinate_len()];
        if !curve.group().public_point(secret, point) {
            return Err(KeyError::SecretOutOfRange);
        }
        let mut octets = Zeroizing::new([0; 64]);
        octets[..secret.len()].copy_from_slice(secret);
        Ok(Self {
            public_key: PublicKey::from_point(algorithm, curve, point)?,
            secret: octets,
            nonces: NonceSource::new(secret, curve.name()),
        })
    }

    /// The key of a PKCS#8 PrivateKeyInfo in PEM ("BEGIN PRIVATE KEY").
    ///
    /// # Errors
    /// [`KeyError`], as for [`SoftwareKey::from_pkcs8_der`] or if the text is no such PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(pem).map_err(|error| KeyError::Pem(error.to_string()))?;
        if label != PEM_LABEL {
            return Err(KeyError::Pem(format!("it is a {label}")));
        }
        Self::from_pkcs8_der(document.as_bytes())
    }

    /// The key of a PKCS#8 PrivateKeyInfo. All three forms of the secret in use are read: octets, least significant
    /// first; the same within another OCTET STRING; an INTEGER.
    ///
    /// # Errors
    /// [`KeyError`] if it is not such a key, is of another algorithm, or its secret is out of range.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der)?;
        let (algorithm, curve) = read_algorithm(&info.algorithm)?;
        let octets = info.private_key.as_bytes();
        if octets.len() == curve.coordinate_len() {
            return Self::from_secret(algorithm, curve, octets);
        }
        if let Ok(wrapped) = <&OctetStringRef>::from_der(octets) {
            return Self::from_secret(algorithm, curve, wrapped.as_bytes());
        }
        let integer = UintRef::from_der(octets).map_err(|_| KeyError::SecretOutOfRange)?;
        let mut secret = Zeroizing::new([0; 64]);
        let secret = &mut secret[..curve.coordinate_len()];
        if integer.as_bytes().len() > secret.len() {
            return Err(KeyError::SecretOutOfRange);
        }
        secret
            .iter_mut()
            .zip(integer.as_bytes().iter().rev())
            .for_each(|(to, from)| *to = *from);
        Self::from_secret(algorithm, curve, secret)
    }

    /// The key as PKCS#8 PrivateKeyInfo in PEM, readable by OpenSSL's gost engine.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.encode().expect("the lengths are small and fixed")
    }

    fn encode(&self) -> der::Result<Zeroizing<String>> {
        let (algorithm, curve) = (self.public_key.algorithm(), self.public_key.curve());
        let parameters = KeyParameters::new(algorithm, curve).to_der()?;
        let info = PrivateKeyInfoRef::new(
            AlgorithmIdentifier {
                oid: algorithm.oid(),
                parameters: Some(AnyRef::from_der(&parameters)?),
            },
            OctetStringRef::new(self.secret())?,
        );
        SecretDocument::encode_msg(&info)?.to_pem(PEM_LABEL, LineEnding::LF)
    }

    fn secret(&self) -> &[u8] {
        &self.secret[..self.public_key.curve().coordinate_len()]
    }

    /// Signs with the given randomness.
    fn sign_with(&self, digest: &[u8], fresh: &[u8; 32]) -> Result<Signature, SignError> {
        let expected = self.public_key.algorithm().digest().len();
        if digest.len() != expected {
            return Err(SignError::DigestLength {
                expected,
                actual: digest.len(),
            });
        }
        let curve = self.public_key.curve();
        let mut nonce = Zeroizing::new([0; 128]);
        let nonce = &mut nonce[..2 * curve.coordinate_len()];
        let mut signature = [0; 128];
        let signature = &mut signature[..self.public_key.algorithm().signature_len()];
        for attempt in 0..ATTEMPTS {
            self.nonces.fill(fresh, digest, attempt, nonce);
            if curve.group().sign(self.secret(), digest, nonce, signature) {
                return Signature::from_octets(signature)
                    .ok_or(SignError::Provider("a length that is none".to_owned()));
            }
        }
        Err(SignError::Provider(format!("no signature in {ATTEMPTS} attempts")))
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, digest: &[u8]) -> Result<Signature, SignError> {
        let mut fresh = Zeroizing::new([0; 32]);
        getrandom::fill(fresh.as_mut()).map_err(|error| SignError::Entropy(error.to_string()))?;
        self.sign_with(digest, &fresh)
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}
