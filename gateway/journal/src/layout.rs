//! Names and numbers of the data directory: what lies where, and what is written in the first octets.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

/// Version of everything that this crate and whoever fills its records and snapshots write, in the `FORMAT` file and in each
/// header. It is raised whenever a program that knows the version before would misread something.
///
/// 5: events and rows of what operators hold back, and of incidents.
pub(crate) const FORMAT: u32 = 5;
/// The oldest version that is read. A session that begins on it raises the `FORMAT` file; older segments and snapshots stay
/// as they are.
pub(crate) const OLDEST: u32 = 4;
/// The only cipher so far: none.
pub(crate) const CIPHER_NONE: u32 = 0;
/// The largest segment, so that an offset in it always fits into 32 bits.
pub(crate) const MAX_SEGMENT: u64 = 1 << 30;
/// The longest record: what a file says can make nobody hold more.
pub(crate) const MAX_RECORD: u64 = 64 << 20;
/// The smallest segment that makes sense.
pub(crate) const MIN_SEGMENT: u64 = 4 << 10;

const RAW: &str = ".journal";
const SEALED: &str = ".jsonl.zst";
const SPOOL: &str = ".spool";
const SNAPSHOT: &str = ".snapshot";
/// Ends the names of unfinished files; opening the store removes them.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Whether a file with this version in its header can be read.
pub(crate) fn is_known(format: u32) -> bool {
    (OLDEST..=FORMAT).contains(&format)
}

/// The places of a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) spool: PathBuf,
    pub(crate) snapshot: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            journal: root.join("journal"),
            spool: root.join("spool"),
            snapshot: root.join("snapshot"),
        }
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(crate) fn format(&self) -> PathBuf {
        self.root.join("FORMAT")
    }

    pub(crate) fn session(&self) -> PathBuf {
        self.root.join("SESSION")
    }

    pub(crate) fn cut(&self) -> PathBuf {
        self.root.join("CUT")
    }
}

/// A journal segment that is being written, or was and waits to be sealed.
pub(crate) fn raw_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{RAW}"))
}

/// A sealed journal segment.
pub(crate) fn sealed_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{SEALED}"))
}

pub(crate) fn spool_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:020}{SPOOL}"))
}

pub(crate) fn snapshot_path(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("{seq:020}{SNAPSHOT}"))
}

/// The form in which a journal segment lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Sealed,
}

/// A journal segment as its file name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentName {
    pub(crate) first_seq: u64,
    pub(crate) form: Form,
    /// In an archive: the beginning of the file's digest, which stands in the name.
    pub(crate) tag: Option<u64>,
}

impl SegmentName {
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        match (self.form, self.tag) {
            (Form::Raw, _) => raw_path(dir, self.first_seq),
            (Form::Sealed, None) => sealed_path(dir, self.first_seq),
            (Form::Sealed, Some(tag)) => dir.join(archived(self.first_seq, tag)),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let of = |first_seq, form, tag| Self { first_seq, form, tag };
        if let Some(first_seq) = number(name, RAW) {
            return Some(of(first_seq, Form::Raw, None));
        }
        if let Some(first_seq) = number(name, SEALED) {
            return Some(of(first_seq, Form::Sealed, None));
        }
        let (first, tag) = name.strip_suffix(SEALED)?.split_once('-')?;
        let tag = u64::from_str_radix(tag, 16).ok()?;
        let found = of(first.parse().ok()?, Form::Sealed, Some(tag));
        (archived(found.first_seq, tag) == name).then_some(found)
    }
}

/// The name of a sealed segment in an archive. Segments of two histories that begin with the same record, as after a
/// restoration from a backup, have two names there.
pub(crate) fn archived(first_seq: u64, tag: u64) -> String {
    format!("{first_seq:020}-{tag:016x}{SEALED}")
}

/// Journal segments in order. Where both forms of one are there, sealing was interrupted before it removed the raw
/// file: that one counts.
pub(crate) fn journal_segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<SegmentName>> {
    let mut segments: Vec<SegmentName> = Vec::new();
    for name in disk.list(dir)? {
        segments.extend(SegmentName::parse(&name));
    }
    segments.sort_by_key(|segment| (segment.first_seq, segment.form == Form::Sealed, segment.tag));
    segments.dedup_by(|later, earlier| later.first_seq == earlier.first_seq && earlier.form == Form::Raw);
    Ok(segments)
}

/// Numbers of the spool segments in order.
pub(crate) fn spool_segments(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    numbers(disk, dir, SPOOL)
}

/// Positions of the snapshots in order.
pub(crate) fn snapshots(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    numbers(disk, dir, SNAPSHOT)
}

fn numbers(disk: &dyn Disk, dir: &Path, suffix: &str) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk.list(dir)?.iter().filter_map(|name| number(name, suffix)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn number(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}
