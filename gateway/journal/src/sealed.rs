//! Sealed segments: the records as lines of JSON, compressed with zstd; `zstdcat SEGMENT | jq` reads them.
//!
//! A skippable frame, which zstd tools pass over, stands first. It says what the segment holds, so that a start and a
//! search by time need not decompress history; nothing in it is believed by `verify`, which reads the lines.

use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::disk::{Access, Disk, DiskFile, create_anew};
use crate::error::{CommitError, Damage};
use crate::frame::{self, Found, SegmentHeader};
use crate::health::Health;
use crate::layout::{FORMAT, UNFINISHED, is_known, raw_path, sealed_path};
use crate::octets::{Stream, array_at, put, read_whole, u32_at, u64_at};
use crate::record::{Digest, Line};

/// zstd's number for a frame that readers skip.
const SKIPPABLE: u32 = 0x184D_2A50;
const MAGIC: [u8; 8] = *b"RSMEVSEL";
/// The same of a segment that stands for records that are missing.
const GAP: [u8; 8] = *b"RSMEVGAP";
const CONTENT: usize = 160;
/// Octets before the compressed lines.
pub(crate) const SUMMARY: usize = 8 + CONTENT;

/// What a sealed segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Digest of the record before the first.
    pub(crate) prev: Digest,
    pub(crate) last_digest: Digest,
    /// The earliest and the latest time among the records, in nanoseconds since 1970.
    pub(crate) earliest: i64,
    pub(crate) latest: i64,
    /// Length of the decompressed lines.
    pub(crate) text: u64,
    /// Length of this file.
    pub(crate) file: u64,
    /// The records are missing, and the one line tells of that.
    pub(crate) gap: bool,
}

impl Summary {
    fn encode(&self) -> [u8; SUMMARY] {
        let mut octets = [0; SUMMARY];
        put(&mut octets, 0, &SKIPPABLE.to_le_bytes());
        put(&mut octets, 4, &(CONTENT as u32).to_le_bytes());
        put(&mut octets, 8, if self.gap { &GAP } else { &MAGIC });
        put(&mut octets, 20, &FORMAT.to_le_bytes());
        put(&mut octets, 24, &self.first_seq.to_le_bytes());
        put(&mut octets, 32, &self.last_seq.to_le_bytes());
        put(&mut octets, 40, &self.prev);
        put(&mut octets, 72, &self.last_digest);
        put(&mut octets, 104, &self.earliest.to_le_bytes());
        put(&mut octets, 112, &self.latest.to_le_bytes());
        put(&mut octets, 120, &self.text.to_le_bytes());
        put(&mut octets, 128, &self.file.to_le_bytes());
        let crc = crc32c::crc32c(&octets[20..]);
        put(&mut octets, 16, &crc.to_le_bytes());
        octets
    }

    /// Reads the summary of an open segment; the inner error says what is wrong with it.
    pub(crate) fn read(file: &dyn DiskFile) -> io::Result<Result<Self, &'static str>> {
        let mut octets = [0; SUMMARY];
        if !read_whole(file, &mut octets, 0)? {
            return Ok(Err("the file is shorter than its summary"));
        }
        let magic = array_at(&octets, 8);
        let gap = magic == GAP;
        if u32_at(&octets, 0) != SKIPPABLE || u32_at(&octets, 4) as usize != CONTENT || !(gap || magic == MAGIC) {
            return Ok(Err("the file does not begin like a sealed segment"));
        }
        if u32_at(&octets, 16) != crc32c::crc32c(&octets[20..]) {
            return Ok(Err("the CRC of the summary is wrong"));
        }
        if !is_known(u32_at(&octets, 20)) {
            return Ok(Err("the segment has a format that this program does not know"));
        }
        let summary = Self {
            first_seq: u64_at(&octets, 24),
            last_seq: u64_at(&octets, 32),
            prev: array_at(&octets, 40),
            last_digest: array_at(&octets, 72),
            earliest: i64::from_le_bytes(array_at(&octets, 104)),
            latest: i64::from_le_bytes(array_at(&octets, 112)),
            text: u64_at(&octets, 120),
            file: u64_at(&octets, 128),
            gap,
        };
        if summary.file != file.len()? {
            return Ok(Err("the file does not have the length that its summary says"));
        }
        Ok(Ok(summary))
    }
}

/// A time as a summary holds it; beyond the year 2262 it stays at the limit.
pub(crate) fn nanoseconds(time: Timestamp) -> i64 {
    let time = time.as_nanosecond();
    i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX })
}

/// The decompressed lines of a sealed segment.
pub(crate) type Lines = BufReader<zstd::Decoder<'static, BufReader<Stream>>>;

pub(crate) fn lines(file: Arc<dyn DiskFile>) -> io::Result<Lines> {
    Ok(BufReader::with_capacity(
        1 << 17,
        zstd::Decoder::new(Stream::new(file, 0))?,
    ))
}

/// A sealed segment that is being written.
pub(crate) struct Sealing {
    target: Arc<dyn DiskFile>,
    encoder: zstd::Encoder<'static, Stream>,
    text: u64,
    earliest: i64,
    latest: i64,
}

/// What a sealed segment begins and ends with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Digest of the record before the first.
    pub(crate) prev: Digest,
    pub(crate) last_digest: Digest,
    pub(crate) gap: bool,
}

impl Sealing {
    /// Begins a file, in the place of what an interrupted writer may have left.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, level: i32) -> io::Result<Self> {
        let target = create_anew(disk, path)?;
        let mut encoder = zstd::Encoder::new(Stream::new(Arc::clone(&target), SUMMARY as u64), level)?;
        encoder.include_checksum(true)?;
        Ok(Self {
            target,
            encoder,
            text: 0,
            earliest: i64::MAX,
            latest: i64::MIN,
        })
    }

    /// Adds lines with their line feeds.
    pub(crate) fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        self.text += lines.len() as u64;
        self.encoder.write_all(lines)
    }

    /// A record has this time.
    pub(crate) fn at(&mut self, time: Timestamp) {
        let time = nanoseconds(time);
        self.earliest = self.earliest.min(time);
        self.latest = self.latest.max(time);
    }

    /// Completes the file, which is not durable yet; returns its length.
    pub(crate) fn finish(self, ends: &Ends) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let file = self.encoder.finish()?.position();
        let summary = Summary {
            first_seq: ends.first_seq,
            last_seq: ends.last_seq,
            prev: ends.prev,
            last_digest: ends.last_digest,
            earliest: self.earliest,
            latest: self.latest,
            text: self.text,
            file,
            gap: ends.gap,
        };
        self.target.write_at(&summary.encode(), 0)?;
        Ok((self.target, file))
    }
}

/// A raw segment that is complete and waits to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_digest: Digest,
}

/// Compresses a closed segment, makes the result durable, and only then removes the raw file. Returns the length of
/// the sealed one.
pub(crate) fn seal(
    disk: &dyn Disk,
    health: &Health,
    dir: &Path,
    closed: &Closed,
    level: i32,
) -> Result<u64, CommitError> {
    health.check()?;
    let raw = raw_path(dir, closed.first_seq);
    let sealed = sealed_path(dir, closed.first_seq);
    let mut unfinished = sealed.clone().into_os_string();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);

    let (file, len) = match compress(disk, &raw, &unfinished, closed, level) {
        Ok(made) => made,
        Err(Trouble::Reading(damage)) => return Err(health.fail(&raw, "sealing", damage)),
        Err(Trouble::Disk(error)) => {
            let error = health.sort(&unfinished, "sealing into", error);
            // What cannot be removed is removed when the store is opened again.
            let _ = disk.remove(&unfinished);
            return Err(error);
        }
    };
    file.sync_data()
        .map_err(|error| health.fail(&unfinished, "syncing", error))?;
    disk.rename(&unfinished, &sealed)
        .map_err(|error| health.sort(&sealed, "renaming to", error))?;
    disk.sync_dir(dir).map_err(|error| health.fail(dir, "syncing", error))?;
    disk.remove(&raw)
        .map_err(|error| health.fail(&raw, "removing", error))?;
    disk.sync_dir(dir).map_err(|error| health.fail(dir, "syncing", error))?;
    Ok(len)
}

enum Trouble {
    Reading(Damage),
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

fn compress(
    disk: &dyn Disk,
    raw: &Path,
    unfinished: &Path,
    closed: &Closed,
    level: i32,
) -> Result<(Arc<dyn DiskFile>, u64), Trouble> {
    let damage = |offset, seq, what: &str| {
        Trouble::Reading(Damage {
            file: raw.to_owned(),
            offset,
            seq,
            what: what.to_owned(),
        })
    };
    let source = disk.open(raw, Access::Read)?;
    let header = SegmentHeader::read(&*source)?.map_err(|what| damage(0, closed.first_seq, what))?;
    let mut sealing = Sealing::create(disk, unfinished, level)?;
    let len = source.len()?;
    let (mut offset, mut seq) = (frame::HEADER, closed.first_seq);
    let mut payload = Vec::new();
    while seq <= closed.last_seq {
        let Found::Frame(found) = frame::read(&*source, offset, len, &mut payload)? else {
            return Err(damage(offset, seq, "a batch that was written is not there"));
        };
        for line in payload.split_inclusive(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\n").and_then(Line::parse);
            let time = line
                .ok_or("a line does not have the form of a record")
                .and_then(|line| line.time());
            sealing.at(time.map_err(|what| damage(offset, seq, what))?);
        }
        sealing.put(&payload)?;
        seq += u64::from(found.records);
        offset += found.span();
    }
    let ends = Ends {
        first_seq: closed.first_seq,
        last_seq: closed.last_seq,
        prev: header.prev,
        last_digest: closed.last_digest,
        gap: false,
    };
    Ok(sealing.finish(&ends)?)
}
