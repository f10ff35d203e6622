//! GOST signatures for the gateway: GOST R 34.10-2012 with every parameter set in use, GOST R 34.10-2001 for old
//! messages, their hash functions, private keys (PKCS#8) and certificates (X.509).
//!
//! - [`PublicKey`] verifies; [`VerifyingKeys`] keeps tables for the keys that come again and again, which makes it
//!   several times faster.
//! - [`Signer`] signs; [`SoftwareKey`] is the provider that holds its secret in memory.
//! - [`Certificate`] reads X.509; [`self_signed`] and [`certificate_request`] make what a new key needs.
//!
//! Octets follow PROTOCOL 6.2 everywhere: signatures are `s || r`, each most significant octet first; digests are passed
//! as the hash functions give them; public keys travel as SubjectPublicKeyInfo.
//!
//! Signing runs in constant time: neither branches nor table indices of the arithmetic depend on a secret. Nonces come
//! from the secret key, the digest and fresh randomness together (see [`SoftwareKey`]). Verification handles nothing
//! secret and is only fast.

#![forbid(unsafe_code)]

mod certificate;
mod comb;
mod curve;
mod digest;
mod field;
#[doc(hidden)]
pub mod fuzz_bodies;
mod group;
mod hex;
mod nonce;
mod parameters;
mod point;
mod public_key;
mod signature;
mod software;
mod verifying_key;

pub use certificate::{
    Certificate, CertificateError, CertificateId, CertificateOutline, SubjectName, certificate_request,
    certificate_request_pem, self_signed,
};
pub use curve::{Curve, KeyAlgorithm};
pub use der::asn1::ObjectIdentifier;
pub use digest::{Digest, DigestAlgorithm, Hasher};
pub use public_key::{KeyError, PublicKey};
pub use signature::{SignError, Signature, SignatureError, Signer};
pub use software::SoftwareKey;
pub use verifying_key::{VerifyingKey, VerifyingKeys};
