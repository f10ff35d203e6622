//! The store.
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::bodies::{Bodies, Location};
use crate::disk::Disk;
use crate::error::{CommitError, OpenError, RemoveError};
use crate::read::Records;
use crate::record::Digest;
use crate::recovery::Recovery;
use crate::snapshot::{Position, Snapshots};

/// Sizes and limits of a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a live journal segment in octets.
    pub journal_segment_bytes: u64,
    /// Size of a spool segment in octets; also bounds a body.
    pub spool_segment_bytes: u64,
    /// [`Store::checkpoint_due`] says so when less than this is free in the live journal segment.
    pub checkpoint_reserve: u64,
    /// Compression level of sealed segments and snapshots.
    pub zstd_level: i32,
    /// How many spool segments [`Bodies`] keeps open.
    pub open_segments: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            journal_segment_bytes: 64 << 20,
            spool_segment_bytes: 64 << 20,
            checkpoint_reserve: 4 << 20,
            zstd_level: 3,
            open_segments: 32,
        }
    }
}

/// An opened data directory.
#[derive(Debug)]
pub struct Opened {
    /// The one writer.
    pub store: Store,
    /// Readers of bodies.
    pub bodies: Bodies,
    /// What was found.
    pub recovery: Recovery,
}

/// Opens a data directory, setting it up if it is empty, under an exclusive lock.
pub fn open(_dir: &Path, _options: Options, _disk: Arc<dyn Disk>) -> Result<Opened, OpenError> {
    unimplemented!()
}

/// The writer of journal and spool.
#[derive(Debug)]
pub struct Store;

impl Store {
    /// Begins a batch; dropping it without a commit leaves no trace.
    pub fn begin(&mut self) -> Batch<'_> {
        unimplemented!()
    }

    /// Sequence number of the last record; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        unimplemented!()
    }

    /// Digest of the last record; zeros if there is none.
    #[must_use]
    pub fn last_digest(&self) -> Digest {
        unimplemented!()
    }

    /// Both of them.
    #[must_use]
    pub fn position(&self) -> Position {
        unimplemented!()
    }

    /// Records from `from_seq` on, sealed and live, the chain checked.
    pub fn events(&self, _from_seq: u64) -> Records {
        unimplemented!()
    }

    /// Whether the live journal segment is nearly full: append a checkpoint, commit, then [`seal`](Self::seal).
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        unimplemented!()
    }

    /// Closes the live journal segment, begins the next, and has the closed one compressed in the background.
    pub fn seal(&mut self) -> Result<(), CommitError> {
        unimplemented!()
    }

    /// Syncs relaxed batches.
    pub fn sync(&mut self) -> Result<(), CommitError> {
        unimplemented!()
    }

    /// Octets in use and free.
    pub fn sizes(&self) -> Sizes {
        unimplemented!()
    }

    /// Spool segments, oldest first.
    #[must_use]
    pub fn spool_segments(&self) -> Vec<SpoolSegment> {
        unimplemented!()
    }

    /// Removes a spool segment that nothing needs; returns the octets given back.
    pub fn remove_spool_segment(&mut self, _segment: u64) -> Result<u64, RemoveError> {
        unimplemented!()
    }

    /// The snapshots.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        unimplemented!()
    }

    /// Whether the store has failed for good, and why.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        unimplemented!()
    }

    /// Syncs what is pending and leaves the mark of an orderly end.
    pub fn close(self) -> Result<(), CommitError> {
        unimplemented!()
    }
}

/// Sizes of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Octets that the journal occupies, preallocated ones included.
    pub journal_bytes: u64,
    /// Octets that the spool occupies, preallocated ones included.
    pub spool_bytes: u64,
    /// Octets that snapshots occupy.
    pub snapshot_bytes: u64,
    /// Octets that can still be allocated on the file system; none if it cannot tell.
    pub free_bytes: Option<u64>,
}

/// A spool segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSegment {
    /// Its number, as in [`Location::segment`].
    pub segment: u64,
    /// Octets that removing it gives back.
    pub bytes: u64,
    /// Whether it is the one being written.
    pub live: bool,
}

/// Bodies and events that become durable together or not at all.
#[derive(Debug)]
pub struct Batch<'a> {
    _store: &'a mut Store,
}

impl Batch<'_> {
    /// The sequence number that the next event gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        unimplemented!()
    }

    /// Adds a body.
    pub fn put_body(
        &mut self,
        _message: [u8; 16],
        _part: u16,
        _flags: u16,
        _octets: &[u8],
    ) -> Result<Location, CommitError> {
        unimplemented!()
    }

    /// Adds an event; returns its sequence number.
    pub fn append<E: Serialize + ?Sized>(&mut self, _at: Timestamp, _event: &E) -> Result<u64, CommitError> {
        unimplemented!()
    }

    /// Writes and syncs both files. Nothing may be acknowledged before this has returned `Ok`.
    pub fn commit(self) -> Result<Committed, CommitError> {
        unimplemented!()
    }

    /// Writes without a sync: what may be lost in a crash of the machine. Durable with the next commit.
    pub fn commit_relaxed(self) -> Result<Committed, CommitError> {
        unimplemented!()
    }
}

/// A batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Sequence number of its first record, or of the next record if it has none.
    pub first_seq: u64,
    /// Place in the journal right after it.
    pub position: Position,
    /// Number of its records.
    pub records: u32,
}
