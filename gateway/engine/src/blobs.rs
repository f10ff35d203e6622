//! Files named by the digest of their content: certificates, schemas, and the registry's own content.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gost::DigestAlgorithm;
use journal::disk::{Disk, read_file, replace_file};

/// Largest file that is read, in octets.
const LIMIT: u64 = 64 << 20;

/// The folder `registry/` of the data directory.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// Streebog-256 in hexadecimal.
pub(crate) fn digest(octets: &[u8]) -> String {
    hex::encode(DigestAlgorithm::Streebog256.hash(octets))
}

/// Whether this can be a digest of 256 bits: 64 hexadecimal digits in lower case.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

impl Blobs {
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> io::Result<Self> {
        let blobs = Self::at(disk, data_dir);
        blobs.disk.create_dir(&blobs.dir)?;
        // The folder's own name, and the names that a killed session gave and did not come to sync: what is found there is
        // not stored again.
        blobs.disk.sync_dir(data_dir)?;
        blobs.disk.sync_dir(&blobs.dir)?;
        Ok(blobs)
    }

    /// The folder, to be read, if it is there.
    pub(crate) fn at(disk: Arc<dyn Disk>, data_dir: &Path) -> Self {
        let dir = data_dir.join("registry");
        Self { disk, dir }
    }

    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(digest)
    }

    /// Reads a file and checks that it is what its name says.
    pub(crate) fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        if !is_digest(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a digest"));
        }
        let octets = read_file(&*self.disk, &self.path(name), LIMIT)?.ok_or(io::ErrorKind::NotFound)?;
        if digest(&octets) != name {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the content is not what the name says",
            ));
        }
        Ok(octets)
    }

    /// Stores content durably under its digest, which is returned; one that is there already is left alone, but for its name,
    /// which an earlier call may have given without coming to sync it.
    pub(crate) fn put(&self, octets: &[u8]) -> io::Result<String> {
        let name = digest(octets);
        let path = self.path(&name);
        if self.get(&name).is_ok() {
            self.disk.sync_dir(&self.dir)?;
            return Ok(name);
        }
        replace_file(&*self.disk, &path, octets)?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use testdisk::MemDisk;

    use super::*;

    fn open(disk: &MemDisk) -> Blobs {
        Blobs::open(disk.shared(), Path::new("/data")).unwrap()
    }

    #[test]
    fn only_digests_are_taken_for_digests() {
        assert!(is_digest(&"0a".repeat(32)));
        for other in [
            "",
            &"0".repeat(63),
            &"0".repeat(65),
            &"A".repeat(64),
            &format!("{}\n", "0".repeat(63)),
        ] {
            assert!(!is_digest(other), "{other:?}");
        }
    }

    // Found by random lives that were cut: the folder's name was never synced, so that a crash of the machine took it
    // with everything in it, and the next start found no registry.
    #[test]
    fn what_was_stored_survives_a_crash_together_with_its_folder() {
        let disk = MemDisk::below(Path::new("/data"));
        let name = open(&disk).put(b"content").unwrap();
        assert_eq!(open(&disk.after_crash()).get(&name).unwrap(), b"content");
    }

    // The same, for a file that was given its name by a session that was killed before it could sync the folder: the
    // next session found it, and an event named it, but a crash of the machine took it.
    #[test]
    fn what_a_killed_session_stored_is_durable_when_it_is_stored_again() {
        let disk = MemDisk::below(Path::new("/data"));
        let blobs = open(&disk);
        disk.fail_sync_of(Some("/data/registry/."));
        assert!(blobs.put(b"content").is_err());
        // In the same session too.
        assert!(blobs.put(b"content").is_err());
        let killed = disk.after_kill();
        let name = open(&killed).put(b"content").unwrap();
        assert_eq!(open(&killed.after_crash()).get(&name).unwrap(), b"content");
    }

    #[test]
    fn what_was_stored_without_a_sync_is_synced_when_it_is_stored_again() {
        let disk = MemDisk::below(Path::new("/data"));
        let blobs = open(&disk);
        disk.fail_sync_of(Some("/data/registry/."));
        assert!(blobs.put(b"content").is_err());
        disk.fail_sync_of(None);
        let name = blobs.put(b"content").unwrap();
        assert_eq!(open(&disk.after_crash()).get(&name).unwrap(), b"content");
    }
}
