//! What can still be read of a damaged segment, and vouched for.

use std::io::{self, BufRead as _, Read as _};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::disk::{Access, Disk, DiskFile, create_anew};
use crate::error::OpenError;
use crate::frame::{self, Found, FrameHeader, HEADER, SegmentHeader};
use crate::layout::{Form, MAX_RECORD, MAX_SEGMENT, SegmentName};
use crate::record::{Digest, Line, digest};
use crate::sealed::{self, Summary};
use crate::setup::io_error;

/// Records from the beginning of a segment on. All are held in memory: a segment's size bounds them.
pub(super) struct Kept {
    first_seq: u64,
    prev: Digest,
    lines: Vec<u8>,
    /// Of each record: where its line ends, its digest and time.
    records: Vec<(usize, Digest, Timestamp)>,
    /// The last record is proven to be what was written.
    proven: bool,
    /// The segment was read to its end.
    whole: bool,
    /// The segment is a gap: its last record, and that one's digest.
    gap: Option<(u64, Digest)>,
    later: Option<Later>,
}

/// Batches of a raw segment behind the damaged place.
pub(super) struct Later {
    pub(super) first_seq: u64,
    /// Digest of the record before.
    pub(super) prev: Digest,
    file: Arc<dyn DiskFile>,
    offset: u64,
    header: FrameHeader,
}

impl Kept {
    /// Reads a segment as far as it goes. `prev` is the digest of the record before it, if that is known; none if it is not,
    /// and the segment does not tell.
    pub(super) fn read(
        disk: &dyn Disk,
        dir: &Path,
        segment: &SegmentName,
        prev: Option<Digest>,
    ) -> Result<Option<Self>, OpenError> {
        let path = segment.path(dir);
        let io = |error| io_error(&path, error);
        let file = disk.open(&path, Access::Read).map_err(io)?;
        let told = match segment.form {
            Form::Raw => SegmentHeader::read(&*file).map_err(io)?.ok().map(|header| header.prev),
            Form::Sealed => Summary::read(&*file).map_err(io)?.ok().map(|summary| summary.prev),
        };
        let Some(prev) = prev.or(told) else { return Ok(None) };
        let mut kept = Self {
            first_seq: segment.first_seq,
            prev,
            lines: Vec::new(),
            records: Vec::new(),
            proven: false,
            whole: false,
            gap: None,
            later: None,
        };
        match segment.form {
            Form::Raw => kept.read_raw(&file, told.is_some()),
            Form::Sealed => kept.read_sealed(file),
        }
        .map_err(io)?;
        Ok(Some(kept))
    }

    fn read_sealed(&mut self, file: Arc<dyn DiskFile>) -> io::Result<()> {
        let summary = Summary::read(&*file)?.ok();
        if let Some(gap) = summary.filter(|summary| summary.gap) {
            self.gap = Some((gap.last_seq, gap.last_digest));
            (self.proven, self.whole) = (true, true);
            return Ok(());
        }
        let Ok(mut lines) = sealed::lines(file) else {
            return Ok(());
        };
        let mut line = Vec::new();
        let ended = loop {
            line.clear();
            match (&mut lines).take(MAX_RECORD).read_until(b'\n', &mut line) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                Err(_) => break false,
            }
            let Some(line) = line.strip_suffix(b"\n") else {
                break false;
            };
            if !self.add(line) {
                break false;
            }
        };
        let end = summary.map(|summary| (summary.last_seq.saturating_add(1), summary.last_digest));
        self.proven = ended && end == Some((self.next_seq(), self.digest()));
        self.whole = self.proven;
        Ok(())
    }

    /// Each batch has a CRC of its own, so that what is read was written.
    fn read_raw(&mut self, file: &Arc<dyn DiskFile>, header_read: bool) -> io::Result<()> {
        let len = file.len()?.min(MAX_SEGMENT);
        let mut payload = Vec::new();
        let mut offset = HEADER;
        while header_read && let Found::Frame(header) = frame::read(&**file, offset, len, &mut payload)? {
            if !self.add_all(&payload) {
                break;
            }
            offset += header.span();
        }
        self.proven = true;
        self.later = Later::find(file, offset, len, self.next_seq())?;
        self.whole = header_read && self.later.is_none();
        Ok(())
    }

    /// Takes the records of a batch, all or none.
    fn add_all(&mut self, payload: &[u8]) -> bool {
        let (lines, records) = (self.lines.len(), self.records.len());
        for line in payload.split_inclusive(|octet| *octet == b'\n') {
            if !line.strip_suffix(b"\n").is_some_and(|line| self.add(line)) {
                self.lines.truncate(lines);
                self.records.truncate(records);
                return false;
            }
        }
        true
    }

    /// Takes a record if it is the next one.
    fn add(&mut self, octets: &[u8]) -> bool {
        let Some(line) = Line::parse(octets) else { return false };
        let Ok(time) = line.time() else { return false };
        if line.seq != self.next_seq() || line.prev != self.digest() {
            return false;
        }
        self.lines.extend_from_slice(octets);
        self.lines.push(b'\n');
        self.records.push((self.lines.len(), digest(octets), time));
        true
    }

    /// Whether the last record is what was written.
    pub(super) fn is_proven(&self) -> bool {
        self.proven && !self.records.is_empty()
    }

    /// Drops the last record unless it is proven, if need be by what follows.
    pub(super) fn prove(&mut self, following: u64, prev: &Digest) {
        let linked = following != self.next_seq() || *prev == self.digest();
        let vouched = following == self.next_seq() && *prev == self.digest();
        if !(vouched || (self.proven && linked)) {
            self.records.pop();
            self.lines.truncate(self.records.last().map_or(0, |(end, ..)| *end));
            self.whole = false;
        }
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The number after the last record that is kept.
    pub(super) fn next_seq(&self) -> u64 {
        match self.gap {
            Some((last, _)) => last.saturating_add(1),
            None => self.first_seq + self.records.len() as u64,
        }
    }

    /// Digest of the record before the first.
    pub(super) fn prev(&self) -> Digest {
        self.prev
    }

    /// Digest of the last record that is kept, or of the one before the segment.
    pub(super) fn digest(&self) -> Digest {
        let told = self.gap.map_or(self.prev, |(_, digest)| digest);
        self.records.last().map_or(told, |(_, digest, _)| *digest)
    }

    /// Nothing of the segment is lost.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    pub(super) fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.records.iter().map(|(_, _, time)| *time)
    }

    /// The latest time among the records.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.times().max()
    }

    /// What follows the damage in the same file.
    pub(super) fn take_later(&mut self) -> Option<Later> {
        self.later.take()
    }
}

impl Later {
    /// Looks for the first whole batch behind a place that goes on with `next_seq` or a later record.
    fn find(file: &Arc<dyn DiskFile>, place: u64, len: u64, next_seq: u64) -> io::Result<Option<Self>> {
        let mut payload = Vec::new();
        let mut offset = place;
        while offset < len {
            offset = match frame::next_magic(&**file, offset, len)? {
                Some(offset) => offset,
                None => break,
            };
            if let Found::Frame(header) = frame::read(&**file, offset, len, &mut payload)?
                && header.first_seq >= next_seq
                && let Some(line) = payload.split(|octet| *octet == b'\n').next().and_then(Line::parse)
                && line.seq == header.first_seq
            {
                return Ok(Some(Self {
                    first_seq: header.first_seq,
                    prev: line.prev,
                    file: Arc::clone(file),
                    offset,
                    header,
                }));
            }
            offset += 8;
        }
        Ok(None)
    }

    /// Writes the batches, and whatever follows them, as a segment of its own; it is durable then.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let len = self.file.len()?.min(MAX_SEGMENT);
        let target = create_anew(disk, path)?;
        target.preallocate(len)?;
        let header = SegmentHeader {
            first_seq: self.first_seq,
            prev: self.prev,
            // Where the spool was before the first of these batches is not known.
            spool: self.header.spool,
        };
        target.write_at(&header.encode(), 0)?;
        let shift = self.offset - HEADER;
        let (mut payload, mut offset) = (Vec::new(), self.offset);
        while let Found::Frame(mut header) = frame::read(&*self.file, offset, len, &mut payload)? {
            header.durable = header.durable.saturating_sub(shift);
            let mut batch = vec![0; frame::FRAME];
            batch.extend_from_slice(&payload);
            header.encode_into(&mut batch);
            target.write_at(&batch, offset - shift)?;
            offset += header.span();
        }
        // What is torn or damaged behind them stays so.
        let mut piece = vec![0; 1 << 18];
        loop {
            match self.file.read_at(&mut piece, offset)? {
                0 => break,
                read => {
                    if piece[..read].iter().any(|octet| *octet != 0) {
                        target.write_at(&piece[..read], offset - shift)?;
                    }
                    offset += read as u64;
                }
            }
        }
        target.sync_data()
    }
}
