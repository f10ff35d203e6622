//! Passing over damage that a person accepts: the records before it and after it are kept, the file that was damaged is put
//! aside, and a [`Gap`] takes the place of what cannot be read. What nobody can vouch for counts as unreadable: the last
//! record of a sealed segment before a fault, too, because the decompressor may have made it up.
//!
//! The damaged file goes last. Whatever interrupts the work, the damage is still there for the next start to find under
//! the same name, and the work is done again.

mod kept;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cut::{copy, within};
use crate::disk::{Access, Disk, read_file, unfinished};
use crate::error::{Damage, OpenError, ReadError};
use crate::frame::SegmentHeader;
use crate::gap::Gap;
use crate::layout::{Form, Layout, MAX_SEGMENT, SegmentName, journal_segments, raw_path, sealed_path};
use crate::record::Digest;
use crate::recovery::Expected;
use crate::replay::damage;
use crate::sealed::{Ends, Sealing, Summary};
use crate::setup::io_error;
use crate::walk::{Scope, Walk};
use kept::{Kept, Later};

/// Passes over the damage that a person accepted, as far as the journal has it; returns that.
pub(crate) fn pass_over(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    level: i32,
    expected: &Expected<'_>,
) -> Result<Vec<Damage>, OpenError> {
    let mut passed = Vec::new();
    for named in expected.accepted {
        let Some(found) = find(disk, layout, *named)? else {
            continue;
        };
        let mending = Mending {
            disk: &**disk,
            layout,
            level,
            expected,
            found,
        };
        if mending.mend()? {
            passed.push(mending.found);
        }
    }
    Ok(passed)
}

/// The damage that is named so.
fn find(disk: &Arc<dyn Disk>, layout: &Layout, named: u64) -> Result<Option<Damage>, OpenError> {
    let walk = |from| {
        let scope = Scope {
            from,
            chain: true,
            not_before: None,
            not_after: None,
        };
        Walk::new(Arc::clone(disk), &layout.journal, scope)
    };
    // From the record before, so that what links the two is looked at.
    let mut walk = match walk(Some(named.saturating_sub(1).max(1))) {
        Err(ReadError::Archived { .. }) => walk(None)?,
        walk => walk?,
    };
    while let Some(step) = walk.step() {
        match step {
            Ok(step) if step.seq > named => return Ok(None),
            Ok(_) => {}
            Err(ReadError::Damaged(damage)) => return Ok(Some(damage).filter(|damage| damage.seq == named)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Damage that is being passed over.
struct Mending<'a> {
    disk: &'a dyn Disk,
    layout: &'a Layout,
    level: i32,
    expected: &'a Expected<'a>,
    found: Damage,
}

/// The segment that is damaged, what can be kept of it, and the segments after it.
type Harmed<'s> = (&'s SegmentName, Kept, &'s [SegmentName]);

/// Where the records go on.
struct Resumption {
    seq: u64,
    /// Digest of the record before.
    prev: Digest,
    /// They go on in the damaged file itself.
    later: Option<Later>,
    /// Segments before that which are of no use.
    doomed: Vec<SegmentName>,
}

impl Mending<'_> {
    /// Whether the damage was one with an end: what is lost behind the last record that can be read is no gap.
    fn mend(&self) -> Result<bool, OpenError> {
        let dir = &self.layout.journal;
        let segments = journal_segments(self.disk, dir).map_err(|error| io_error(dir, error))?;
        let Some((segment, mut kept, following)) = self.damaged(&segments)? else {
            return Ok(false);
        };
        let Some(resumption) = self.resumption(&mut kept, following)? else {
            return Ok(false);
        };
        if kept.is_proven() && resumption.seq == kept.next_seq() && resumption.prev != kept.digest() {
            // Giving up a record that is there would make one journal of two.
            return Err(self.hopeless(
                segment,
                "the records after it belong to another history, and none is missing between them: restore the file that \
                 belongs here",
            ));
        }
        kept.prove(resumption.seq, &resumption.prev);
        if resumption.seq < kept.next_seq() {
            return Err(self.hopeless(segment, "the segments after it begin before its end"));
        }
        self.replace(segment, &kept, &resumption)?;
        Ok(true)
    }

    /// What cannot be passed over has the name that was accepted: there is no other that would help.
    fn hopeless(&self, segment: &SegmentName, what: &str) -> OpenError {
        Damage {
            file: segment.path(&self.layout.journal),
            offset: 0,
            seq: self.found.seq,
            what: what.to_owned(),
        }
        .into()
    }

    /// Reads a segment as far as it goes.
    fn read(&self, segment: &SegmentName, prev: Option<Digest>) -> Result<Kept, OpenError> {
        let kept = Kept::read(self.disk, &self.layout.journal, segment, prev)?;
        kept.ok_or_else(|| {
            let what = "its beginning cannot be read, and nothing tells what came before it: restore it from a backup";
            self.hopeless(segment, what)
        })
    }

    /// Finds the segment that is damaged.
    fn damaged<'s>(&self, segments: &'s [SegmentName]) -> Result<Option<Harmed<'s>>, OpenError> {
        let seq = self.found.seq;
        let after = segments.partition_point(|segment| segment.first_seq < seq);
        let before = after.checked_sub(1).map(|index| &segments[index]);
        let kept_before = before.map(|before| self.read(before, None));
        let kept_before = kept_before.transpose()?;
        match (before.zip(kept_before), segments.get(after)) {
            // The damage is at the very beginning of a segment, and what comes before it is whole.
            (Some((_, kept)), Some(segment)) if segment.first_seq == seq && self.goes_on(&kept, segment)? => {
                let kept = self.read(segment, Some(kept.digest()))?;
                Ok(Some((segment, kept, &segments[after + 1..])))
            }
            (Some((segment, kept)), _) => Ok(Some((segment, kept, &segments[after..]))),
            (None, Some(segment)) => {
                let start = (segment.first_seq == 1).then_some([0; 32]);
                let kept = self.read(segment, start)?;
                Ok(Some((segment, kept, &segments[after + 1..])))
            }
            (None, None) => Ok(None),
        }
    }

    /// Whether a segment goes on where another ends, as far as its own beginning can be read.
    fn goes_on(&self, kept: &Kept, segment: &SegmentName) -> Result<bool, OpenError> {
        let opening = self.opening(segment)?;
        Ok(kept.is_whole()
            && kept.next_seq() == segment.first_seq
            && opening.is_none_or(|opening| opening.prev == kept.digest()))
    }

    /// Finds where the records go on; none if they do not, so that the end is lost.
    fn resumption(&self, kept: &mut Kept, following: &[SegmentName]) -> Result<Option<Resumption>, OpenError> {
        if let Some(later) = kept.take_later() {
            return Ok(Some(Resumption {
                seq: later.first_seq,
                prev: later.prev,
                later: Some(later),
                doomed: Vec::new(),
            }));
        }
        let mut doomed = Vec::new();
        for segment in following {
            match self.opening(segment)? {
                // A gap that follows becomes a part of this one.
                Some(Opening {
                    gap: Some((last, prev)),
                    ..
                }) => {
                    doomed.push(*segment);
                    return Ok(Some(Resumption {
                        seq: last.saturating_add(1),
                        prev,
                        later: None,
                        doomed,
                    }));
                }
                Some(opening) => {
                    return Ok(Some(Resumption {
                        seq: segment.first_seq,
                        prev: opening.prev,
                        later: None,
                        doomed,
                    }));
                }
                None if self.expected.accepted.contains(&segment.first_seq) => doomed.push(*segment),
                None => {
                    let what = "it follows damage, and cannot be read either, so that what is missing has no end";
                    return Err(damage(&segment.path(&self.layout.journal), segment, what));
                }
            }
        }
        Ok(None)
    }

    /// How a segment begins, if that can be read.
    fn opening(&self, segment: &SegmentName) -> Result<Option<Opening>, OpenError> {
        let path = segment.path(&self.layout.journal);
        let io = |error| io_error(&path, error);
        let file = self.disk.open(&path, Access::Read).map_err(io)?;
        let opening = match segment.form {
            Form::Raw => SegmentHeader::read(&*file).map_err(io)?.ok().map(|header| Opening {
                first_seq: header.first_seq,
                prev: header.prev,
                gap: None,
            }),
            Form::Sealed => Summary::read(&*file).map_err(io)?.ok().map(|summary| Opening {
                first_seq: summary.first_seq,
                prev: summary.prev,
                gap: summary.gap.then_some((summary.last_seq, summary.last_digest)),
            }),
        };
        Ok(opening.filter(|opening| opening.first_seq == segment.first_seq))
    }

    /// Puts what is kept, the gap and what comes after it in the place of the damaged file, which goes last.
    fn replace(&self, segment: &SegmentName, kept: &Kept, resumption: &Resumption) -> Result<(), OpenError> {
        let dir = &self.layout.journal;
        let gap = (resumption.seq > kept.next_seq()).then(|| (kept.next_seq(), resumption.seq - 1));
        // Nothing is wrong with a file next to which another is missing.
        let harmed = !kept.is_whole() || kept.next_seq() == kept.first_seq();
        let aside = self.put_aside(harmed.then_some(segment), &resumption.doomed)?;

        if let Some(later) = &resumption.later {
            let path = raw_path(dir, later.first_seq);
            let write = || later.write(self.disk, &unfinished(&path));
            self.put(&path, write)?;
        }
        for doomed in &resumption.doomed {
            let path = doomed.path(dir);
            self.disk.remove(&path).map_err(|error| io_error(&path, error))?;
        }
        if let Some((first, last)) = gap {
            let gap = Gap {
                first,
                last,
                before: kept.digest(),
                after: resumption.prev,
                named: self.found.seq,
                file: self
                    .found
                    .file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                offset: self.found.offset,
                what: self.found.what.clone(),
                aside,
            };
            let path = sealed_path(dir, first);
            let at = kept.latest().unwrap_or(self.expected.now);
            self.put(&path, || gap.write(self.disk, &unfinished(&path), self.level, at))?;
        }
        if harmed && kept.next_seq() > kept.first_seq() {
            let path = sealed_path(dir, kept.first_seq());
            self.put(&path, || self.seal(kept, &unfinished(&path)))?;
        }
        let in_its_place = resumption
            .later
            .as_ref()
            .is_some_and(|later| later.first_seq == segment.first_seq);
        if harmed && segment.form == Form::Raw && !in_its_place {
            let path = segment.path(dir);
            self.disk.remove(&path).map_err(|error| io_error(&path, error))?;
        }
        self.disk.sync_dir(dir).map_err(|error| io_error(dir, error))
    }

    /// Copies what will not stay as it is into a folder of its own; returns that one's name.
    fn put_aside(&self, segment: Option<&SegmentName>, doomed: &[SegmentName]) -> Result<Option<String>, OpenError> {
        let files: Vec<PathBuf> = segment
            .into_iter()
            .chain(doomed)
            .map(|segment| segment.path(&self.layout.journal))
            .collect();
        if files.is_empty() {
            return Ok(None);
        }
        let root = &self.layout.root;
        let (name, dir) = self.aside(&files)?;
        let io = |error| io_error(&dir, error);
        self.disk.create_dir(&dir).map_err(io)?;
        self.disk.sync_dir(root).map_err(|error| io_error(root, error))?;
        for path in &files {
            let to = within(&dir, path);
            let put = || match self.is_copy(path, &to)? {
                true => Ok(()),
                false => copy(self.disk, &*self.disk.open(path, Access::Read)?, &to),
            };
            put().map_err(|error| io_error(path, error))?;
        }
        self.disk.sync_dir(&dir).map_err(io)?;
        Ok(Some(name))
    }

    /// The name of a folder for these files, and its path: one that an interrupted try began, or one that is not there yet.
    fn aside(&self, files: &[PathBuf]) -> Result<(String, PathBuf), OpenError> {
        let mut name = format!("gap-{}", self.found.seq);
        for number in 2.. {
            let dir = self.layout.root.join(&name);
            if self.is_begun(&dir, files).map_err(|error| io_error(&dir, error))? {
                break;
            }
            name = format!("gap-{}-{number}", self.found.seq);
        }
        let dir = self.layout.root.join(&name);
        Ok((name, dir))
    }

    /// Whether a folder has nothing but copies of these files, as far as they were made.
    fn is_begun(&self, dir: &Path, files: &[PathBuf]) -> io::Result<bool> {
        let names = match self.disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            listed => listed?,
        };
        for name in names {
            let there = dir.join(name);
            let mut of_these = false;
            for path in files {
                let to = within(dir, path);
                of_these |= there == unfinished(&to) || (there == to && self.is_copy(path, &to)?);
            }
            if !of_these {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a file is there, and is a copy of another; a copy has its name only when it is durable.
    fn is_copy(&self, path: &Path, copy: &Path) -> io::Result<bool> {
        let read = |path| read_file(self.disk, path, MAX_SEGMENT);
        Ok(match read(copy)? {
            Some(octets) => read(path)? == Some(octets),
            None => false,
        })
    }

    /// Writes a file and gives it its name, durably.
    fn put(&self, path: &Path, write: impl FnOnce() -> io::Result<()>) -> Result<(), OpenError> {
        let dir = &self.layout.journal;
        let put = || {
            write()?;
            self.disk.rename(&unfinished(path), path)?;
            self.disk.sync_dir(dir)
        };
        put().map_err(|error| io_error(path, error))
    }

    fn seal(&self, kept: &Kept, path: &Path) -> io::Result<()> {
        let mut sealing = Sealing::create(self.disk, path, self.level)?;
        sealing.put(kept.lines())?;
        kept.times().for_each(|time| sealing.at(time));
        let ends = Ends {
            first_seq: kept.first_seq(),
            last_seq: kept.next_seq() - 1,
            prev: kept.prev(),
            last_digest: kept.digest(),
            gap: false,
        };
        sealing.finish(&ends)?.0.sync_data()
    }
}

/// How a segment begins.
struct Opening {
    first_seq: u64,
    prev: Digest,
    /// Of a gap: its last record, and that one's digest.
    gap: Option<(u64, Digest)>,
}
