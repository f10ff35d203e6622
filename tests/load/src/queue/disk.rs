//! What lies on the disk, and how much of it is needed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use harness::Region;

use crate::LoadError;

/// Octets that the parts of `data_dir` take on the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Disk {
    pub(super) journal: u64,
    pub(super) spool: u64,
    pub(super) index: u64,
    pub(super) snapshots: u64,
    /// Octets of the spool that are needed.
    pub(super) needed: u64,
    /// Octets of the rows in the index: what is known of messages that have ended belongs to them.
    pub(super) rows: u64,
}

impl Disk {
    /// As it is now.
    pub(super) async fn of(region: &Region) -> Result<Disk, LoadError> {
        let metrics = region.metrics().await?;
        let part = |name: &str| {
            let path = region.data_dir().join(name);
            taken(&path).map_err(|error| LoadError::Refused(format!("{}: {error}", path.display())))
        };
        // Octets of files stay far below 2^52.
        let gauge = |name: &str| metrics.value(name, &[]).unwrap_or(0.0) as u64;
        Ok(Disk {
            journal: part("journal")?,
            spool: part("spool")?,
            index: part("index")?,
            snapshots: part("snapshot")?,
            needed: gauge("spool_needed_bytes"),
            rows: gauge("index_row_bytes"),
        })
    }

    /// What is there beyond the journal, which is kept for years, the bodies that are needed, and the rows.
    pub(super) fn excess(&self) -> u64 {
        self.spool.saturating_sub(self.needed) + self.index.saturating_sub(self.rows) + self.snapshots
    }
}

/// Octets that files below a folder take, as far as they do not vanish meanwhile.
fn taken(path: &Path) -> io::Result<u64> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(0),
        _ => Err(error),
    };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return gone(error),
    };
    if !metadata.is_dir() {
        return Ok(metadata.blocks() * 512);
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return gone(error),
    };
    entries.map(|entry| taken(&entry?.path())).sum()
}
