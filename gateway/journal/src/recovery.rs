//! What a start makes of the files that the last session left.
//!
//! A batch is written only when everything before it is durable, relaxed batches excepted. So a crash can leave only the
//! very end in a state that was never promised to anybody: that is cut off, and reported. Anything else that is not as
//! it was written is damage, and for a person to look at.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::cut::{self, Cut};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{CommitError, Damage, OpenError};
use crate::gap::Gap;
use crate::health::Health;
use crate::layout::{Form, Layout, MAX_SEGMENT, SegmentName, journal_segments, spool_path, spool_segments};
use crate::live::LiveFile;
use crate::octets::is_zero_from;
use crate::record::Digest;
use crate::replay::{Replay, State, check_link, damage};
use crate::sealed::{Closed, Summary};
use crate::setup::io_error;
use crate::snapshot::Position;
use crate::spool::{self, SpoolEnd};
use crate::store::Options;

/// What opening the store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the directory was set up just now.
    pub created: bool,
    /// The storage format that the directory had before this session, if it was an older one.
    pub raised_from: Option<u32>,
    /// Sequence number of the last record; 0 if there is none.
    pub last_seq: u64,
    /// Time of the last record; if nothing was written since the last segment was sealed, the latest time in that one.
    pub last_at: Option<Timestamp>,
    /// What was cut off the end, if anything.
    pub cut: Option<CutTail>,
    /// Whether the last user closed the store in order.
    pub clean_close: bool,
    /// Whether the machine has not been started anew since the store was last opened.
    pub same_boot: bool,
    /// Losses of records that were durable, which the journal does not tell of yet: found by this start, or by an earlier
    /// one that did not come to journal it.
    pub cuts: Vec<Cut>,
    /// Ranges of records that are missing, as the segments in their place tell.
    pub gaps: Vec<Gap>,
    /// Damage that this start passed over, because a person accepted it. What of it cost records is among the gaps.
    pub passed_over: Vec<Damage>,
}

/// A torn end that was cut: batches that were being written when the last session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// The first sequence number that was cut.
    pub first_seq: u64,
    /// How many records were cut, where their number can still be read.
    pub records: Option<u32>,
    /// Why.
    pub why: String,
}

/// The files as the writer goes on with them.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) journal: LiveFile,
    pub(crate) journal_first: u64,
    pub(crate) spool: LiveFile,
    pub(crate) spool_segment: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_digest: Digest,
    pub(crate) last_at: Option<Timestamp>,
    pub(crate) cut: Option<CutTail>,
    pub(crate) gaps: Vec<Gap>,
    /// Segments that were complete but not yet sealed.
    pub(crate) closed: Vec<Closed>,
    /// Lengths of the journal segments but the live one.
    pub(crate) journal_sizes: BTreeMap<u64, u64>,
    /// Lengths of the spool segments but the live one.
    pub(crate) spool_sizes: BTreeMap<u64, u64>,
}

/// What is known of a journal before it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// The last record of a session that ended in order; nothing can be torn then.
    pub(crate) closed_at: Option<u64>,
    /// The last record that is known to have been durable: a journal without it is noted, and what is taken away then is
    /// put aside first.
    pub(crate) known: Option<Position>,
    /// Records under which damage is named that a person accepts.
    pub(crate) accepted: &'a [u64],
    /// The present time.
    pub(crate) now: Timestamp,
}

/// Reads what is there and makes it ready for the writer.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    options: &Options,
    health: &Health,
    expected: &Expected<'_>,
) -> Result<Recovered, OpenError> {
    // A name that a killed session gave may be known to the page cache alone.
    for dir in [&layout.journal, &layout.spool, &layout.snapshot] {
        disk.sync_dir(dir).map_err(|error| io_error(dir, error))?;
    }
    let found = find_end(&**disk, layout, Access::Write)?;
    let lost = found.lost_at_end(expected)?;
    // An index may be an older copy that knows less than the orderly end did; of one record, the index knows the digest.
    let (lost, named) = lost.unzip();
    let known = [lost, expected.known]
        .into_iter()
        .flatten()
        .max_by_key(|known| known.seq);
    if let Some(known) = known
        && !cut::holds(disk, &layout.journal, found.position(), known)?
    {
        cut::keep(&**disk, layout, &found, known, named, expected.now)?;
    }
    let End {
        replay: end,
        first_seq,
        history,
        cut,
    } = found;
    let journal = adopt(
        end.file.clone(),
        end.path.clone(),
        end.offset,
        options.journal_segment_bytes,
        health,
    )?;
    let (spool, spool_sizes) = recover_spool(&**disk, layout, options, health, &end.state)?;
    Ok(Recovered {
        journal,
        journal_first: first_seq,
        spool,
        spool_segment: end.state.spool.segment,
        last_seq: end.state.next_seq - 1,
        last_digest: end.state.digest,
        last_at: end.state.last_at,
        cut,
        gaps: history.gaps,
        closed: history.closed,
        journal_sizes: history.sizes,
        spool_sizes,
    })
}

/// Where the journal ends.
pub(crate) struct End {
    pub(crate) replay: Replay,
    /// Of the live segment.
    pub(crate) first_seq: u64,
    pub(crate) history: History,
    pub(crate) cut: Option<CutTail>,
}

impl End {
    /// The place right after the last record.
    pub(crate) fn position(&self) -> Position {
        Position {
            seq: self.replay.state.next_seq - 1,
            digest: self.replay.state.digest,
        }
    }

    /// That nothing is missing or torn after a session that ended in order with this record.
    pub(crate) fn check_orderly(&self, closed_at: Option<u64>) -> Result<(), OpenError> {
        closed_at.map_or(Ok(()), |at| self.replay.check_orderly_end(at, self.cut.as_ref()))
    }

    /// The same, but a person may accept that the end is missing: the last record that was there, and under which one the loss
    /// is named.
    fn lost_at_end(&self, expected: &Expected<'_>) -> Result<Option<(Position, u64)>, OpenError> {
        match (self.check_orderly(expected.closed_at), expected.closed_at) {
            (Err(OpenError::Damaged(damage)), Some(seq))
                if expected.accepted.contains(&damage.seq) && self.position().seq < seq =>
            {
                let digest = [0; 32];
                Ok(Some((Position { seq, digest }, damage.seq)))
            }
            (checked, _) => checked.map(|()| None),
        }
    }
}

/// Finds the journal's end, with what has to be cut off behind it; changes nothing.
pub(crate) fn find_end(disk: &dyn Disk, layout: &Layout, access: Access) -> Result<End, OpenError> {
    let dir = &layout.journal;
    let mut segments = journal_segments(disk, dir).map_err(|error| io_error(dir, error))?;
    let live = match segments.pop() {
        Some(last) if last.form == Form::Raw => last,
        other => {
            let seq = other.map_or(1, |last| last.first_seq);
            let what = "the live journal segment is missing".to_owned();
            return Err(Damage {
                file: dir.clone(),
                offset: 0,
                seq,
                what,
            }
            .into());
        }
    };

    let mut history = History::default();
    for segment in &segments {
        history.add(disk, dir, segment)?;
    }
    let mut replay = Replay::open(disk, dir, &live, history.last.as_ref(), access)?;
    let broken = replay.run()?;
    let torn = replay.classify(broken)?;
    let lost = replay.first_without_body(disk, &layout.spool)?;
    let cut = match (lost, torn) {
        (Some((index, why)), _) => Some(replay.cut_from(index, why)),
        (None, torn) => torn,
    };
    Ok(End {
        replay,
        first_seq: live.first_seq,
        history,
        cut,
    })
}

/// The segments before the live one: that each goes on from the one before it.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Next sequence number, digest and time after the last segment.
    last: Option<(u64, Digest, Option<Timestamp>)>,
    closed: Vec<Closed>,
    sizes: BTreeMap<u64, u64>,
    pub(crate) gaps: Vec<Gap>,
}

impl History {
    fn add(&mut self, disk: &dyn Disk, dir: &Path, segment: &SegmentName) -> Result<(), OpenError> {
        let path = segment.path(dir);
        let len;
        match segment.form {
            Form::Sealed => {
                let io = |error| io_error(&path, error);
                let file = disk.open(&path, Access::Read).map_err(io)?;
                len = file.len().map_err(io)?;
                let summary = Summary::read(&*file)
                    .map_err(io)?
                    .map_err(|what| damage(&path, segment, what))?;
                check_link(&path, segment, summary.first_seq, &summary.prev, self.last.as_ref())?;
                if summary.gap {
                    let gap = Gap::read(file, &summary).map_err(io)?;
                    self.gaps.push(gap.map_err(|what| damage(&path, segment, what))?);
                }
                let latest = Timestamp::from_nanosecond(summary.latest.into()).ok();
                self.last = Some((summary.last_seq.saturating_add(1), summary.last_digest, latest));
            }
            Form::Raw => {
                let mut replay = Replay::open(disk, dir, segment, self.last.as_ref(), Access::Read)?;
                let broken = replay.run()?;
                if replay.classify(broken)?.is_some() {
                    let what = "a batch of a closed segment is not whole".to_owned();
                    let seq = replay.state.next_seq;
                    return Err(Damage {
                        file: path,
                        offset: replay.offset,
                        seq,
                        what,
                    }
                    .into());
                }
                len = replay.len;
                let State {
                    next_seq,
                    digest,
                    last_at,
                    ..
                } = replay.state;
                self.closed.push(Closed {
                    first_seq: segment.first_seq,
                    last_seq: next_seq - 1,
                    last_digest: digest,
                });
                self.last = Some((next_seq, digest, last_at));
            }
        }
        self.sizes.insert(segment.first_seq, len);
        Ok(())
    }
}

/// Makes an existing file the one to write to: nothing but zeros after its end, and all before it durable, for what is
/// read here may be known to the page cache alone.
fn adopt(
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    segment_bytes: u64,
    health: &Health,
) -> Result<LiveFile, OpenError> {
    let io = |error| io_error(&path, error);
    let len = file.len().map_err(io)?;
    let clean = is_zero_from(&*file, end).map_err(io)?;
    let capacity = len.max(segment_bytes);
    let mut live = LiveFile {
        file,
        path: path.clone(),
        end,
        capacity,
        reserved: len,
        dirty: true,
    };
    let result = if clean {
        live.sync(health)
    } else {
        live.cut_back(end, health)
    };
    match result {
        Ok(()) => Ok(live),
        Err(CommitError::NoSpace { path, error }) => Err(OpenError::Io { path, error }),
        Err(other) => Err(OpenError::Io {
            path,
            error: io::Error::other(other),
        }),
    }
}

fn recover_spool(
    disk: &dyn Disk,
    layout: &Layout,
    options: &Options,
    health: &Health,
    state: &State,
) -> Result<(LiveFile, BTreeMap<u64, u64>), OpenError> {
    let dir = &layout.spool;
    let io = |error| io_error(dir, error);
    let SpoolEnd { segment, offset } = state.spool;
    let mut sizes = BTreeMap::new();
    let mut removed = false;
    for number in spool_segments(disk, dir).map_err(io)? {
        let path = spool_path(dir, number);
        if number > segment {
            // Begun by a batch that did not come to be.
            disk.remove(&path).map_err(|error| io_error(&path, error))?;
            removed = true;
        } else if number < segment {
            let file = disk.open(&path, Access::Read).map_err(|error| io_error(&path, error))?;
            sizes.insert(number, file.len().map_err(|error| io_error(&path, error))?);
        }
    }
    if removed {
        disk.sync_dir(dir).map_err(io)?;
    }

    let path = spool_path(dir, segment);
    let damage = |offset, what: &str| {
        let seq = state.next_seq - 1;
        OpenError::from(Damage {
            file: path.clone(),
            offset,
            seq,
            what: what.to_owned(),
        })
    };
    let file = match disk.open(&path, Access::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damage(0, "the live spool segment is missing"));
        }
        Err(error) => return Err(io_error(&path, error)),
    };
    let len = file.len().map_err(|error| io_error(&path, error))?;
    spool::check_header(&*file, segment)
        .map_err(|error| io_error(&path, error))?
        .map_err(|what| damage(0, what))?;
    if offset > len || len > MAX_SEGMENT {
        return Err(damage(
            offset,
            "the live spool segment does not have the length that the journal says",
        ));
    }
    Ok((
        adopt(file, path.clone(), offset, options.spool_segment_bytes, health)?,
        sizes,
    ))
}
