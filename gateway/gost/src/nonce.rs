//! Hedged nonces.
//!
//! A signature's nonce must be secret, never repeated and without bias. It is `HMAC_GOSTR3411_2012_512` (RFC 7836,
//! section 4.1) under the secret key, over fresh randomness and the digest. With good randomness every signature has a
//! nonce of its own; with bad or even repeated randomness it is what a deterministic scheme (RFC 6979) would give: another
//! digest, another nonce. Unlike RFC 6979 there is no loop: twice as many bits as the group order has are drawn and
//! reduced, which leaves no measurable bias, in constant time.
//!
//! One limit is inherited: the Streebog implementation looks up tables at places that depend on what it hashes. The key
//! block is hashed once, when the key is loaded; what a cache could show of later calls differs with the fresh randomness
//! each time.

use streebog::{Digest, Streebog512};
use zeroize::{Zeroize, Zeroizing};

/// Octets of the block that Streebog works on.
const BLOCK: usize = 64;

/// The keyed function, with the key already taken in.
#[derive(Clone)]
pub(crate) struct NonceSource {
    inner: Streebog512,
    outer: Streebog512,
}

impl NonceSource {
    /// The function for a secret of at most 64 octets. The name of the parameter set keeps a secret that is used with
    /// two of them from getting related nonces.
    pub(crate) fn new(secret: &[u8], curve_name: &str) -> Self {
        let mut source = Self::keyed(secret);
        source.inner.update([curve_name.len() as u8]);
        source.inner.update(curve_name);
        source
    }

    fn keyed(key: &[u8]) -> Self {
        let pad = |octet: u8| {
            let mut block = Zeroizing::new([octet; BLOCK]);
            block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
            Streebog512::new_with_prefix(block.as_slice())
        };
        Self {
            inner: pad(0x36),
            outer: pad(0x5C),
        }
    }

    /// Fills `nonce` (64 or 128 octets) for one attempt at a signature.
    pub(crate) fn fill(&self, fresh: &[u8; 32], digest: &[u8], attempt: u8, nonce: &mut [u8]) {
        for (block, out) in (0u8..).zip(nonce.chunks_mut(BLOCK)) {
            let mut inner = self.inner.clone();
            inner.update([attempt, block]);
            inner.update(fresh);
            inner.update(digest);
            self.finish(inner, out);
        }
    }

    fn finish(&self, inner: Streebog512, out: &mut [u8]) {
        let mut hash = inner.finalize();
        let mut outer = self.outer.clone();
        outer.update(hash);
        hash = outer.finalize();
        out.copy_from_slice(&hash[..out.len()]);
        hash.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyed_function_is_the_hmac_of_rfc_7836() {
        let key: Vec<u8> = (0..32).collect();
        let text = crate::hex::parse::<16>("0126bdb87800af214341456563780100").expect("hex");
        let source = NonceSource::keyed(&key);
        let mut out = [0; 64];
        source.finish(source.inner.clone().chain_update(text), &mut out);
        let expected = "a59bab22ecae19c65fbde6e5f4e9f5d8549d31f037f9df9b905500e171923a77\
                        3d5f1530f2ed7e964cb2eedc29e9ad2f3afe93b2814f79f5000ffc0366c251e6";
        assert_eq!(Some(out), crate::hex::parse(expected));
    }

    #[test]
    fn every_input_changes_the_nonce() {
        let nonce = |secret: u8, curve: &str, fresh: u8, digest: u8, attempt: u8| {
            let mut out = [0; 128];
            NonceSource::new(&[secret; 32], curve).fill(&[fresh; 32], &[digest; 32], attempt, &mut out);
            assert_ne!(out[..64], out[64..]);
            out
        };
        let nonces = [
            nonce(1, "a", 1, 1, 0),
            nonce(2, "a", 1, 1, 0),
            nonce(1, "b", 1, 1, 0),
            nonce(1, "a", 2, 1, 0),
            nonce(1, "a", 1, 2, 0),
            nonce(1, "a", 1, 1, 1),
        ];
        for (i, a) in nonces.iter().enumerate() {
            assert!(nonces[..i].iter().all(|b| a != b));
        }
        assert_eq!(nonces[0], nonce(1, "a", 1, 1, 0));
    }
}
