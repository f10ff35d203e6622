//! Replaying a raw segment at a start: how far its batches are whole, and what to make of the place where they end.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Damage, OpenError};
use crate::frame::{self, Found, FrameHeader, Rest, SegmentHeader};
use crate::layout::{MAX_SEGMENT, SegmentName};
use crate::record::{Digest, Line, digest};
use crate::recovery::CutTail;
use crate::setup::io_error;
use crate::spool::{self, SpoolEnd};

/// Reads a raw segment frame by frame.
pub(crate) struct Replay {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) len: u64,
    /// Where the next frame would begin.
    pub(crate) offset: u64,
    pub(crate) state: State,
    /// Frames that may never have been synced, each with what was known before it.
    tail: VecDeque<(u64, State, FrameHeader)>,
}

impl Replay {
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        segment: &SegmentName,
        last: Option<&(u64, Digest, Option<Timestamp>)>,
        access: Access,
    ) -> Result<Self, OpenError> {
        let path = segment.path(dir);
        let io = |error| io_error(&path, error);
        let file = disk.open(&path, access).map_err(io)?;
        let len = file.len().map_err(io)?;
        if len > MAX_SEGMENT {
            return Err(damage(&path, segment, "the file is longer than any segment"));
        }
        let header = SegmentHeader::read(&*file)
            .map_err(io)?
            .map_err(|what| damage(&path, segment, what))?;
        check_link(&path, segment, header.first_seq, &header.prev, last)?;
        let state = State {
            next_seq: header.first_seq,
            digest: header.prev,
            spool: header.spool,
            last_at: last.and_then(|(_, _, at)| *at),
        };
        Ok(Self {
            path,
            file,
            len,
            offset: frame::HEADER,
            state,
            tail: VecDeque::new(),
        })
    }

    /// Goes to the first place where no whole frame is.
    pub(crate) fn run(&mut self) -> Result<Found, OpenError> {
        let mut payload = Vec::new();
        loop {
            let found = frame::read(&*self.file, self.offset, self.len, &mut payload)
                .map_err(|error| io_error(&self.path, error))?;
            let Found::Frame(header) = found else { return Ok(found) };
            let before = self.state;
            self.read_frame(&header, &payload)?;
            while self.tail.front().is_some_and(|(offset, _, _)| *offset < header.durable) {
                self.tail.pop_front();
            }
            self.tail.push_back((self.offset, before, header));
            self.offset += header.span();
        }
    }

    fn read_frame(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), OpenError> {
        let mut at = self.offset + frame::FRAME as u64;
        let mut records = 0;
        let mut time = None;
        for octets in payload.split_inclusive(|octet| *octet == b'\n') {
            let damage = |seq, what: &str| Damage {
                file: self.path.clone(),
                offset: at,
                seq,
                what: what.to_owned(),
            };
            let seq = self.state.next_seq;
            let octets = octets
                .strip_suffix(b"\n")
                .ok_or_else(|| damage(seq, "the last line is not complete"))?;
            let line = Line::parse(octets).ok_or_else(|| damage(seq, "the line does not have the form of a record"))?;
            if line.seq != seq {
                return Err(damage(seq, "another record stands here").into());
            }
            if line.prev != self.state.digest {
                let what = "the chain is broken: prev is not the digest of the record before";
                return Err(damage(seq, what).into());
            }
            time = Some(line.time().map_err(|what| damage(seq, what))?);
            self.state.digest = digest(octets);
            self.state.next_seq = seq.saturating_add(1);
            at += octets.len() as u64 + 1;
            records += 1;
        }
        let first_seq = self.state.next_seq - u64::from(records);
        if header.records != records || header.first_seq != first_seq {
            let what = "the batch does not hold the records that its header says".to_owned();
            return Err(Damage {
                file: self.path.clone(),
                offset: self.offset,
                seq: first_seq,
                what,
            }
            .into());
        }
        self.state.spool = header.spool;
        self.state.last_at = time.or(self.state.last_at);
        Ok(())
    }

    /// Tells a clean end from a torn one, and both from damage.
    pub(crate) fn classify(&self, found: Found) -> Result<Option<CutTail>, OpenError> {
        let (what, records) = match found {
            Found::Broken(what, records) => (what, records),
            Found::Nothing | Found::Frame(_) => ("no batch begins here", None),
        };
        let rest = frame::rest(&*self.file, self.offset, self.len).map_err(|error| io_error(&self.path, error))?;
        let seq = self.state.next_seq;
        match rest {
            Rest::Zeros => Ok(None),
            Rest::Torn => Ok(Some(CutTail {
                first_seq: seq,
                records,
                why: what.to_owned(),
            })),
            Rest::Later(offset) => {
                let what = format!("{what}, but a later batch is whole at offset {offset}");
                Err(Damage {
                    file: self.path.clone(),
                    offset: self.offset,
                    seq,
                    what,
                }
                .into())
            }
        }
    }

    /// The first frame of the tail whose bodies did not all reach the spool, and why.
    pub(crate) fn first_without_body(
        &self,
        disk: &dyn Disk,
        spool: &Path,
    ) -> Result<Option<(usize, String)>, OpenError> {
        for (index, (_, before, header)) in self.tail.iter().enumerate() {
            let checked = spool::check(disk, spool, before.spool, header.spool);
            if let Err(what) = checked.map_err(|error| io_error(spool, error))? {
                return Ok(Some((index, what)));
            }
        }
        Ok(None)
    }

    pub(crate) fn check_orderly_end(&self, closed_at: u64, cut: Option<&CutTail>) -> Result<(), OpenError> {
        let last = self.state.next_seq - 1;
        let what = match cut {
            Some(cut) => format!("the store was closed in order, and yet {}", cut.why),
            None if last != closed_at => {
                format!("the store was closed in order at record {closed_at}, it ends at {last}")
            }
            None => return Ok(()),
        };
        Err(Damage {
            file: self.path.clone(),
            offset: self.offset,
            seq: self.state.next_seq,
            what,
        }
        .into())
    }

    pub(crate) fn cut_from(&mut self, index: usize, why: String) -> CutTail {
        let (offset, before, _) = self.tail[index];
        let records = self.tail.range(index..).map(|(_, _, header)| header.records).sum();
        self.offset = offset;
        self.state = before;
        CutTail {
            first_seq: before.next_seq,
            records: Some(records),
            why,
        }
    }
}

/// What is known after a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) next_seq: u64,
    pub(crate) digest: Digest,
    pub(crate) spool: SpoolEnd,
    pub(crate) last_at: Option<Timestamp>,
}

pub(crate) fn check_link(
    path: &Path,
    segment: &SegmentName,
    first_seq: u64,
    prev: &Digest,
    last: Option<&(u64, Digest, Option<Timestamp>)>,
) -> Result<(), OpenError> {
    if first_seq != segment.first_seq || first_seq == 0 {
        let what = format!(
            "the file is named after record {} but begins with {first_seq}",
            segment.first_seq
        );
        return Err(damage(path, segment, what));
    }
    let Some((next, digest, _)) = last else { return Ok(()) };
    if *next != first_seq {
        let what = format!("records {next} to {} are missing before this segment", first_seq - 1);
        return Err(Damage {
            file: path.to_owned(),
            offset: 0,
            seq: *next,
            what,
        }
        .into());
    }
    if digest != prev {
        return Err(damage(
            path,
            segment,
            "the segment does not go on from the record before it",
        ));
    }
    Ok(())
}

pub(crate) fn damage(path: &Path, segment: &SegmentName, what: impl Into<String>) -> OpenError {
    Damage {
        file: path.to_owned(),
        offset: 0,
        seq: segment.first_seq,
        what: what.into(),
    }
    .into()
}
