//! A batch: bodies and events that become durable together or not at all.

use std::ops::Range;

use jiff::Timestamp;
use serde::Serialize;

use crate::bodies::Location;
use crate::error::CommitError;
use crate::frame::{self, FRAME};
use crate::layout::MAX_RECORD;
use crate::prefix::Prefix;
use crate::record::{self, Digest};
use crate::snapshot::Position;
use crate::spool::{self, RECORD, SpoolEnd};
use crate::store::Store;

/// Buffers that have grown beyond this for one batch are given back after it.
const BUFFER_KEPT: usize = 16 << 20;

/// Bodies and events that become durable together or not at all. Dropping it without a commit leaves no trace.
#[derive(Debug)]
pub struct Batch<'a> {
    store: &'a mut Store,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(store: &'a mut Store) -> Self {
        let Store { pending, writer, .. } = &mut *store;
        pending.reset(writer.position(), writer.spool_end());
        Self { store }
    }

    /// The sequence number that the next event gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.store.pending.last_seq + 1
    }

    /// Adds a body. The location can be named in the events of this batch.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`] if it does not fit into a spool segment; the batch is as before then.
    pub fn put_body(
        &mut self,
        message: [u8; 16],
        part: u16,
        flags: u16,
        octets: &[u8],
    ) -> Result<Location, CommitError> {
        let Store { pending, writer, .. } = &mut *self.store;
        let segment_bytes = writer.options.spool_segment_bytes;
        let limit = segment_bytes - spool::OVERHEAD - RECORD as u64;
        let too_large = CommitError::TooLarge {
            octets: octets.len() as u64,
            limit,
        };
        let Some(len) = u32::try_from(octets.len()).ok().filter(|len| u64::from(*len) <= limit) else {
            return Err(too_large);
        };
        let place = pending.spool_end;
        let capacity = if place.segment == writer.spool_segment {
            writer.spool.capacity
        } else {
            segment_bytes
        };
        let span = RECORD as u64 + u64::from(len);
        // The end mark must fit after it.
        if place.offset + span + RECORD as u64 > capacity {
            pending.end_segment();
        }
        let SpoolEnd { segment, offset } = pending.spool_end;
        let Ok(offset) = u32::try_from(offset) else {
            return Err(too_large);
        };
        pending.add_body(|buffer| spool::write(buffer, message, part, flags, len, octets));
        Ok(Location { segment, offset, len })
    }

    /// Adds an event and returns its sequence number. It must serialize to JSON without line feeds, as serde_json does
    /// by itself.
    ///
    /// # Errors
    /// [`CommitError::Event`] if it does not, [`CommitError::TooLarge`] if the batch would not fit into a journal
    /// segment any more; the batch is as before then.
    pub fn append<E: Serialize + ?Sized>(&mut self, at: Timestamp, event: &E) -> Result<u64, CommitError> {
        self.add(at, None, event)
    }

    /// Adds the event that begins with a prefix and goes on with the fields of `rest`, which must serialize to a JSON
    /// object. The fields' names must differ from those of the prefix.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_to<E: Serialize + ?Sized>(
        &mut self,
        prefix: &Prefix,
        at: Timestamp,
        rest: &E,
    ) -> Result<u64, CommitError> {
        self.add(at, Some(prefix), rest)
    }

    fn add<E: Serialize + ?Sized>(
        &mut self,
        at: Timestamp,
        prefix: Option<&Prefix>,
        event: &E,
    ) -> Result<u64, CommitError> {
        let Store { pending, writer, .. } = &mut *self.store;
        let (seq, start) = (pending.last_seq + 1, pending.frame.len());
        let digest = record::write(&mut pending.frame, seq, at, &pending.last_digest, prefix, event)
            .map_err(CommitError::Event)?;
        let record = (pending.frame.len() - start) as u64;
        let frame = frame::span(pending.frame.len());
        let room = writer.options.journal_segment_bytes - frame::HEADER;
        let bounds = [(record, MAX_RECORD), (frame, room)];
        if let Some((octets, limit)) = bounds.into_iter().find(|(octets, limit)| octets > limit) {
            pending.frame.truncate(start);
            return Err(CommitError::TooLarge { octets, limit });
        }
        pending.last_seq = seq;
        pending.last_digest = digest;
        pending.records += 1;
        Ok(seq)
    }

    /// Writes both files and syncs them. Nothing may be acknowledged before this has returned `Ok`.
    ///
    /// An empty batch syncs what relaxed ones have left.
    ///
    /// # Errors
    /// [`CommitError::NoSpace`]: nothing of the batch remains, the store goes on. [`CommitError::Fatal`]: whether the
    /// batch is durable only a restart can tell.
    pub fn commit(self) -> Result<Committed, CommitError> {
        self.write(false)
    }

    /// Writes without a sync, for what may be lost when the machine crashes. The next [`commit`](Self::commit), or
    /// [`Store::sync`], makes it durable.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_relaxed(self) -> Result<Committed, CommitError> {
        self.write(true)
    }

    fn write(self, relaxed: bool) -> Result<Committed, CommitError> {
        let Store { pending, writer, .. } = &mut *self.store;
        writer.commit(pending, relaxed)?;
        Ok(Committed {
            first_seq: pending.first_seq,
            position: writer.position(),
            records: pending.records,
        })
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

/// What a batch has gathered; the buffers serve one batch after the other.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Room for the frame's header, then the records.
    pub(crate) frame: Vec<u8>,
    pub(crate) records: u32,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_digest: Digest,
    /// Spool records and end marks, one after the other.
    pub(crate) bodies: Vec<u8>,
    /// Which of them go to which segment.
    pub(crate) spans: Vec<Span>,
    spool_end: SpoolEnd,
}

/// A part of the bodies that lies in one segment.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) segment: u64,
    pub(crate) octets: Range<usize>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            frame: Vec::new(),
            records: 0,
            first_seq: 0,
            last_seq: 0,
            last_digest: [0; 32],
            bodies: Vec::new(),
            spans: Vec::new(),
            spool_end: SpoolEnd { segment: 0, offset: 0 },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0 && self.spans.is_empty()
    }

    pub(crate) fn reset(&mut self, position: Position, spool_end: SpoolEnd) {
        for buffer in [&mut self.frame, &mut self.bodies] {
            buffer.clear();
            if buffer.capacity() > BUFFER_KEPT {
                buffer.shrink_to(BUFFER_KEPT);
            }
        }
        self.frame.resize(FRAME, 0);
        self.spans.clear();
        self.records = 0;
        self.first_seq = position.seq + 1;
        self.last_seq = position.seq;
        self.last_digest = position.digest;
        self.spool_end = spool_end;
    }

    fn add_body(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bodies.len();
        write(&mut self.bodies);
        let end = self.bodies.len();
        match self.spans.last_mut() {
            Some(span) if span.segment == self.spool_end.segment => span.octets.end = end,
            _ => self.spans.push(Span {
                segment: self.spool_end.segment,
                octets: start..end,
            }),
        }
        self.spool_end.offset += (end - start) as u64;
    }

    /// Ends the live segment, and makes the writer go on to the next one although there is nothing to write to it yet.
    pub(crate) fn begin_segment(&mut self) {
        self.end_segment();
        let end = self.bodies.len();
        self.spans.push(Span {
            segment: self.spool_end.segment,
            octets: end..end,
        });
    }

    fn end_segment(&mut self) {
        self.add_body(spool::write_end);
        self.spool_end = SpoolEnd {
            segment: self.spool_end.segment + 1,
            offset: spool::HEADER,
        };
    }
}
