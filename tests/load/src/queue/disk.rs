//! What lies on the disk, and how much of it is needed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use harness::Region;

use crate::LoadError;

/// Octets that the parts of `data_dir` take on the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Disk {
    pub(super) journal: u64,
    /// Octets of the journal that are reserved for records to come.
    pub(super) reserved: u64,
    pub(super) spool: u64,
    pub(super) index: u64,
    pub(super) snapshots: u64,
    /// What is none of these: keys, certificates, what is left of copies.
    pub(super) others: u64,
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
        let journal = region.data_dir().join("journal");
        let reserved =
            reserved(&journal).map_err(|error| LoadError::Refused(format!("{}: {error}", journal.display())));
        let (journal, spool, index, snapshots) = (part("journal")?, part("spool")?, part("index")?, part("snapshot")?);
        Ok(Disk {
            journal,
            reserved: reserved?,
            spool,
            index,
            snapshots,
            others: part("")?.saturating_sub(journal + spool + index + snapshots),
            needed: gauge("spool_needed_bytes"),
            rows: gauge("index_row_bytes"),
        })
    }

    /// What is there beyond the journal's records, which are evidence and kept for years, the bodies that are needed, and
    /// the rows.
    pub(super) fn excess(&self) -> u64 {
        let spool = self.spool.saturating_sub(self.needed);
        let index = self.index.saturating_sub(self.rows);
        self.reserved + spool + index + self.snapshots + self.others
    }
}

/// Octets of a journal's files behind their records: files that are made ready, and the zeros at the end of live ones.
fn reserved(journal: &Path) -> io::Result<u64> {
    let mut reserved = 0;
    for entry in fs::read_dir(journal)? {
        let path = entry?.path();
        let ends_with = |suffix: &str| path.extension().is_some_and(|extension| extension == suffix);
        if ends_with("tmp") {
            reserved += taken(&path)?;
        } else if ends_with("journal") {
            reserved += match File::open(&path) {
                Ok(file) => taken(&path)?.saturating_sub(used(&file)?),
                // It was sealed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
    }
    Ok(reserved)
}

/// How far a file has more than zeros.
fn used(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut octets = vec![0; 1 << 20];
    while end > 0 {
        let start = end.saturating_sub(octets.len() as u64);
        let piece = &mut octets[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(piece, start)?;
        if let Some(last) = piece.iter().rposition(|octet| *octet != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
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
