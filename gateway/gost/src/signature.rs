//! Signatures, and what can go wrong with them.

use crate::public_key::PublicKey;
use std::fmt;

/// A signature of 64 or 128 octets: `s || r`, each most significant octet first (PROTOCOL 6.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature {
    octets: [u8; 128],
    len: usize,
}

impl Signature {
    /// The signature with these octets; `None` unless there are 64 or 128. For signers outside of this crate.
    #[must_use]
    pub fn from_octets(signature: &[u8]) -> Option<Self> {
        matches!(signature.len(), 64 | 128).then(|| {
            let mut octets = [0; 128];
            octets[..signature.len()].copy_from_slice(signature);
            Self {
                octets,
                len: signature.len(),
            }
        })
    }
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        crate::hex::write(f, self.as_ref())?;
        f.write_str(")")
    }
}

/// A private key, wherever it is kept. Implementations are interchangeable: one suite of tests runs over all of them.
pub trait Signer: Send + Sync {
    /// The public half of the key.
    fn public_key(&self) -> &PublicKey;

    /// Signs a digest, which must come from the key's hash function (`public_key().algorithm().digest()`).
    ///
    /// # Errors
    /// [`SignError`]; the same call may succeed later only after [`SignError::Entropy`] and [`SignError::Provider`].
    fn sign(&self, digest: &[u8]) -> Result<Signature, SignError>;
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The caller hashed with another function than the key's.
    #[error("a digest of {actual} octets for a key that signs {expected}")]
    DigestLength {
        /// Octets the key signs.
        expected: usize,
        /// Octets given.
        actual: usize,
    },
    /// The operating system gave no random octets.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
    /// The provider that holds the key failed.
    #[error("the key's provider failed: {0}")]
    Provider(String),
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature has not the length that the key makes.
    #[error("a signature of {actual} octets where the key makes {expected}")]
    Length {
        /// Octets of the key's signatures.
        expected: usize,
        /// Octets given.
        actual: usize,
    },
    /// The digest is not of the key's hash function.
    #[error("a digest of {actual} octets for a key that signs {expected}")]
    DigestLength {
        /// Octets the key signs.
        expected: usize,
        /// Octets given.
        actual: usize,
    },
    /// It is no signature of this digest by this key.
    #[error("the signature does not match the data and the key")]
    Invalid,
}
