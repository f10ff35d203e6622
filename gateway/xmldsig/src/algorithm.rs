//! The closed list of algorithms: their names in XML, aliases included (PROTOCOL §6.2).

use gost::{DigestAlgorithm, KeyAlgorithm};

pub(crate) const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
pub(crate) const SMEV_TRANSFORM: &str = "urn://smev-gov-ru/xmldsig/transform";
pub(crate) const INCLUSIVE_C14N: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
pub(crate) const ENVELOPED_SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// A canonicalisation method, without comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canonicalization {
    /// Exclusive XML Canonicalization 1.0 with the PrefixList of its InclusiveNamespaces.
    Exclusive(Vec<String>),
    /// Canonical XML 1.0.
    Inclusive,
}

/// One step from the signed element to the octets that are digested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Leaves out the signature that the transform belongs to.
    EnvelopedSignature,
    /// Writes the element, or reads and writes again what the step before wrote.
    Canonicalize(Canonicalization),
    /// `urn://smev-gov-ru/xmldsig/transform`.
    Smev,
}

/// The key algorithm that a SignatureMethod names.
pub(crate) fn signature_method(uri: &str) -> Option<KeyAlgorithm> {
    Some(match uri {
        "http://www.w3.org/2001/04/xmldsig-more#gostr34102001-gostr3411"
        | "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102001-gostr3411" => KeyAlgorithm::Gost2001,
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256"
        | "http://www.w3.org/2001/04/xmldsig-more#gostr34102012-gostr34112012-256" => KeyAlgorithm::Gost2012_256,
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-512"
        | "http://www.w3.org/2001/04/xmldsig-more#gostr34102012-gostr34112012-512" => KeyAlgorithm::Gost2012_512,
        _ => return None,
    })
}

/// The hash that a DigestMethod names.
pub(crate) fn digest_method(uri: &str) -> Option<DigestAlgorithm> {
    Some(match uri {
        "http://www.w3.org/2001/04/xmldsig-more#gostr3411" | "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr3411" => {
            DigestAlgorithm::Gost94CryptoPro
        }
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-256"
        | "http://www.w3.org/2001/04/xmldsig-more#gostr34112012-256" => DigestAlgorithm::Streebog256,
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-512"
        | "http://www.w3.org/2001/04/xmldsig-more#gostr34112012-512" => DigestAlgorithm::Streebog512,
        _ => return None,
    })
}

/// The names to write: SignatureMethod and DigestMethod.
pub(crate) fn names(algorithm: KeyAlgorithm) -> (&'static str, &'static str) {
    match algorithm {
        KeyAlgorithm::Gost2001 => (
            "http://www.w3.org/2001/04/xmldsig-more#gostr34102001-gostr3411",
            "http://www.w3.org/2001/04/xmldsig-more#gostr3411",
        ),
        KeyAlgorithm::Gost2012_256 => (
            "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256",
            "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-256",
        ),
        KeyAlgorithm::Gost2012_512 => (
            "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-512",
            "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-512",
        ),
    }
}

/// Whether a signature by such a key may stand over a reference digested so: the old hash goes with the old keys only,
/// so that nobody can take a new signature down to it.
pub(crate) fn goes_with(algorithm: KeyAlgorithm, digest: DigestAlgorithm) -> bool {
    (algorithm == KeyAlgorithm::Gost2001) == (digest == DigestAlgorithm::Gost94CryptoPro)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_as_the_same_pair() {
        for algorithm in [
            KeyAlgorithm::Gost2001,
            KeyAlgorithm::Gost2012_256,
            KeyAlgorithm::Gost2012_512,
        ] {
            let (signature, digest) = names(algorithm);
            assert_eq!(signature_method(signature), Some(algorithm));
            assert_eq!(digest_method(digest), Some(algorithm.digest()));
            assert!(goes_with(algorithm, algorithm.digest()));
        }
        assert!(!goes_with(KeyAlgorithm::Gost2012_256, DigestAlgorithm::Gost94CryptoPro));
        assert!(!goes_with(KeyAlgorithm::Gost2001, DigestAlgorithm::Streebog256));
    }

    #[test]
    fn the_list_is_closed() {
        for uri in [
            "",
            "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
            "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        ] {
            assert_eq!(signature_method(uri), None);
        }
        assert_eq!(digest_method("http://www.w3.org/2000/09/xmldsig#sha1"), None);
    }
}
