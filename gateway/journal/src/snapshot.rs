//! Snapshots: rows of keys and values that reflect the journal up to a position, so that a start does not depend on
//! history. A file is a header, the rows compressed with zstd, and a trailer with their number and the Streebog-256 of
//! all that precedes it. It gets its name only when it is whole and durable.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use streebog::{Digest as _, Streebog256};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{ReadError, SnapshotError, is_no_space};
use crate::health::Health;
use crate::layout::{CIPHER_NONE, FORMAT, UNFINISHED, is_known, snapshot_path, snapshots};
use crate::octets::{Stream, array_at, put, read_whole, u32_at, u64_at};
use crate::record::Digest;

const MAGIC: [u8; 8] = *b"RSMEVSNP";
pub(crate) const HEADER: usize = 96;
pub(crate) const TRAILER: usize = 40;
/// How many snapshots are kept.
const KEPT: usize = 2;
/// The longest key or value.
pub(crate) const LONGEST: usize = 16 << 20;
/// Stands in place of a key's length after the last row.
const LAST: u32 = u32::MAX;

/// A place in the journal: right after the record with this number and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence number of the last record that is reflected; 0 before the first.
    pub seq: u64,
    /// Digest of that record; zeros before the first.
    pub digest: Digest,
}

/// Tells whether a position is a place in the journal.
pub type Belongs<'a> = dyn Fn(Position) -> Result<bool, ReadError> + 'a;

/// The snapshots of a data directory; can be cloned and used from any thread, beside the writer.
#[derive(Debug, Clone)]
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    level: i32,
    health: Arc<Health>,
    begun: Arc<AtomicU64>,
}

impl Snapshots {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, level: i32, health: Arc<Health>) -> Self {
        Self {
            disk,
            dir,
            level,
            health,
            begun: Arc::default(),
        }
    }

    /// Begins a snapshot of the state right after `position`, which must be durable in the journal.
    ///
    /// # Errors
    /// [`SnapshotError::NoSpace`], or [`SnapshotError::Io`] if the file cannot be created.
    pub fn create(&self, position: Position) -> Result<SnapshotWriter, SnapshotError> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{:020}.{number}{UNFINISHED}", position.seq));
        let sort = |error| sort(&path, error);
        let file = self.disk.create(&path).map_err(sort)?;
        let mut hashing = Hashing {
            stream: Stream::new(Arc::clone(&file), 0),
            hash: Streebog256::new(),
        };
        let begun = hashing
            .write_all(&header(position))
            .and_then(|()| zstd::Encoder::new(hashing, self.level));
        match begun {
            Ok(encoder) => Ok(SnapshotWriter {
                snapshots: self.clone(),
                position,
                path,
                file,
                encoder: Some(encoder),
                rows: 0,
            }),
            Err(error) => {
                // What cannot be removed is removed when the store is opened again.
                let _ = self.disk.remove(&path);
                Err(sort(error))
            }
        }
    }

    /// The newest snapshot of a position before the record `before` that is whole, checked from end to end, and whose position
    /// `belongs` to the journal; others are passed over.
    ///
    /// # Errors
    /// [`SnapshotError::Io`] if the directory or a file cannot be read, [`SnapshotError::Journal`].
    pub fn latest(&self, before: u64, belongs: &Belongs<'_>) -> Result<Option<SnapshotReader>, SnapshotError> {
        let positions = snapshots(&*self.disk, &self.dir).map_err(|error| sort(&self.dir, error))?;
        let mut passed_over = Vec::new();
        for seq in positions.into_iter().rev().filter(|seq| *seq < before) {
            let path = snapshot_path(&self.dir, seq);
            match SnapshotReader::open(&*self.disk, &path) {
                Ok(mut reader) => {
                    if belongs(reader.position)? {
                        reader.passed_over = passed_over;
                        return Ok(Some(reader));
                    }
                    passed_over.push(format!("{} belongs to another journal", path.display()));
                }
                Err(SnapshotError::Damaged { path, what }) => {
                    passed_over.push(format!("{} is damaged: {what}", path.display()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Removes those that do not belong to the journal, which ends with record `end`; returns their files.
    pub(crate) fn remove_foreign(&self, end: u64, belongs: &Belongs<'_>) -> Result<Vec<PathBuf>, SnapshotError> {
        let positions = snapshots(&*self.disk, &self.dir).map_err(|error| sort(&self.dir, error))?;
        let mut removed = Vec::new();
        for seq in positions {
            let path = snapshot_path(&self.dir, seq);
            let foreign = seq > end
                || match SnapshotReader::head(&*self.disk, &path) {
                    Ok(head) => !belongs(head.position)?,
                    Err(SnapshotError::Damaged { .. }) => false,
                    Err(error) => return Err(error),
                };
            if foreign {
                self.disk.remove(&path).map_err(|error| sort(&path, error))?;
                removed.push(path);
            }
        }
        if !removed.is_empty() {
            self.disk.sync_dir(&self.dir).map_err(|error| sort(&self.dir, error))?;
        }
        Ok(removed)
    }

    /// Removes those before a position if all up to it take more than so many octets; tells how many that gave back.
    pub(crate) fn remove_older(&self, than: u64, together: u64) -> Result<u64, SnapshotError> {
        let positions = snapshots(&*self.disk, &self.dir).map_err(|error| sort(&self.dir, error))?;
        let mut older = Vec::new();
        let mut sum = 0;
        for seq in positions.into_iter().filter(|seq| *seq <= than) {
            let path = snapshot_path(&self.dir, seq);
            let len = self.disk.open(&path, Access::Read).and_then(|file| file.len());
            let len = len.map_err(|error| sort(&path, error))?;
            sum += len;
            if seq < than {
                older.push((path, len));
            }
        }
        let mut given_back = 0;
        if sum > together {
            for (path, len) in older {
                self.disk.remove(&path).map_err(|error| sort(&path, error))?;
                given_back += len;
            }
        }
        Ok(given_back)
    }

    /// Removes all but the newest ones up to a position: what lies beyond it is none of this journal's.
    fn prune(&self, position: Position) -> io::Result<()> {
        let positions = snapshots(&*self.disk, &self.dir)?;
        let ours = positions.iter().rev().filter(|seq| **seq <= position.seq);
        for seq in ours.skip(KEPT) {
            self.disk.remove(&snapshot_path(&self.dir, *seq))?;
        }
        Ok(())
    }
}

fn sort(path: &Path, error: io::Error) -> SnapshotError {
    let path = path.to_owned();
    if is_no_space(&error) {
        SnapshotError::NoSpace { path, error }
    } else {
        SnapshotError::Io { path, error }
    }
}

fn header(position: Position) -> [u8; HEADER] {
    let mut octets = [0; HEADER];
    put(&mut octets, 0, &MAGIC);
    put(&mut octets, 12, &FORMAT.to_le_bytes());
    put(&mut octets, 16, &CIPHER_NONE.to_le_bytes());
    // 20..24 is free, 24..40 the key id: zeros as long as there is no cipher.
    put(&mut octets, 40, &position.seq.to_le_bytes());
    put(&mut octets, 48, &position.digest);
    let crc = crc32c::crc32c(&octets[12..]);
    put(&mut octets, 8, &crc.to_le_bytes());
    octets
}

/// Hashes what it passes on.
struct Hashing {
    stream: Stream,
    hash: Streebog256,
}

impl Write for Hashing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(octets)?;
        self.hash.update(&octets[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes rows; the snapshot exists only after [`finish`](Self::finish), dropping the writer before leaves nothing.
pub struct SnapshotWriter {
    snapshots: Snapshots,
    position: Position,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// None once the snapshot has its name.
    encoder: Option<zstd::Encoder<'static, Hashing>>,
    rows: u64,
}

impl SnapshotWriter {
    /// Adds a row. Key and value can have up to 16 MiB each.
    ///
    /// # Errors
    /// [`SnapshotError::TooLarge`], which leaves the snapshot as it was; [`SnapshotError::NoSpace`] or
    /// [`SnapshotError::Io`], after which the snapshot is to be given up.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        if key.len() > LONGEST || value.len() > LONGEST {
            return Err(SnapshotError::TooLarge(key.len().max(value.len())));
        }
        let mut lengths = [0; 8];
        put(&mut lengths, 0, &(key.len() as u32).to_le_bytes());
        put(&mut lengths, 4, &(value.len() as u32).to_le_bytes());
        self.write(&lengths)?;
        self.write(key)?;
        self.write(value)?;
        self.rows += 1;
        Ok(())
    }

    /// Makes the snapshot durable, removes older ones until two are left, and returns the digest of its octets.
    ///
    /// # Errors
    /// [`SnapshotError::NoSpace`] or [`SnapshotError::Io`]; there is no snapshot then. A failed sync also closes the store.
    pub fn finish(mut self) -> Result<Digest, SnapshotError> {
        let mut last = [0; 8];
        put(&mut last, 0, &LAST.to_le_bytes());
        self.write(&last)?;
        let Some(encoder) = self.encoder.take() else {
            return Err(self.lost());
        };
        let result = self.complete(encoder);
        if result.is_err() {
            // What cannot be removed is removed when the store is opened again.
            let _ = self.snapshots.disk.remove(&self.path);
        }
        result
    }

    fn complete(&self, encoder: zstd::Encoder<'static, Hashing>) -> Result<Digest, SnapshotError> {
        let Snapshots { disk, dir, health, .. } = &self.snapshots;
        let fail = |error: io::Error| {
            health.fail(&self.path, "syncing", &error);
            SnapshotError::Io {
                path: self.path.clone(),
                error,
            }
        };
        let mut hashing = encoder.finish().map_err(|error| sort(&self.path, error))?;
        let rows = self.rows.to_le_bytes();
        hashing.write_all(&rows).map_err(|error| sort(&self.path, error))?;
        let digest: Digest = hashing.hash.finalize().into();
        hashing
            .stream
            .write_all(&digest)
            .map_err(|error| sort(&self.path, error))?;
        self.file.sync_data().map_err(fail)?;
        disk.rename(&self.path, &snapshot_path(dir, self.position.seq))
            .map_err(|error| sort(&self.path, error))?;
        disk.sync_dir(dir).map_err(fail)?;
        self.snapshots.prune(self.position).map_err(|error| sort(dir, error))?;
        Ok(digest)
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), SnapshotError> {
        match &mut self.encoder {
            Some(encoder) => encoder.write_all(octets).map_err(|error| sort(&self.path, error)),
            None => Err(self.lost()),
        }
    }

    fn lost(&self) -> SnapshotError {
        SnapshotError::Io {
            path: self.path.clone(),
            error: io::Error::other("the snapshot is finished already"),
        }
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.encoder.is_some() {
            // What cannot be removed is removed when the store is opened again.
            let _ = self.snapshots.disk.remove(&self.path);
        }
    }
}

impl fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("path", &self.path)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// What frames the rows of a snapshot.
struct Head {
    file: Arc<dyn DiskFile>,
    position: Position,
    /// Where the rows end.
    end: u64,
    rows: u64,
    digest: Digest,
}

fn damaged(path: &Path, what: &str) -> SnapshotError {
    SnapshotError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

/// The rows of a snapshot, in the order in which they were put.
pub struct SnapshotReader {
    path: PathBuf,
    position: Position,
    digest: Digest,
    rows: u64,
    left: u64,
    decoder: zstd::Decoder<'static, BufReader<io::Take<Stream>>>,
    passed_over: Vec<String>,
}

impl SnapshotReader {
    /// The place in the journal that the rows reflect.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Digest of the snapshot's octets, as [`SnapshotWriter::finish`] returned it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Snapshots that were newer but damaged, with what was wrong.
    #[must_use]
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// Reads what frames the rows.
    fn head(disk: &dyn Disk, path: &Path) -> Result<Head, SnapshotError> {
        let io = |error| sort(path, error);
        let damaged = |what: &str| damaged(path, what);
        let file = disk.open(path, Access::Read).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut head = [0; HEADER];
        let mut tail = [0; TRAILER];
        let end = len.checked_sub(TRAILER as u64).filter(|end| *end >= HEADER as u64);
        let end = end.ok_or_else(|| damaged("the file is too short"))?;
        let whole = read_whole(&*file, &mut head, 0).map_err(io)? && read_whole(&*file, &mut tail, end).map_err(io)?;
        if !whole || array_at(&head, 0) != MAGIC || u32_at(&head, 8) != crc32c::crc32c(&head[12..]) {
            return Err(damaged("the header is wrong"));
        }
        if !is_known(u32_at(&head, 12)) || u32_at(&head, 16) != CIPHER_NONE {
            return Err(damaged("its format or cipher is not known to this program"));
        }
        let position = Position {
            seq: u64_at(&head, 40),
            digest: array_at(&head, 48),
        };
        let (rows, digest) = (u64_at(&tail, 0), array_at(&tail, 8));
        if snapshot_path(path.parent().unwrap_or(path), position.seq) != path {
            return Err(damaged("the file is named after another position"));
        }
        Ok(Head {
            file,
            position,
            end,
            rows,
            digest,
        })
    }

    fn open(disk: &dyn Disk, path: &Path) -> Result<Self, SnapshotError> {
        let io = |error| sort(path, error);
        let Head {
            file,
            position,
            end,
            rows,
            digest,
        } = Self::head(disk, path)?;
        let mut hash = Streebog256::new();
        let mut content = Stream::new(Arc::clone(&file), 0).take(end + 8);
        let mut buffer = vec![0; 1 << 17];
        loop {
            match content.read(&mut buffer).map_err(io)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        if digest != <Digest>::from(hash.finalize()) {
            return Err(damaged(path, "the digest is wrong"));
        }
        let content = Stream::new(file, HEADER as u64).take(end - HEADER as u64);
        let decoder = zstd::Decoder::new(content).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            position,
            digest,
            rows,
            left: rows,
            decoder,
            passed_over: Vec::new(),
        })
    }

    fn row(&mut self) -> Result<(Vec<u8>, Vec<u8>), SnapshotError> {
        let unreadable = |error: io::Error| damaged(&self.path, &error.to_string());
        let mut lengths = [0; 8];
        self.decoder.read_exact(&mut lengths).map_err(unreadable)?;
        let (key, value) = (u32_at(&lengths, 0) as usize, u32_at(&lengths, 4) as usize);
        if key > LONGEST || value > LONGEST {
            return Err(damaged(&self.path, "a row has an impossible length"));
        }
        let (mut key, mut value) = (vec![0; key], vec![0; value]);
        self.decoder.read_exact(&mut key).map_err(unreadable)?;
        self.decoder.read_exact(&mut value).map_err(unreadable)?;
        Ok((key, value))
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<(Vec<u8>, Vec<u8>), SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let row = self.row();
        if row.is_err() {
            self.left = 0;
        }
        Some(row)
    }
}

impl fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader")
            .field("path", &self.path)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
