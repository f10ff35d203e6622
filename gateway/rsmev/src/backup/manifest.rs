//! What a backup consists of, signed.

use std::path::{Component, Path};

use engine::manifest_text;
use gost::{Certificate, DigestAlgorithm};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The only form of a manifest so far.
const FORMAT: u32 = 1;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    /// Counts the backups of a folder.
    pub(super) number: u64,
    /// When it was made.
    pub(super) created: Timestamp,
    /// The program that made it.
    version: String,
    /// Whose it is.
    pub(super) node: String,
    /// The last record of the journal.
    pub(super) through: u64,
    /// Its digest, hexadecimal.
    pub(super) digest: String,
    /// Digest of the manifest before, hexadecimal.
    pub(super) previous: Option<String>,
    /// Certificate (DER) of the key that signs this manifest, hexadecimal.
    certificate: String,
    /// The files, in the order of their places.
    pub(super) files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its place in the data directory.
    pub(super) path: String,
    /// Its place in the backup's folder.
    pub(super) stored: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Streebog-256, hexadecimal.
    pub(super) digest: String,
    /// Time of its last change in nanoseconds since 1970, if it will not change any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<i64>,
}

impl Manifest {
    /// The manifest of a moment that the engine told.
    pub(super) fn new(number: u64, mark: &engine::BackupMark, previous: Option<String>, files: Vec<Entry>) -> Self {
        Self {
            format: FORMAT,
            number,
            created: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: mark.node.clone(),
            through: mark.through,
            digest: mark.digest.clone(),
            previous,
            certificate: mark.certificate.clone(),
            files,
        }
    }

    /// Reads one from its octets. The error is a text for a person.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(octets).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT {
            return Err(format!(
                "it has format {}; this program knows {FORMAT}",
                manifest.format
            ));
        }
        // Nobody's file is touched who is not named relative to the folder.
        let places = manifest.files.iter().flat_map(|file| [&file.path, &file.stored]);
        for place in places {
            let inside = Path::new(place)
                .components()
                .all(|component| matches!(component, Component::Normal(_)));
            if place.is_empty() || !inside {
                return Err(format!("{place:?} is no place inside of a folder"));
            }
        }
        Ok(manifest)
    }

    /// Whose key signed it: one of those given, or else the one that it names itself.
    pub(super) fn signer(&self, given: &[Certificate]) -> Result<Certificate, String> {
        let der = hex::decode(&self.certificate).map_err(|error| format!("its certificate: {error}"))?;
        let named = Certificate::from_der(&der).map_err(|error| format!("its certificate: {error}"))?;
        match given.iter().find(|certificate| certificate.id() == named.id()) {
            Some(certificate) => Ok(certificate.clone()),
            None if given.is_empty() => Ok(named),
            None => Err(format!(
                "it names the certificate of {} ({}), which is none of those given",
                named.subject(),
                named.id()
            )),
        }
    }
}

/// Digest of a manifest's octets, hexadecimal.
pub(super) fn digest(octets: &[u8]) -> String {
    hex::encode(DigestAlgorithm::Streebog256.hash(octets))
}

/// Checks the signature of a manifest with this digest.
pub(super) fn check_signature(digest: &str, signature: &str, signer: &Certificate) -> Result<(), String> {
    let signature = hex::decode(signature.trim()).map_err(|_| "the signature is not hexadecimal".to_owned())?;
    let key = signer.public_key();
    let hash = key.algorithm().digest().hash(&manifest_text(digest));
    key.verify(hash.as_ref(), &signature)
        .map_err(|_| "the signature does not verify".to_owned())
}

/// See [`crate::fuzz_bodies::manifest`].
pub(crate) fn fuzz_body(octets: &[u8]) {
    let Ok(manifest) = Manifest::parse(octets) else { return };
    let root = Path::new("backup");
    for file in &manifest.files {
        for place in [&file.path, &file.stored] {
            let path = root.join(place);
            let mut inside = path.components().skip(1).peekable();
            assert!(path.starts_with(root) && inside.peek().is_some());
            assert!(inside.all(|component| matches!(component, Component::Normal(_))));
        }
    }
    let written = serde_json::to_vec(&manifest).expect("plain data");
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    if let Ok(signer) = manifest.signer(&[]) {
        let digest = digest(octets);
        assert!(manifest.signer(std::slice::from_ref(&signer)).is_ok());
        assert!(
            check_signature(&digest, &digest, &signer).is_err(),
            "nobody has signed it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_leads_nowhere_else() {
        let manifest = |path: &str| {
            format!(
                r#"{{"format":1,"number":1,"created":"2026-05-04T03:02:01Z","version":"0","node":"N","through":1,"digest":"","previous":null,"certificate":"","files":[{{"path":"{path}","stored":"set-00000001/x","bytes":1,"digest":""}}]}}"#
            )
        };
        assert!(Manifest::parse(manifest("journal/x").as_bytes()).is_ok());
        for bad in ["", "/etc/passwd", "../x", "journal/../../x", "./x"] {
            assert!(Manifest::parse(manifest(bad).as_bytes()).is_err(), "{bad}");
        }
    }
}
