//! The hash functions: GOST R 34.11-2012 ("Streebog", RFC 6986) and, for old messages, GOST R 34.11-94 (RFC 5831).

use std::fmt;
use streebog::Digest as _;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// GOST R 34.11-94 with the CryptoPro S-box set (RFC 4357, id-GostR3411-94-CryptoProParamSet), 32 octets.
    Gost94CryptoPro,
    /// GOST R 34.11-2012, 32 octets.
    Streebog256,
    /// GOST R 34.11-2012, 64 octets.
    Streebog512,
}

impl DigestAlgorithm {
    /// The digest of `data`.
    #[must_use]
    pub fn hash(self, data: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(data);
        hasher.finalize()
    }

    /// A digest to be computed piece by piece.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Gost94CryptoPro => State::Gost94CryptoPro(gost94::Gost94CryptoPro::new()),
            Self::Streebog256 => State::Streebog256(streebog::Streebog256::new()),
            Self::Streebog512 => State::Streebog512(streebog::Streebog512::new()),
        })
    }

    /// Octets of a digest: 32 or 64.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a digest is never empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Gost94CryptoPro | Self::Streebog256 => 32,
            Self::Streebog512 => 64,
        }
    }
}

/// A digest under way.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "short-lived and never moved while in use")]
enum State {
    Gost94CryptoPro(gost94::Gost94CryptoPro),
    Streebog256(streebog::Streebog256),
    Streebog512(streebog::Streebog512),
}

impl Hasher {
    /// Takes in the next octets.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Gost94CryptoPro(state) => state.update(data),
            State::Streebog256(state) => state.update(data),
            State::Streebog512(state) => state.update(data),
        }
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finalize(self) -> Digest {
        match self.0 {
            State::Gost94CryptoPro(state) => Digest::new(&state.finalize()),
            State::Streebog256(state) => Digest::new(&state.finalize()),
            State::Streebog512(state) => Digest::new(&state.finalize()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Gost94CryptoPro(_) => "Hasher(Gost94CryptoPro)",
            State::Streebog256(_) => "Hasher(Streebog256)",
            State::Streebog512(_) => "Hasher(Streebog512)",
        })
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A digest of 32 or 64 octets, in the order in which the standards and all formats write them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    octets: [u8; 64],
    len: usize,
}

impl Digest {
    fn new(octets: &[u8]) -> Self {
        let mut digest = Self {
            octets: [0; 64],
            len: octets.len(),
        };
        digest.octets[..octets.len()].copy_from_slice(octets);
        digest
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(f, self.as_ref())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
