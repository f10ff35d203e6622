//! What is done to keep the journal: shipping it.

/// A sealed journal segment was taken by the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedSegment {
    /// Sequence number of its first record.
    pub first: u64,
    /// Sequence number of its last record.
    pub last: u64,
    /// Streebog-256 of the file, hexadecimal.
    pub digest: String,
}
