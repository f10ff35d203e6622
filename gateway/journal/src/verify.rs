//! Verifying a journal with nothing but its files: no lock, no store, no gateway. It works beside a running writer and on a
//! folder of archived segments alike.

use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{Damage, ReadError};
use crate::gap::Gap;
use crate::record::{Digest, Record};
use crate::walk::{Scope, Walk};

/// Which records to verify; by default all. Both ends are included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// The first. The segment that it lies in is read, and its chain checked, from the segment's beginning.
    pub from: Option<u64>,
    /// The last.
    pub to: Option<u64>,
}

/// What was verified, and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// First record of the range that is there; 0 if there is none.
    pub first_seq: u64,
    /// Last record of the range that is there; 0 if there is none. Records cut off the very end leave no trace in the
    /// files: compare this with what is known from elsewhere.
    pub last_seq: u64,
    /// Number of records in the range.
    pub records: u64,
    /// Number of segments read.
    pub segments: u64,
    /// What the first record's `prev` says: the digest of the record before the range.
    pub prev: Digest,
    /// Digest of the last record; `prev` if there is none.
    pub last_digest: Digest,
    /// Ranges of records that are missing, as the segments in their place tell. Whether a person accepted that is told by
    /// records after them, which only the caller understands.
    pub gaps: Vec<Gap>,
    /// An unfinished batch at the very end: one is being written just now, or a crash left it.
    pub torn_tail: Option<Damage>,
}

impl Report {
    /// Where the range begins, with a record or with a gap: the first sequence number, and the digest of the record before it.
    #[must_use]
    pub fn beginning(&self) -> (u64, Digest) {
        match self.gaps.first() {
            Some(gap) if gap.first < self.first_seq => (gap.first, gap.before),
            _ => (self.first_seq, self.prev),
        }
    }
}

/// Verifies the journal in `dir` (the folder with the segments): frames, sequence numbers without a gap that is not told
/// of, the hash chain, the form of each record. `check` sees each record of the range in order, for what only the caller understands, such
/// as signed checkpoints; what it returns as an error becomes the damage of that record.
///
/// # Errors
/// [`ReadError::Damaged`] with file, offset and sequence number of the first fault; [`ReadError::Archived`] if the
/// range begins before the first segment.
pub fn verify(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    range: Range,
    check: &mut dyn FnMut(&Record) -> Result<(), String>,
) -> Result<Report, ReadError> {
    let scope = Scope {
        from: range.from,
        chain: true,
        not_before: None,
        not_after: None,
    };
    let mut walk = Walk::new(Arc::clone(disk), dir, scope)?;
    let mut report = Report {
        first_seq: 0,
        last_seq: 0,
        records: 0,
        segments: 0,
        prev: [0; 32],
        last_digest: [0; 32],
        gaps: Vec::new(),
        torn_tail: None,
    };
    while let Some(step) = walk.step() {
        let step = step?;
        if range.to.is_some_and(|to| step.seq > to) {
            break;
        }
        let damage = |what: String| Damage {
            file: walk.path(),
            offset: step.offset,
            seq: step.seq,
            what,
        };
        let record = Record::parse(walk.line()).map_err(|what| damage(what.to_owned()))?;
        check(&record).map_err(damage)?;
        if report.records == 0 {
            report.first_seq = record.seq;
            report.prev = record.prev;
        }
        report.last_seq = record.seq;
        report.last_digest = walk.digest();
        report.records += 1;
    }
    report.segments = walk.segments_read();
    let (from, to) = (range.from.unwrap_or(0), range.to.unwrap_or(u64::MAX));
    let within = |gap: &&Gap| gap.first <= to && gap.last >= from;
    report.gaps = walk.gaps().iter().filter(within).cloned().collect();
    report.torn_tail = walk.torn().cloned();
    Ok(report)
}
