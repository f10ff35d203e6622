//! Snapshots.
use crate::error::SnapshotError;
use crate::record::Digest;

/// A place in the journal: right after the record with this number and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence number of the last record that is reflected; 0 before the first.
    pub seq: u64,
    /// Digest of that record; zeros before the first.
    pub digest: Digest,
}

/// The snapshot directory; can be cloned and used from any thread, beside the writer.
#[derive(Debug, Clone)]
pub struct Snapshots;

impl Snapshots {
    /// Begins a snapshot of the state right after `position`.
    pub fn create(&self, _position: Position) -> Result<SnapshotWriter, SnapshotError> {
        unimplemented!()
    }

    /// The newest snapshot that is whole; damaged ones are passed over.
    pub fn latest(&self) -> Result<Option<SnapshotReader>, SnapshotError> {
        unimplemented!()
    }
}

/// Writes rows; the snapshot exists only after [`finish`](Self::finish).
#[derive(Debug)]
pub struct SnapshotWriter;

impl SnapshotWriter {
    /// Adds a row.
    pub fn put(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), SnapshotError> {
        unimplemented!()
    }

    /// Makes the snapshot durable, prunes older ones to two in all, and returns the digest of the file.
    pub fn finish(self) -> Result<Digest, SnapshotError> {
        unimplemented!()
    }
}

/// The rows of a snapshot, in the order in which they were put.
#[derive(Debug)]
pub struct SnapshotReader;

impl SnapshotReader {
    /// The place in the journal that the rows reflect.
    #[must_use]
    pub fn position(&self) -> Position {
        unimplemented!()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        unimplemented!()
    }

    /// Digest of the file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        unimplemented!()
    }

    /// Snapshots that were newer but damaged, with what was wrong.
    #[must_use]
    pub fn passed_over(&self) -> &[String] {
        unimplemented!()
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<(Vec<u8>, Vec<u8>), SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
