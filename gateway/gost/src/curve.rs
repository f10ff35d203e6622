//! The names of parameter sets and key algorithms, with their object identifiers (RFC 4357, RFC 7836, RFC 9215).

use crate::digest::DigestAlgorithm;
use crate::group::Group;
use crate::parameters;
use spki::ObjectIdentifier;
use std::fmt;

/// A parameter set of GOST R 34.10, under one of its names. Several names stand for the same curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// id-GostR3410-2001-CryptoPro-A-ParamSet
    CryptoProA,
    /// id-GostR3410-2001-CryptoPro-B-ParamSet
    CryptoProB,
    /// id-GostR3410-2001-CryptoPro-C-ParamSet
    CryptoProC,
    /// id-GostR3410-2001-CryptoPro-XchA-ParamSet, the curve of CryptoPro-A
    CryptoProXchA,
    /// id-GostR3410-2001-CryptoPro-XchB-ParamSet, the curve of CryptoPro-C
    CryptoProXchB,
    /// id-tc26-gost-3410-2012-256-paramSetA, cofactor 4
    Tc26A256,
    /// id-tc26-gost-3410-2012-256-paramSetB, the curve of CryptoPro-A
    Tc26B256,
    /// id-tc26-gost-3410-2012-256-paramSetC, the curve of CryptoPro-B
    Tc26C256,
    /// id-tc26-gost-3410-2012-256-paramSetD, the curve of CryptoPro-C
    Tc26D256,
    /// id-tc26-gost-3410-2012-512-paramSetA
    Tc26A512,
    /// id-tc26-gost-3410-2012-512-paramSetB
    Tc26B512,
    /// id-tc26-gost-3410-2012-512-paramSetC, cofactor 4
    Tc26C512,
}

impl Curve {
    /// Every parameter set.
    pub const ALL: &[Self] = &[
        Self::CryptoProA,
        Self::CryptoProB,
        Self::CryptoProC,
        Self::CryptoProXchA,
        Self::CryptoProXchB,
        Self::Tc26A256,
        Self::Tc26B256,
        Self::Tc26C256,
        Self::Tc26D256,
        Self::Tc26A512,
        Self::Tc26B512,
        Self::Tc26C512,
    ];

    /// The object identifier that names it in keys and certificates.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::CryptoProA => "1.2.643.2.2.35.1",
            Self::CryptoProB => "1.2.643.2.2.35.2",
            Self::CryptoProC => "1.2.643.2.2.35.3",
            Self::CryptoProXchA => "1.2.643.2.2.36.0",
            Self::CryptoProXchB => "1.2.643.2.2.36.1",
            Self::Tc26A256 => "1.2.643.7.1.2.1.1.1",
            Self::Tc26B256 => "1.2.643.7.1.2.1.1.2",
            Self::Tc26C256 => "1.2.643.7.1.2.1.1.3",
            Self::Tc26D256 => "1.2.643.7.1.2.1.1.4",
            Self::Tc26A512 => "1.2.643.7.1.2.1.2.1",
            Self::Tc26B512 => "1.2.643.7.1.2.1.2.2",
            Self::Tc26C512 => "1.2.643.7.1.2.1.2.3",
        })
    }

    /// The parameter set of an object identifier, if it is a known one.
    #[must_use]
    pub fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.iter().copied().find(|curve| curve.oid() == oid)
    }

    /// A short name for people and for the command line, such as `cryptopro-a` or `tc26-512-c`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CryptoProA => "cryptopro-a",
            Self::CryptoProB => "cryptopro-b",
            Self::CryptoProC => "cryptopro-c",
            Self::CryptoProXchA => "cryptopro-xcha",
            Self::CryptoProXchB => "cryptopro-xchb",
            Self::Tc26A256 => "tc26-256-a",
            Self::Tc26B256 => "tc26-256-b",
            Self::Tc26C256 => "tc26-256-c",
            Self::Tc26D256 => "tc26-256-d",
            Self::Tc26A512 => "tc26-512-a",
            Self::Tc26B512 => "tc26-512-b",
            Self::Tc26C512 => "tc26-512-c",
        }
    }

    /// The parameter set of a [`Curve::name`], if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|curve| curve.name() == name)
    }

    /// Octets of a coordinate, of a secret and of half a signature: 32 or 64.
    #[must_use]
    pub const fn coordinate_len(self) -> usize {
        match self {
            Self::Tc26A512 | Self::Tc26B512 | Self::Tc26C512 => 64,
            _ => 32,
        }
    }

    /// Whether it was defined for GOST R 34.10-2001 (RFC 4357). Only with these do keys name their hash function.
    pub(crate) const fn is_crypto_pro(self) -> bool {
        matches!(
            self,
            Self::CryptoProA | Self::CryptoProB | Self::CryptoProC | Self::CryptoProXchA | Self::CryptoProXchB
        )
    }

    pub(crate) fn group(self) -> &'static dyn Group {
        match self {
            Self::CryptoProA | Self::CryptoProXchA | Self::Tc26B256 => parameters::crypto_pro_a(),
            Self::CryptoProB | Self::Tc26C256 => parameters::crypto_pro_b(),
            Self::CryptoProC | Self::CryptoProXchB | Self::Tc26D256 => parameters::crypto_pro_c(),
            Self::Tc26A256 => parameters::tc26_a_256(),
            Self::Tc26A512 => parameters::tc26_a_512(),
            Self::Tc26B512 => parameters::tc26_b_512(),
            Self::Tc26C512 => parameters::tc26_c_512(),
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a key is for: the signature scheme and the hash function that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// GOST R 34.10-2001, for messages of earlier years.
    Gost2001,
    /// GOST R 34.10-2012 with keys of 256 bits.
    Gost2012_256,
    /// GOST R 34.10-2012 with keys of 512 bits.
    Gost2012_512,
}

impl KeyAlgorithm {
    /// The hash function that keys of this kind sign with.
    #[must_use]
    pub const fn digest(self) -> DigestAlgorithm {
        match self {
            Self::Gost2001 => DigestAlgorithm::Gost94CryptoPro,
            Self::Gost2012_256 => DigestAlgorithm::Streebog256,
            Self::Gost2012_512 => DigestAlgorithm::Streebog512,
        }
    }

    /// Octets of a signature: 64 or 128.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        2 * self.coordinate_len()
    }

    /// The object identifier of keys of this kind (SubjectPublicKeyInfo, PKCS#8).
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Gost2001 => "1.2.643.2.2.19",
            Self::Gost2012_256 => "1.2.643.7.1.1.1.1",
            Self::Gost2012_512 => "1.2.643.7.1.1.1.2",
        })
    }

    /// The object identifier of signatures with the hash function (signatureAlgorithm of certificates, CMS).
    #[must_use]
    pub const fn signature_oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Gost2001 => "1.2.643.2.2.3",
            Self::Gost2012_256 => "1.2.643.7.1.1.3.2",
            Self::Gost2012_512 => "1.2.643.7.1.1.3.3",
        })
    }

    /// Whether keys of this kind can use the parameter set.
    #[must_use]
    pub const fn allows(self, curve: Curve) -> bool {
        match self {
            Self::Gost2001 => curve.is_crypto_pro(),
            Self::Gost2012_256 | Self::Gost2012_512 => curve.coordinate_len() == self.coordinate_len(),
        }
    }

    /// The object identifier of the hash function (digestParamSet of keys).
    pub(crate) const fn digest_oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Gost2001 => "1.2.643.2.2.30.1",
            Self::Gost2012_256 => "1.2.643.7.1.1.2.2",
            Self::Gost2012_512 => "1.2.643.7.1.1.2.3",
        })
    }

    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::Gost2001, Self::Gost2012_256, Self::Gost2012_512]
            .into_iter()
            .find(|algorithm| algorithm.oid() == oid)
    }

    const fn coordinate_len(self) -> usize {
        match self {
            Self::Gost2001 | Self::Gost2012_256 => 32,
            Self::Gost2012_512 => 64,
        }
    }
}
