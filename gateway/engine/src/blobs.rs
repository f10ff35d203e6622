//! Files named by the digest of their content: certificates, schemas, and the registry's own content.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gost::DigestAlgorithm;
use journal::disk::{Access, Disk};

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

impl Blobs {
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> io::Result<Self> {
        let blobs = Self::at(disk, data_dir);
        blobs.disk.create_dir(&blobs.dir)?;
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
        if name.len() != 64 || !name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a digest"));
        }
        let file = self.disk.open(&self.path(name), Access::Read)?;
        let len = file.len()?;
        if len > LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
        }
        let mut octets = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let mut read = 0;
        while read < octets.len() {
            match file.read_at(&mut octets[read..], read as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => read += n,
            }
        }
        if digest(&octets) != name {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the content is not what the name says",
            ));
        }
        Ok(octets)
    }

    /// Stores content durably under its digest, which is returned; one that is there already is left alone.
    pub(crate) fn put(&self, octets: &[u8]) -> io::Result<String> {
        let name = digest(octets);
        let path = self.path(&name);
        if self.get(&name).is_ok() {
            return Ok(name);
        }
        let draft = self.dir.join(format!("{name}.new"));
        match self.disk.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&draft)?;
        file.write_at(octets, 0)?;
        file.sync_data()?;
        self.disk.rename(&draft, &path)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(name)
    }
}
