//! Sealed segments as files: what goes to an archive, into a backup, and in the end is destroyed.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use streebog::{Digest as _, Streebog256};

use crate::disk::{Access, Disk};
use crate::error::{Damage, ReadError};
use crate::layout::{Form, journal_segments};
use crate::record::Digest;
use crate::sealed::Summary;

/// Octets that are read at once.
const PIECE: usize = 1 << 20;

/// A sealed segment as its summary tells; what the summary says is only proven by
/// [`verify`](crate::verify::verify), which reads the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// The file.
    pub path: PathBuf,
    /// Sequence number of its first record.
    pub first_seq: u64,
    /// Sequence number of its last record.
    pub last_seq: u64,
    /// Digest of the record before the first: what links it to the segment before.
    pub prev: Digest,
    /// Digest of its last record: what links the next one to it.
    pub last_digest: Digest,
    /// The latest time among its records.
    pub latest: Timestamp,
    /// Octets of the file.
    pub bytes: u64,
}

impl SealedSegment {
    /// The file's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

/// The sealed segments of a journal folder whose records come after `after`, in order. Takes no lock; those that are
/// still being sealed are not among them.
///
/// # Errors
/// The folder or a file cannot be read, or a summary is damaged.
pub fn sealed(disk: &dyn Disk, dir: &Path, after: u64) -> Result<Vec<SealedSegment>, ReadError> {
    let io = |path: &Path, error| ReadError::Io {
        path: path.to_owned(),
        error,
    };
    let names = journal_segments(disk, dir).map_err(|error| io(dir, error))?;
    // The last one that begins at or before may go on after it.
    let begin = names.partition_point(|name| name.first_seq <= after).saturating_sub(1);
    let mut found = Vec::new();
    for name in names.into_iter().skip(begin).filter(|name| name.form == Form::Sealed) {
        let path = name.path(dir);
        let file = disk.open(&path, Access::Read).map_err(|error| io(&path, error))?;
        let summary = Summary::read(&*file).map_err(|error| io(&path, error))?;
        let summary = summary.map_err(|what| Damage {
            file: path.clone(),
            offset: 0,
            seq: name.first_seq,
            what: what.to_owned(),
        })?;
        if summary.last_seq > after {
            found.push(SealedSegment {
                path,
                first_seq: summary.first_seq,
                last_seq: summary.last_seq,
                prev: summary.prev,
                last_digest: summary.last_digest,
                latest: Timestamp::from_nanosecond(summary.latest.into()).unwrap_or(Timestamp::MAX),
                bytes: summary.file,
            });
        }
    }
    Ok(found)
}

/// Streebog-256 of a file's octets.
///
/// # Errors
/// The file cannot be read.
pub fn file_digest(disk: &dyn Disk, path: &Path) -> io::Result<Digest> {
    let file = disk.open(path, Access::Read)?;
    let (mut hash, mut piece, mut offset) = (Streebog256::new(), vec![0; PIECE], 0);
    loop {
        match file.read_at(&mut piece, offset)? {
            0 => return Ok(hash.finalize().into()),
            read => {
                hash.update(&piece[..read]);
                offset += read as u64;
            }
        }
    }
}
