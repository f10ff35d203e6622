//! Walking the records of a journal directory, segment by segment, in whichever form each one is.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Damage, ReadError};
use crate::frame::{self, Found, Rest, SegmentHeader};
use crate::gap::Gap;
use crate::layout::{Form, MAX_RECORD, MAX_SEGMENT, SegmentName, journal_segments};
use crate::record::{Digest, Line, digest};
use crate::sealed::{self, Summary};

/// A record as it was found; the line stays in the walk's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) seq: u64,
    pub(crate) offset: u64,
}

/// Where a walk begins and how closely it looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// The record to begin with; none for the first that is there.
    pub(crate) from: Option<u64>,
    /// Whether the hash chain is computed and checked.
    pub(crate) chain: bool,
    /// Sealed segments that end before this time (nanoseconds since 1970) are passed over.
    pub(crate) not_before: Option<i64>,
    /// Sealed segments that begin after this time are passed over.
    pub(crate) not_after: Option<i64>,
}

/// Goes through the records in order. After an error it is at its end.
pub(crate) struct Walk {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    scope: Scope,
    segments: VecDeque<SegmentName>,
    current: Option<Segment>,
    /// The next record's number and, when the chain is checked, the digest of the one before.
    next: Option<(u64, Digest)>,
    line: Vec<u8>,
    segments_read: u64,
    torn: Option<Damage>,
    gaps: Vec<Gap>,
    ended: bool,
}

struct Segment {
    path: PathBuf,
    lines: Lines,
}

enum Lines {
    Raw {
        file: Arc<dyn DiskFile>,
        offset: u64,
        payload: Vec<u8>,
        used: usize,
        last: bool,
    },
    Sealed {
        lines: sealed::Lines,
        offset: u64,
        last_seq: u64,
    },
}

impl Walk {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, scope: Scope) -> Result<Self, ReadError> {
        let segments = journal_segments(&*disk, dir).map_err(|error| ReadError::Io {
            path: dir.to_owned(),
            error,
        })?;
        let mut segments = VecDeque::from(segments);
        if let (Some(from), Some(first)) = (scope.from, segments.front())
            && from.max(1) < first.first_seq
        {
            return Err(ReadError::Archived {
                wanted: from.max(1),
                first: first.first_seq,
            });
        }
        while segments
            .get(1)
            .is_some_and(|second| scope.from.is_some_and(|from| second.first_seq <= from))
        {
            segments.pop_front();
        }
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            scope,
            segments,
            current: None,
            next: None,
            line: Vec::new(),
            segments_read: 0,
            torn: None,
            gaps: Vec::new(),
            ended: false,
        })
    }

    /// The octets of the record that the last step found.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The digest of the record that the last step found; zeros unless the chain is checked.
    pub(crate) fn digest(&self) -> Digest {
        self.next.map_or([0; 32], |(_, digest)| digest)
    }

    /// The file that the last step was in.
    pub(crate) fn path(&self) -> PathBuf {
        self.current
            .as_ref()
            .map_or_else(|| self.dir.clone(), |segment| segment.path.clone())
    }

    pub(crate) fn segments_read(&self) -> u64 {
        self.segments_read
    }

    /// The unfinished batch that the walk ended at, if there was one.
    pub(crate) fn torn(&self) -> Option<&Damage> {
        self.torn.as_ref()
    }

    /// The gaps that the walk passed over.
    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Finds the next record.
    pub(crate) fn step(&mut self) -> Option<Result<Step, ReadError>> {
        if self.ended {
            return None;
        }
        let found = self.find().transpose();
        self.ended = !matches!(found, Some(Ok(_)));
        found
    }

    fn find(&mut self) -> Result<Option<Step>, ReadError> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(offset) = self.read_line()? else {
                self.current = None;
                continue;
            };
            let (seq, prev) = match (Line::parse(&self.line), self.next) {
                (None, next) => {
                    let seq = next.map_or(0, |(seq, _)| seq);
                    return Err(self
                        .damage(offset, seq, "the line does not have the form of a record")
                        .into());
                }
                (Some(line), Some((seq, _))) if line.seq != seq => {
                    let what = format!("record {} stands where record {seq} belongs", line.seq);
                    return Err(self.damage(offset, seq, what).into());
                }
                (Some(line), _) => (line.seq, line.prev),
            };
            let mut made = [0; 32];
            if self.scope.chain {
                if self.next.is_some_and(|(_, digest)| digest != prev) {
                    let what = "the chain is broken: prev is not the digest of the record before";
                    return Err(self.damage(offset, seq, what).into());
                }
                made = digest(&self.line);
            }
            self.next = Some((seq.saturating_add(1), made));
            if self.scope.from.is_none_or(|from| seq >= from) {
                return Ok(Some(Step { seq, offset }));
            }
        }
    }

    /// Opens the next segment that can hold what is wanted; false if there is none.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        while let Some(mut name) = self.segments.pop_front() {
            let opened = self.disk.open(&name.path(&self.dir), Access::Read);
            let file = match opened {
                // It may have been sealed since the directory was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound && name.form == Form::Raw => {
                    name.form = Form::Sealed;
                    self.disk.open(&name.path(&self.dir), Access::Read)
                }
                other => other,
            };
            let path = name.path(&self.dir);
            let io = |error| ReadError::Io {
                path: path.clone(),
                error,
            };
            let damage = |what: String| {
                ReadError::Damaged(Damage {
                    file: path.clone(),
                    offset: 0,
                    seq: name.first_seq,
                    what,
                })
            };
            let file = file.map_err(io)?;

            let (first_seq, prev, lines, gap) = match name.form {
                Form::Raw => {
                    let header = SegmentHeader::read(&*file)
                        .map_err(io)?
                        .map_err(|what| damage(what.to_owned()))?;
                    let last = self.segments.is_empty();
                    let lines = Lines::Raw {
                        file,
                        offset: frame::HEADER,
                        payload: Vec::new(),
                        used: 0,
                        last,
                    };
                    (header.first_seq, header.prev, lines, None)
                }
                Form::Sealed => {
                    let summary = Summary::read(&*file)
                        .map_err(io)?
                        .map_err(|what| damage(what.to_owned()))?;
                    let early = self.scope.not_before.is_some_and(|time| summary.latest < time);
                    let late = self.scope.not_after.is_some_and(|time| summary.earliest > time);
                    if early || late {
                        self.next = Some((summary.last_seq.saturating_add(1), summary.last_digest));
                        continue;
                    }
                    let gap = match summary.gap {
                        true => Some(Gap::read(Arc::clone(&file), &summary).map_err(io)?),
                        false => None,
                    };
                    let gap = gap.transpose().map_err(|what| damage(what.to_owned()))?;
                    let lines = Lines::Sealed {
                        lines: sealed::lines(file).map_err(io)?,
                        offset: 0,
                        last_seq: summary.last_seq,
                    };
                    (summary.first_seq, summary.prev, lines, gap)
                }
            };
            if first_seq != name.first_seq {
                return Err(damage(format!(
                    "the file is named after record {} but begins with {first_seq}",
                    name.first_seq
                )));
            }
            if let Some((seq, digest)) = self.next {
                if first_seq < seq {
                    let what =
                        format!("record {first_seq} stands in another segment too: the folder holds two histories");
                    return Err(damage(what));
                }
                if first_seq != seq {
                    let what = format!(
                        "records {seq} to {} are missing before this segment",
                        first_seq.saturating_sub(1)
                    );
                    return Err(Damage {
                        file: path.clone(),
                        offset: 0,
                        seq,
                        what,
                    }
                    .into());
                }
                if self.scope.chain && prev != digest {
                    return Err(damage(
                        "the segment does not go on from the record before it".to_owned(),
                    ));
                }
            }
            self.segments_read += 1;
            if let Some(gap) = gap {
                self.next = Some((gap.last + 1, gap.after));
                self.gaps.push(gap);
                continue;
            }
            self.next = Some((first_seq, prev));
            self.current = Some(Segment { path, lines });
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads the next line of the current segment; returns its offset, or none at the segment's end.
    fn read_line(&mut self) -> Result<Option<u64>, ReadError> {
        let Some(Segment { path, lines }) = &mut self.current else {
            return Ok(None);
        };
        let io = |error| ReadError::Io {
            path: path.clone(),
            error,
        };
        let expected = self.next.map_or(0, |(seq, _)| seq);
        let damage = |offset, what: String| Damage {
            file: path.clone(),
            offset,
            seq: expected,
            what,
        };
        match lines {
            Lines::Sealed {
                lines,
                offset,
                last_seq,
            } => {
                self.line.clear();
                let at = *offset;
                let read = match lines.take(MAX_RECORD).read_until(b'\n', &mut self.line) {
                    Ok(read) => read,
                    Err(error) if error.raw_os_error().is_some() => return Err(io(error)),
                    Err(error) => return Err(damage(at, format!("the segment does not decompress: {error}")).into()),
                };
                if read == 0 {
                    if expected != last_seq.saturating_add(1) {
                        let what = format!("the segment ends before its last record, {last_seq}");
                        return Err(damage(at, what).into());
                    }
                    return Ok(None);
                }
                if self.line.pop() != Some(b'\n') {
                    let what = if read as u64 == MAX_RECORD {
                        "a line is longer than any record"
                    } else {
                        "the last line is not complete"
                    };
                    return Err(damage(at, what.to_owned()).into());
                }
                *offset += read as u64;
                Ok(Some(at))
            }
            Lines::Raw {
                file,
                offset,
                payload,
                used,
                last,
            } => {
                while *used == payload.len() {
                    let place = *offset;
                    match next_frame(&**file, place, payload, *last).map_err(io)? {
                        Next::Frame(span) => {
                            *offset += span;
                            *used = 0;
                        }
                        Next::End => return Ok(None),
                        Next::Torn(what) => {
                            self.torn = Some(damage(place, what.to_owned()));
                            return Ok(None);
                        }
                        Next::Damaged(what) => return Err(damage(place, what).into()),
                    }
                }
                let rest = &payload[*used..];
                let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                // The payload ends where the next frame would begin, give or take the padding.
                let at =
                    (*offset).saturating_sub(frame::span(frame::FRAME + payload.len())) + (frame::FRAME + *used) as u64;
                self.line.clear();
                self.line.extend_from_slice(&rest[..end]);
                *used += (end + 1).min(rest.len());
                Ok(Some(at))
            }
        }
    }

    fn damage(&self, offset: u64, seq: u64, what: impl Into<String>) -> Damage {
        Damage {
            file: self.path(),
            offset,
            seq,
            what: what.into(),
        }
    }
}

enum Next {
    Frame(u64),
    End,
    Torn(&'static str),
    Damaged(String),
}

/// Reads the frame at `place`; where none is, tells an end, an unfinished batch and damage apart.
fn next_frame(file: &dyn DiskFile, place: u64, payload: &mut Vec<u8>, last: bool) -> io::Result<Next> {
    let len = file.len()?;
    if len > MAX_SEGMENT {
        return Ok(Next::Damaged("the file is longer than any segment".to_owned()));
    }
    payload.clear();
    let what = match frame::read(file, place, len, payload)? {
        Found::Frame(header) => return Ok(Next::Frame(header.span())),
        Found::Nothing => "no batch begins here",
        Found::Broken(what, _) => what,
    };
    let rest = frame::rest(file, place, len)?;
    // The writer may have finished meanwhile what was half there at the first look.
    if let Found::Frame(header) = frame::read(file, place, len, payload)? {
        return Ok(Next::Frame(header.span()));
    }
    payload.clear();
    Ok(match rest {
        Rest::Zeros => Next::End,
        Rest::Later(offset) => Next::Damaged(format!("{what}, but a later batch is whole at offset {offset}")),
        Rest::Torn if last => Next::Torn(what),
        Rest::Torn => Next::Damaged(what.to_owned()),
    })
}
