//! Keeping the journal: its sealed segments, and what became of them.

use journal::ReadError;
use journal::segments::{self, SealedSegment};

use super::Engine;
use crate::command::{Refusal, ShippedSegment};
use crate::keys;
use crate::work::Command;

impl Engine {
    /// The last record that the archive has; 0 if it has none.
    pub fn archived_through(&self) -> u64 {
        self.read(|state| Ok(state.get(&keys::archived())?.unwrap_or(0)))
    }

    /// The sealed journal segments with records after this one, in order. Reads the disk: not for async threads.
    ///
    /// # Errors
    /// The journal's folder cannot be read, or a segment's head is damaged.
    pub fn sealed_segments(&self, after: u64) -> Result<Vec<SealedSegment>, ReadError> {
        segments::sealed(&*self.shared.disk, &self.shared.journal_dir(), after)
    }

    /// Streebog-256 of a segment's file, hexadecimal. Reads the disk: not for async threads.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn segment_digest(&self, segment: &SealedSegment) -> std::io::Result<String> {
        segments::file_digest(&*self.shared.disk, &segment.path).map(hex::encode)
    }

    /// Journals that the archive has a segment.
    ///
    /// # Errors
    /// `NotDone` if there is no such segment, `Unavailable`.
    pub async fn shipped(&self, segment: ShippedSegment) -> Result<(), Refusal> {
        self.ask(|reply| Command::Shipped(segment, reply)).await
    }
}
