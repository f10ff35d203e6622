//! What can go wrong, and whose move it is then.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::LockError;

/// Why the store was not opened. Nothing of the damage that a variant names has been touched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory open.
    #[error("{} is in use: {holder}", dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it, as far as can be told.
        holder: String,
    },
    /// The directory was written by a newer program.
    #[error("{} has storage format {found}, this program knows formats up to {known}: install a newer version", path.display())]
    NewerFormat {
        /// The format file.
        path: PathBuf,
        /// The version found in it.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// The directory was written by an older program, in a form that this one does not read.
    #[error("{} has storage format {found}, this program reads formats from {oldest} on: install one between the two first", path.display())]
    OlderFormat {
        /// The format file.
        path: PathBuf,
        /// The version found in it.
        found: u32,
        /// The oldest version that this program reads.
        oldest: u32,
    },
    /// The files are not what was written. It is for a person to decide what to do; nothing is repaired silently.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The options cannot work together.
    #[error("segment size {0} is out of the range 4 KiB to 1 GiB")]
    Options(u64),
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            ReadError::Io { path, error } => Self::Io { path, error },
            archived @ ReadError::Archived { .. } => Self::Io {
                path: PathBuf::from("journal"),
                error: io::Error::other(archived),
            },
        }
    }
}

impl OpenError {
    pub(crate) fn lock(dir: &Path, error: LockError) -> Self {
        match error {
            LockError::Held(holder) => Self::Locked {
                dir: dir.to_owned(),
                holder,
            },
            LockError::Io(error) => Self::Io {
                path: dir.join("LOCK"),
                error,
            },
        }
    }
}

/// A place where a file is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at offset {offset}, record {seq}: {what}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Octets from the beginning of the file; in a sealed segment, of the decompressed text.
    pub offset: u64,
    /// Sequence number of the first record that is affected.
    pub seq: u64,
    /// What is wrong there.
    pub what: String,
}

/// Why a batch was not made durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// No space is left, or a quota is reached. The files are as they were before the batch and the store goes on:
    /// the same batch can be tried again when there is space.
    #[error("no space left for {}: {error}", path.display())]
    NoSpace {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The disk failed, or a sync did. What is durable is unknown now, so that the store refuses everything from here
    /// on; only a restart, which reads what really is there, helps.
    #[error("the storage failed and is closed until a restart: {0}")]
    Fatal(String),
    /// A body or a batch does not fit into a segment.
    #[error("{octets} octets do not fit into a segment of {limit}")]
    TooLarge {
        /// Octets needed.
        octets: u64,
        /// Octets that a segment has room for.
        limit: u64,
    },
    /// The event cannot be written as one line of JSON.
    #[error("the event cannot be written as a line of JSON: {0}")]
    Event(String),
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The files are not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The journal here begins later than the record that was asked for; the rest has been archived away.
    #[error("record {wanted} is not here any more, the journal begins with record {first}")]
    Archived {
        /// The record asked for.
        wanted: u64,
        /// The first record that is here.
        first: u64,
    },
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The segment is gone; after a relocation the body has a new location: look it up once more.
    #[error("spool segment {0} is gone")]
    Gone(u64),
    /// What lies at the location is not this body.
    #[error(transparent)]
    Damaged(#[from] BodyDamage),
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The segment file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A spool record that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at offset {offset}: {what}", file.display())]
pub struct BodyDamage {
    /// The segment file.
    pub file: PathBuf,
    /// Octets from the beginning of the file.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// Why a segment was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The file system does not remove the file. It stays as it is, and removing it can be tried again.
    #[error("{} cannot be removed: {error}", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The segment is being written.
    #[error("spool segment {0} is being written")]
    Live(u64),
    /// There is no such segment.
    #[error("there is no spool segment {0}")]
    Unknown(u64),
    /// A recovery may still look at the segment, and what would end that found no space in the journal.
    #[error("spool segment {0} cannot be let go of: no space left for the journal")]
    NoSpace(u64),
    /// The store is closed until a restart; see [`CommitError::Fatal`].
    #[error("the storage failed and is closed until a restart: {0}")]
    Fatal(String),
}

impl From<CommitError> for RemoveError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fatal(why) => Self::Fatal(why),
            other => Self::Fatal(other.to_string()),
        }
    }
}

/// Why a snapshot was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No space is left, or a quota is reached; nothing of the snapshot remains.
    #[error("no space left for {}: {error}", path.display())]
    NoSpace {
        /// The snapshot file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A row is longer than a snapshot takes.
    #[error("a row of {0} octets is too long for a snapshot")]
    TooLarge(usize),
    /// The file is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The snapshot file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused, or a sync failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// The snapshot file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The journal, to which it must belong, cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
}

/// Whether the system said that there is no room: the one trouble with writing that goes away by itself.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
