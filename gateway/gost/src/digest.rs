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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6986, section 10: the first example is digits, the second a line of the Lay of Igor's Host in Windows-1251.
    const DIGITS: &[u8] = b"012345678901234567890123456789012345678901234567890123456789012";
    const LAY: &[u8] = &[
        0xD1, 0xE5, 0x20, 0xE2, 0xE5, 0xF2, 0xF0, 0xE8, 0x2C, 0x20, 0xD1, 0xF2, 0xF0, 0xE8, 0xE1, 0xEE, 0xE6, 0xE8,
        0x20, 0xE2, 0xED, 0xF3, 0xF6, 0xE8, 0x2C, 0x20, 0xE2, 0xE5, 0xFE, 0xF2, 0xFA, 0x20, 0xF1, 0x20, 0xEC, 0xEE,
        0xF0, 0xFF, 0x20, 0xF1, 0xF2, 0xF0, 0xE5, 0xEB, 0xE0, 0xEC, 0xE8, 0x20, 0xED, 0xE0, 0x20, 0xF5, 0xF0, 0xE0,
        0xE1, 0xF0, 0xFB, 0xFF, 0x20, 0xEF, 0xEB, 0xFA, 0xEA, 0xFB, 0x20, 0xC8, 0xE3, 0xEE, 0xF0, 0xE5, 0xE2, 0xFB,
    ];

    #[test]
    fn the_examples_of_rfc_6986() {
        let digest = |algorithm: DigestAlgorithm, message| algorithm.hash(message).to_string();
        assert_eq!(
            digest(DigestAlgorithm::Streebog512, DIGITS),
            "1b54d01a4af5b9d5cc3d86d68d285462b19abc2475222f35c085122be4ba1ffa\
             00ad30f8767b3a82384c6574f024c311e2a481332b08ef7f41797891c1646f48"
        );
        assert_eq!(
            digest(DigestAlgorithm::Streebog256, DIGITS),
            "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500"
        );
        assert_eq!(
            digest(DigestAlgorithm::Streebog512, LAY),
            "1e88e62226bfca6f9994f1f2d51569e0daf8475a3b0fe61a5300eee46d961376\
             035fe83549ada2b8620fcd7c496ce5b33f0cb9dddc2b6460143b03dabac9fb28"
        );
        assert_eq!(
            digest(DigestAlgorithm::Streebog256, LAY),
            "9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50"
        );
    }

    #[test]
    fn known_digests_of_gost_94_with_the_crypto_pro_boxes() {
        for (message, expected) in [
            ("", "981e5f3ca30c841487830f84fb433e13ac1101569b9c13584ac483234cd656c0"),
            (
                "abc",
                "b285056dbf18d7392d7677369524dd14747459ed8143997e163b2986f92fd42c",
            ),
            (
                "message digest",
                "bc6041dd2aa401ebfa6e9886734174febdb4729aa972d60f549ac39b29721ba0",
            ),
        ] {
            assert_eq!(
                DigestAlgorithm::Gost94CryptoPro.hash(message.as_bytes()).to_string(),
                expected
            );
        }
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        for algorithm in [
            DigestAlgorithm::Gost94CryptoPro,
            DigestAlgorithm::Streebog256,
            DigestAlgorithm::Streebog512,
        ] {
            let mut hasher = algorithm.hasher();
            LAY.chunks(7).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finalize(), algorithm.hash(LAY));
            assert_eq!(algorithm.hash(LAY).as_ref().len(), algorithm.len());
        }
    }
}
