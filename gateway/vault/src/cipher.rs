//! The two ciphers behind one face.

use std::fmt;
use std::str::FromStr;

use kuznyechik::Kuznyechik;
use mgm::Mgm;
use mgm::aead::generic_array::GenericArray;
use mgm::aead::{AeadInPlace as _, KeyInit as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

/// Octets of a tag.
pub(crate) const TAG: usize = 16;
/// Octets of the longest nonce.
pub(crate) const MAX_NONCE: usize = 16;

/// An authenticated cipher for bodies at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cipher {
    /// AES with 256 bits in Galois/Counter mode.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// Kuznyechik (GOST R 34.12-2015) in Multilinear Galois mode.
    #[serde(rename = "kuznyechik-mgm")]
    KuznyechikMgm,
}

impl Cipher {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::KuznyechikMgm];

    /// The name in configuration and keyring.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::KuznyechikMgm => "kuznyechik-mgm",
        }
    }

    pub(crate) const fn nonce_len(self) -> usize {
        match self {
            Self::Aes256Gcm => 12,
            Self::KuznyechikMgm => 16,
        }
    }

    /// The octet that stands for it in a sealed body.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::KuznyechikMgm => 2,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cipher {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|cipher| cipher.name() == name)
            .ok_or_else(|| format!("no cipher is called {name:?}; there are aes-256-gcm and kuznyechik-mgm"))
    }
}

/// A cipher with its key.
pub(crate) enum Keyed {
    Aes(Box<LessSafeKey>),
    Kuznyechik(Box<Mgm<Kuznyechik>>),
}

/// The tag is not that of the octets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

impl Keyed {
    pub(crate) fn new(cipher: Cipher, secret: &[u8; 32]) -> Self {
        match cipher {
            Cipher::Aes256Gcm => {
                let key = UnboundKey::new(&AES_256_GCM, secret).expect("the cipher's keys have 32 octets");
                Self::Aes(Box::new(LessSafeKey::new(key)))
            }
            Cipher::KuznyechikMgm => Self::Kuznyechik(Box::new(Mgm::new(GenericArray::from_slice(secret)))),
        }
    }

    pub(crate) fn cipher(&self) -> Cipher {
        match self {
            Self::Aes(_) => Cipher::Aes256Gcm,
            Self::Kuznyechik(_) => Cipher::KuznyechikMgm,
        }
    }

    /// A nonce at random. Random ones of 96 bits stay apart for the 2^32 bodies that a data key seals at most.
    pub(crate) fn nonce<'n>(&self, room: &'n mut [u8; MAX_NONCE]) -> Result<&'n [u8], getrandom::Error> {
        let nonce = &mut room[..self.cipher().nonce_len()];
        getrandom::fill(nonce)?;
        if let Self::Kuznyechik(_) = self {
            // The mode takes 127 bits.
            nonce[0] &= 0x7F;
        }
        Ok(nonce)
    }

    /// Encrypts in place; `nonce` is of the cipher's length and from [`Keyed::nonce`].
    pub(crate) fn encrypt(&self, nonce: &[u8], associated: &[u8], octets: &mut [u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        match self {
            Self::Aes(key) => {
                let made = Nonce::try_assume_unique_for_key(nonce)
                    .and_then(|nonce| key.seal_in_place_separate_tag(nonce, Aad::from(associated), octets));
                tag.copy_from_slice(made.expect("bodies are shorter than the mode's 64 GiB").as_ref());
            }
            Self::Kuznyechik(mode) => {
                let made = mode.encrypt_in_place_detached(GenericArray::from_slice(nonce), associated, octets);
                tag.copy_from_slice(
                    &made.expect("the nonce's first bit is zero and bodies are shorter than the mode's bound"),
                );
            }
        }
        tag
    }

    /// Decrypts in place. On failure the octets are of no use.
    pub(crate) fn decrypt(
        &self,
        nonce: &[u8],
        associated: &[u8],
        octets: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), NotAuthentic> {
        match self {
            Self::Aes(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotAuthentic)?;
                key.open_in_place_separate_tag(nonce, Aad::from(associated), (*tag).into(), octets, 0..)
                    .map(|_| ())
                    .map_err(|_| NotAuthentic)
            }
            Self::Kuznyechik(mode) => mode
                .decrypt_in_place_detached(
                    GenericArray::from_slice(nonce),
                    associated,
                    octets,
                    GenericArray::from_slice(tag),
                )
                .map_err(|_| NotAuthentic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        hex::decode(text.replace(char::is_whitespace, "")).unwrap()
    }

    fn check(cipher: Cipher, key: &str, nonce: &str, associated: &str, plain: &str, sealed: &str, tag: &str) {
        let (nonce, associated, plain) = (hex(nonce), hex(associated), hex(plain));
        let keyed = Keyed::new(cipher, &hex(key).try_into().unwrap());
        let mut octets = plain.clone();
        let made = keyed.encrypt(&nonce, &associated, &mut octets);
        assert_eq!((octets.clone(), made.to_vec()), (hex(sealed), hex(tag)));
        keyed.decrypt(&nonce, &associated, &mut octets, &made).unwrap();
        assert_eq!(octets, plain);
    }

    /// RFC 9058, appendix A.1, example 1.
    #[test]
    fn kuznyechik_is_that_of_rfc_9058() {
        check(
            Cipher::KuznyechikMgm,
            "8899AABBCCDDEEFF0011223344556677FEDCBA98765432100123456789ABCDEF",
            "1122334455667700FFEEDDCCBBAA9988",
            "02020202020202020101010101010101 04040404040404040303030303030303 EA0505050505050505",
            "1122334455667700FFEEDDCCBBAA9988 00112233445566778899AABBCCEEFF0A
             112233445566778899AABBCCEEFF0A00 2233445566778899AABBCCEEFF0A0011 AABBCC",
            "A9757B8147956E9055B8A33DE89F42FC 8075D2212BF9FD5BD3F7069AADC16B39
             497AB15915A6BA85936B5D0EA9F6851C C60C14D4D3F883D0AB94420695C76DEB 2C7552",
            "CF5D656F40C34F5C46E8BB0E29FCDB4C",
        );
    }

    /// The Galois/Counter Mode of Operation (McGrew, Viega), test case 16.
    #[test]
    fn aes_is_that_of_the_modes_authors() {
        check(
            Cipher::Aes256Gcm,
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        );
    }

    #[test]
    fn ciphers_have_their_names() {
        for cipher in Cipher::ALL {
            assert_eq!(cipher.name().parse(), Ok(cipher));
            assert_eq!(serde_json::to_value(cipher).unwrap(), cipher.name());
        }
        assert!("rot13".parse::<Cipher>().is_err());
    }
}
