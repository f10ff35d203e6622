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
/// digest. So a weak random generator does not give the key away, and signing the same data twice shows nothing either.
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
            return Err(KeyError::Pem(format!("its label is {label}")));
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [0x2A; 32];

    fn key() -> SoftwareKey {
        SoftwareKey::from_secret(KeyAlgorithm::Gost2012_256, Curve::CryptoProA, &SECRET).expect("a secret in range")
    }

    /// A PrivateKeyInfo with this content of its OCTET STRING.
    fn pkcs8(content: &[u8]) -> Vec<u8> {
        let parameters = KeyParameters::new(KeyAlgorithm::Gost2012_256, Curve::CryptoProA)
            .to_der()
            .expect("small");
        let algorithm = AlgorithmIdentifier {
            oid: KeyAlgorithm::Gost2012_256.oid(),
            parameters: Some(AnyRef::from_der(&parameters).expect("DER")),
        };
        PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(content).expect("small"))
            .to_der()
            .expect("small")
    }

    #[test]
    fn all_three_forms_of_the_secret_are_read() {
        let mut integer = vec![0x02, 32];
        integer.extend(SECRET.iter().rev());
        let mut octets = vec![0x04, 32];
        octets.extend(SECRET);
        for content in [SECRET.to_vec(), integer, octets] {
            let read = SoftwareKey::from_pkcs8_der(&pkcs8(&content)).expect("a form in use");
            assert_eq!(read.public_key(), key().public_key());
        }
        for content in [&SECRET[1..], &[0x02, 1, 0], &[]] {
            assert_eq!(
                SoftwareKey::from_pkcs8_der(&pkcs8(content)).err(),
                Some(KeyError::SecretOutOfRange)
            );
        }
    }

    #[test]
    fn secrets_out_of_range_are_refused() {
        let new = |secret: &[u8]| SoftwareKey::from_secret(KeyAlgorithm::Gost2012_256, Curve::CryptoProA, secret).err();
        let mut order = crate::hex::parse::<32>("ffffffffffffffffffffffffffffffff6c611070995ad10045841b09b761b893")
            .expect("hexadecimal");
        order.reverse();
        assert_eq!(new(&[0; 32]), Some(KeyError::SecretOutOfRange));
        assert_eq!(new(&order), Some(KeyError::SecretOutOfRange));
        assert_eq!(new(&[0xFF; 32]), Some(KeyError::SecretOutOfRange));
        assert_eq!(new(&[1; 31]), Some(KeyError::SecretOutOfRange));
        assert_eq!(new(&[1; 64]), Some(KeyError::SecretOutOfRange));
        order[0] -= 1;
        assert_eq!(new(&order), None);
    }

    #[test]
    fn keys_that_must_not_sign_are_not_made() {
        assert_eq!(
            SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2001).err(),
            Some(KeyError::VerificationOnly(KeyAlgorithm::Gost2001))
        );
        assert_eq!(
            SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_512).err(),
            Some(KeyError::Mismatch {
                algorithm: KeyAlgorithm::Gost2012_512,
                curve: Curve::CryptoProA
            })
        );
    }

    #[test]
    fn neither_repeated_randomness_nor_a_repeated_digest_repeats_a_nonce() {
        let key = key();
        let r = |digest: u8, fresh: u8| {
            key.sign_with(&[digest; 32], &[fresh; 32])
                .expect("a signature")
                .as_ref()[32..]
                .to_vec()
        };
        assert_eq!(r(1, 1), r(1, 1));
        assert_ne!(r(1, 1), r(2, 1));
        assert_ne!(r(1, 1), r(1, 2));
        assert_ne!(key.sign(&[1; 32]), key.sign(&[1; 32]));
    }

    #[test]
    fn a_digest_of_another_hash_function_is_refused() {
        assert_eq!(
            key().sign(&[0; 64]),
            Err(SignError::DigestLength {
                expected: 32,
                actual: 64
            })
        );
    }

    #[test]
    fn debug_output_has_no_secret() {
        let text = format!("{:?}", key());
        assert!(text.contains("public_key"));
        assert!(!text.contains("2a2a2a") && !text.contains("42, 42"));
    }

    #[test]
    fn text_that_is_no_private_key_is_told_apart() {
        let public = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n";
        assert_eq!(
            SoftwareKey::from_pem(public).err(),
            Some(KeyError::Pem("its label is PUBLIC KEY".to_owned()))
        );
        assert!(matches!(SoftwareKey::from_pem("no PEM at all"), Err(KeyError::Pem(_))));
    }
}
