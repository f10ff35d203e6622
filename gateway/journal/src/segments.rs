//! Sealed segments as files: what goes to an archive, into a backup, and in the end is destroyed.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use streebog::{Digest as _, Streebog256};

use crate::disk::{Access, Disk};
use crate::error::{Damage, ReadError};
use crate::layout::{Form, SegmentName, archived, journal_segments};
use crate::octets::array_at;
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

    /// What it is called in an archive: by its first record, and the beginning of the digest of its file.
    #[must_use]
    pub fn archive_name(&self, digest: Digest) -> String {
        archived(self.first_seq, u64::from_be_bytes(array_at(&digest, 0)))
    }
}

/// The sealed segments of a journal folder whose records come after `after`, in order. Takes no lock; those that are
/// still being sealed are not among them.
///
/// # Errors
/// The folder or a file cannot be read, or a summary is damaged.
pub fn sealed(disk: &dyn Disk, dir: &Path, after: u64) -> Result<Vec<SealedSegment>, ReadError> {
    let names = names(disk, dir)?;
    // The last one that begins at or before may go on after it.
    let begin = names.partition_point(|name| name.first_seq <= after).saturating_sub(1);
    let mut found = Vec::new();
    for name in names.iter().skip(begin).filter(|name| name.form == Form::Sealed) {
        let segment = read(disk, dir, name)?;
        if segment.last_seq > after {
            found.push(segment);
        }
    }
    Ok(found)
}

/// The segment that the journal begins with, if it is sealed.
pub(crate) fn oldest(disk: &dyn Disk, dir: &Path) -> Result<Option<SealedSegment>, ReadError> {
    let names = names(disk, dir)?;
    let first = names.first().filter(|name| name.form == Form::Sealed);
    first.map(|name| read(disk, dir, name)).transpose()
}

fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentName>, ReadError> {
    journal_segments(disk, dir).map_err(|error| ReadError::Io {
        path: dir.to_owned(),
        error,
    })
}

fn read(disk: &dyn Disk, dir: &Path, name: &SegmentName) -> Result<SealedSegment, ReadError> {
    let path = name.path(dir);
    let io = |error| ReadError::Io {
        path: path.clone(),
        error,
    };
    let file = disk.open(&path, Access::Read).map_err(io)?;
    let summary = Summary::read(&*file).map_err(io)?.map_err(|what| Damage {
        file: path.clone(),
        offset: 0,
        seq: name.first_seq,
        what: what.to_owned(),
    })?;
    Ok(SealedSegment {
        first_seq: summary.first_seq,
        last_seq: summary.last_seq,
        prev: summary.prev,
        last_digest: summary.last_digest,
        latest: Timestamp::from_nanosecond(summary.latest.into()).unwrap_or(Timestamp::MAX),
        bytes: summary.file,
        path,
    })
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
