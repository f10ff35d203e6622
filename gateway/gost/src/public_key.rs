//! Public keys and their encoding (SubjectPublicKeyInfo of RFC 4491 and RFC 9215).

use crate::curve::{Curve, KeyAlgorithm};
use crate::group::PointFault;
use crate::signature::SignatureError;
use crate::verifying_key::VerifyingKey;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};
use std::fmt;

/// A public key: a point that has been checked to lie on its curve and in the group of its base point.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    curve: Curve,
    /// `x || y`, each least significant octet first; zeros behind.
    point: [u8; 128],
}

impl PublicKey {
    /// The key of a SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// [`KeyError`] for anything that is not a key of a known algorithm and parameter set, or whose point is out of
    /// range, off the curve or outside the subgroup.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(der)?;
        let (algorithm, curve) = read_algorithm(&info.algorithm)?;
        let wrapped = info.subject_public_key.as_bytes().ok_or(KeyError::PointEncoding)?;
        let point = <&OctetStringRef>::from_der(wrapped)?;
        Self::from_point(algorithm, curve, point.as_bytes())
    }

    /// The SubjectPublicKeyInfo, DER, as RFC 9215 wants it and OpenSSL's gost engine writes it.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        self.encode_spki().expect("the lengths are small and fixed")
    }

    /// The key of a point, `x || y`, each least significant octet first.
    ///
    /// # Errors
    /// [`KeyError`] as for [`PublicKey::from_spki_der`].
    pub fn from_point(algorithm: KeyAlgorithm, curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        if !algorithm.allows(curve) {
            return Err(KeyError::Mismatch { algorithm, curve });
        }
        if point.len() != 2 * curve.coordinate_len() {
            return Err(KeyError::PointEncoding);
        }
        curve.group().check_point(point)?;
        let mut octets = [0; 128];
        octets[..point.len()].copy_from_slice(point);
        Ok(Self {
            algorithm,
            curve,
            point: octets,
        })
    }

    /// The signature scheme.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The parameter set.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The point, `x || y`, each least significant octet first.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point[..2 * self.curve.coordinate_len()]
    }

    /// Checks a signature of a digest. For a key that comes again, [`PublicKey::prepare`] once is several times faster.
    ///
    /// # Errors
    /// [`SignatureError`] unless the signature is this key's for this digest.
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.check_lengths(digest, signature)?;
        if self.curve.group().verify(self.point(), digest, signature) {
            Ok(())
        } else {
            Err(SignatureError::Invalid)
        }
    }

    /// Computes the table that makes verification fast; takes as long as a few verifications.
    #[must_use]
    pub fn prepare(&self) -> VerifyingKey {
        VerifyingKey::new(self.clone())
    }

    pub(crate) fn check_lengths(&self, digest: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let expected = self.algorithm.digest().len();
        if digest.len() != expected {
            return Err(SignatureError::DigestLength {
                expected,
                actual: digest.len(),
            });
        }
        let expected = self.algorithm.signature_len();
        if signature.len() != expected {
            return Err(SignatureError::Length {
                expected,
                actual: signature.len(),
            });
        }
        Ok(())
    }

    fn encode_spki(&self) -> der::Result<Vec<u8>> {
        let point = OctetStringRef::new(self.point())?.to_der()?;
        let parameters = KeyParameters::new(self.algorithm, self.curve).to_der()?;
        SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifier {
                oid: self.algorithm.oid(),
                parameters: Some(AnyRef::from_der(&parameters)?),
            },
            subject_public_key: BitStringRef::from_bytes(&point)?,
        }
        .to_der()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {}, ", self.algorithm, self.curve)?;
        crate::hex::write(f, self.point())?;
        f.write_str(")")
    }
}

/// Why something is not a usable key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The DER or PEM encoding is broken.
    #[error("the key is not encoded as it should be: {0}")]
    Encoding(#[from] der::Error),
    /// The text is not PEM of a private key.
    #[error("not a private key in PEM (\"BEGIN PRIVATE KEY\", unencrypted): {0}")]
    Pem(String),
    /// The key is for another algorithm than GOST R 34.10.
    #[error("{0} is not a GOST key algorithm")]
    UnknownAlgorithm(ObjectIdentifier),
    /// The parameter set is not one of those in use.
    #[error("{0} is not a known GOST parameter set")]
    UnknownParameters(ObjectIdentifier),
    /// The key names no parameter set.
    #[error("the key names no parameter set")]
    NoParameters,
    /// The key names a hash function that its algorithm does not sign with.
    #[error("{0} is not the hash function of the key's algorithm")]
    UnexpectedDigest(ObjectIdentifier),
    /// The parameter set is for keys of another kind or size.
    #[error("parameter set {curve} does not go with {algorithm:?}")]
    Mismatch {
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
        /// The key's parameter set.
        curve: Curve,
    },
    /// The octets of the public key have the wrong length, or a coordinate is not below the field's prime.
    #[error("the public key is not a pair of coordinates in range")]
    PointEncoding,
    /// The public key is no point of its curve.
    #[error("the public key is not a point of its curve")]
    NotOnCurve,
    /// The public key is a point outside the group that signatures use.
    #[error("the public key is not in the group of the base point")]
    NotInSubgroup,
    /// The secret has the wrong length, is zero or not below the order of the group.
    #[error("the secret key is out of range")]
    SecretOutOfRange,
    /// GOST R 34.10-2001 keys are for verification of old messages only.
    #[error("keys of {0:?} are for verification only")]
    VerificationOnly(KeyAlgorithm),
    /// The operating system gave no random octets.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
}

impl From<PointFault> for KeyError {
    fn from(fault: PointFault) -> Self {
        match fault {
            PointFault::Encoding => Self::PointEncoding,
            PointFault::NotOnCurve => Self::NotOnCurve,
            PointFault::NotInSubgroup => Self::NotInSubgroup,
        }
    }
}

/// GostR3410-2012-PublicKeyParameters (RFC 9215, section 4.2) and GostR3410-2001-PublicKeyParameters (RFC 4491).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(crate) struct KeyParameters {
    curve: ObjectIdentifier,
    digest: Option<ObjectIdentifier>,
    /// Only with GOST R 34.10-2001: the parameters of encryption for the same key; of no meaning here.
    encryption: Option<ObjectIdentifier>,
}

impl KeyParameters {
    /// RFC 9215: the hash function is named with the sets of RFC 4357 and left out with the 256-bit sets of TC 26. With
    /// the 512-bit sets it may be either way; the gost engine names it with A and B.
    pub(crate) fn new(algorithm: KeyAlgorithm, curve: Curve) -> Self {
        let named = curve.is_crypto_pro() || matches!(curve, Curve::Tc26A512 | Curve::Tc26B512);
        Self {
            curve: curve.oid(),
            digest: named.then(|| algorithm.digest_oid()),
            encryption: None,
        }
    }
}

/// Algorithm and parameter set of a key in SubjectPublicKeyInfo or PKCS#8.
pub(crate) fn read_algorithm(identifier: &AlgorithmIdentifier<AnyRef<'_>>) -> Result<(KeyAlgorithm, Curve), KeyError> {
    let algorithm = KeyAlgorithm::from_oid(identifier.oid).ok_or(KeyError::UnknownAlgorithm(identifier.oid))?;
    let parameters = identifier
        .parameters
        .ok_or(KeyError::NoParameters)?
        .decode_as::<KeyParameters>()?;
    let curve = Curve::from_oid(parameters.curve).ok_or(KeyError::UnknownParameters(parameters.curve))?;
    if let Some(digest) = parameters.digest.filter(|digest| *digest != algorithm.digest_oid()) {
        return Err(KeyError::UnexpectedDigest(digest));
    }
    Ok((algorithm, curve))
}
