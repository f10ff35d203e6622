//! Records.
use jiff::Timestamp;
use serde_json::value::RawValue;

/// A Streebog-256 digest.
pub type Digest = [u8; 32];

/// One record of the journal.
#[derive(Debug, Clone)]
pub struct Record {
    /// Sequence number; the first record of a journal has 1.
    pub seq: u64,
    /// When the event happened, as the writer was told.
    pub at: Timestamp,
    /// Streebog-256 of the octets of the record before.
    pub prev: Digest,
    /// The event, as it was given.
    pub event: Box<RawValue>,
    line: Box<[u8]>,
}

impl Record {
    /// The record's octets, without the line feed: what the digest is made of.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.line
    }

    /// Streebog-256 of the octets.
    #[must_use]
    pub fn digest(&self) -> Digest {
        unimplemented!()
    }
}
