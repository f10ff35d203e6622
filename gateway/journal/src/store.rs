//! The store: everything that the one writer of a data directory can do with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::background::lock;
use crate::batch::{Batch, Pending};
use crate::bodies::Bodies;
use crate::cut;
use crate::disk::{Access, Disk, DiskLock, Space};
use crate::error::{CommitError, ReadError, RemoveError, SnapshotError};
use crate::layout::{snapshot_path, snapshots, spool_path};
use crate::read::Records;
use crate::record::Digest;
use crate::segments;
use crate::setup::Session;
use crate::snapshot::{Position, SnapshotReader, Snapshots};
use crate::writer::Writer;

/// Sizes and limits of a store. They may differ from one start to the next.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a live journal segment in octets, 4 KiB to 1 GiB; also bounds the records of a batch.
    pub journal_segment_bytes: u64,
    /// Size of a spool segment in octets, 4 KiB to 1 GiB; also bounds a body.
    pub spool_segment_bytes: u64,
    /// [`Store::checkpoint_due`] says so when less than this is free in the live journal segment, in octets; a quarter of
    /// the segment if that is less.
    pub checkpoint_reserve: u64,
    /// Compression level of sealed segments and snapshots.
    pub zstd_level: i32,
    /// How many spool segments [`Bodies`] keeps open.
    pub open_segments: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            journal_segment_bytes: 64 << 20,
            spool_segment_bytes: 64 << 20,
            checkpoint_reserve: 4 << 20,
            zstd_level: 3,
            open_segments: 32,
        }
    }
}

/// The writer of journal and spool.
///
/// Dropping it without [`close`](Self::close) is like a crash of the process: nothing committed is lost.
#[derive(Debug)]
pub struct Store {
    pub(crate) writer: Writer,
    pub(crate) pending: Pending,
    pub(crate) bodies: Bodies,
    pub(crate) snapshots: Snapshots,
    pub(crate) session: Session,
    /// The mark of the session before.
    pub(crate) before: Option<Session>,
    /// This boot of the machine.
    pub(crate) boot: String,
    /// No record is missing in a gap.
    pub(crate) gapless: bool,
    // Given back last of all, when no thread of the writer is left.
    pub(crate) _held: Box<dyn DiskLock>,
}

impl Store {
    /// Begins a batch. The buffers of the last one are used again.
    pub fn begin(&mut self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Sequence number of the last record written; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.writer.last_seq
    }

    /// Digest of the last record written; zeros if there is none.
    #[must_use]
    pub fn last_digest(&self) -> Digest {
        self.writer.last_digest
    }

    /// The place right after the last record written.
    #[must_use]
    pub fn position(&self) -> Position {
        self.writer.position()
    }

    /// Every record from `from_seq` on, sealed and live, the chain checked. What is appended later is not seen.
    ///
    /// A record that is not here any more is the first item, as [`ReadError::Archived`](crate::ReadError::Archived).
    pub fn events(&self, from_seq: u64) -> Records {
        Records::chained(
            Arc::clone(&self.writer.disk),
            &self.writer.layout.journal,
            from_seq,
            None,
        )
    }

    /// The newest whole snapshot of this journal that reflects no record from `before` on.
    ///
    /// # Errors
    /// As [`Snapshots::latest`].
    pub fn snapshot(&self, before: u64) -> Result<Option<SnapshotReader>, SnapshotError> {
        self.snapshots.latest(before, &|position| self.holds(position))
    }

    /// Removes snapshots that belong to another journal than this one; returns their files.
    ///
    /// # Errors
    /// [`SnapshotError::Io`], [`SnapshotError::Journal`].
    pub fn remove_foreign_snapshots(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let belongs = |position| self.holds(position);
        self.snapshots.remove_foreign(self.last_seq(), &belongs)
    }

    /// Removes the snapshots before the one at record `than`, which was read back, if together they take more than `together` octets, and if
    /// the whole journal is here, from which everything can be built without any; tells how many octets that gave back.
    ///
    /// # Errors
    /// As [`Snapshots::latest`].
    pub fn remove_older_snapshots(&self, than: u64, together: u64) -> Result<u64, SnapshotError> {
        if self.gapless && self.first_seq() == 1 {
            self.snapshots.remove_older(than, together)
        } else {
            Ok(0)
        }
    }

    /// Whether the journal has the record at a position; yes, if that record is archived, or missing in a gap.
    ///
    /// # Errors
    /// The journal cannot be read there.
    pub fn holds(&self, position: Position) -> Result<bool, ReadError> {
        let Writer { disk, layout, .. } = &self.writer;
        cut::holds(disk, &layout.journal, self.position(), position)
    }

    /// The journal durably tells of all that [`Recovery::cuts`](crate::Recovery::cuts) named.
    ///
    /// # Errors
    /// [`CommitError::Fatal`].
    pub fn forget_cuts(&self) -> Result<(), CommitError> {
        let Writer {
            disk, layout, health, ..
        } = &self.writer;
        cut::forget(&**disk, layout).map_err(|error| health.fail(&layout.cut(), "removing", error))
    }

    /// Whether the live journal segment is nearly full, so that it is time to append a checkpoint, commit, and
    /// [`seal`](Self::seal). A segment that is full before that is closed without one.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        let reserve = self
            .writer
            .options
            .checkpoint_reserve
            .min(self.writer.journal.capacity / 4);
        self.writer.journal_room() < reserve
    }

    /// Closes the live journal segment and begins the next one; the closed one is compressed in the background.
    /// Without a record in the live segment nothing happens.
    ///
    /// # Errors
    /// As [`Batch::commit`]; after [`CommitError::NoSpace`] the live segment stays the live one.
    pub fn seal(&mut self) -> Result<(), CommitError> {
        self.writer.seal()
    }

    /// How far everything written so far reaches in the files; all of it is durable after [`sync`](Self::sync).
    #[must_use]
    pub fn mark(&self) -> Mark {
        let Writer {
            journal,
            journal_first,
            spool,
            spool_segment,
            ..
        } = &self.writer;
        Mark {
            position: self.position(),
            live_first: *journal_first,
            live_bytes: journal.end,
            spool_segment: *spool_segment,
            spool_bytes: spool.end,
        }
    }

    /// Sequence number of the first record that is not archived, or with which a gap begins; it may not be written yet.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        let sizes = lock(&self.writer.sealing.sizes);
        sizes.keys().next().copied().unwrap_or(self.writer.journal_first)
    }

    /// Sequence number of the first record of the live journal segment, which may not be written yet.
    #[must_use]
    pub fn live_first_seq(&self) -> u64 {
        self.writer.journal_first
    }

    /// Removes the oldest journal segment, durably, if it is sealed and has no record after `through`; returns the octets
    /// that this gives back. None if there is no such segment.
    ///
    /// # Errors
    /// [`RemoveError::Kept`] changes nothing; [`RemoveError::Fatal`].
    pub fn remove_oldest_segment(&mut self, through: u64) -> Result<Option<u64>, RemoveError> {
        let Writer {
            disk,
            layout,
            health,
            sealing,
            ..
        } = &self.writer;
        health.check()?;
        let dir = &layout.journal;
        let oldest = segments::oldest(&**disk, dir).map_err(|error| health.fail(dir, "reading", error))?;
        let Some(oldest) = oldest.filter(|oldest| oldest.last_seq <= through) else {
            return Ok(None);
        };
        remove(&**disk, &oldest.path)?;
        disk.sync_dir(dir).map_err(|error| health.fail(dir, "syncing", error))?;
        lock(&sealing.sizes).remove(&oldest.first_seq);
        Ok(Some(oldest.bytes))
    }

    /// Makes relaxed batches durable.
    ///
    /// # Errors
    /// [`CommitError::Fatal`].
    pub fn sync(&mut self) -> Result<(), CommitError> {
        self.writer.sync()
    }

    /// Gives back what is reserved for much more than the next batches, and reserves space in small pieces from now on:
    /// for times with little to write, again and again while they last, until [`wake`](Self::wake). A live spool segment
    /// that holds much is closed if less than a quarter of it is `needed`, in octets.
    ///
    /// # Errors
    /// As [`Batch::commit`].
    pub fn rest(&mut self, needed: u64) -> Result<(), CommitError> {
        self.writer.rest(needed, &mut self.pending)
    }

    /// Makes the next segments ready ahead of their need, as long as there is much to write.
    pub fn wake(&mut self) {
        self.writer.wake();
    }

    /// What the store occupies and what is free.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let Writer { disk, layout, .. } = &self.writer;
        let snapshot_bytes = snapshots(&**disk, &layout.snapshot).map_or(0, |positions| {
            let len = |seq| disk.open(&snapshot_path(&layout.snapshot, seq), Access::Read)?.len();
            positions.into_iter().filter_map(|seq| len(seq).ok()).sum()
        });
        Sizes {
            journal_bytes: lock(&self.writer.sealing.sizes).values().sum::<u64>() + self.writer.journal.reserved,
            spool_bytes: self.writer.spool_sizes.values().sum::<u64>() + self.writer.spool.reserved,
            snapshot_bytes,
            space: disk.space(&layout.root).ok(),
            next_journal_bytes: self.writer.next_journal_bytes(),
        }
    }

    /// The spool segments, oldest first.
    #[must_use]
    pub fn spool_segments(&self) -> Vec<SpoolSegment> {
        let closed = self.writer.spool_sizes.iter();
        let mut segments: Vec<_> = closed
            .map(|(segment, bytes)| SpoolSegment {
                segment: *segment,
                bytes: *bytes,
                live: false,
            })
            .collect();
        segments.push(SpoolSegment {
            segment: self.writer.spool_segment,
            bytes: self.writer.spool.reserved,
            live: true,
        });
        segments
    }

    /// Removes a spool segment that nothing needs any more, durably; returns the octets that this gives back. Who reads
    /// from it just now can finish.
    ///
    /// # Errors
    /// [`RemoveError::Kept`], [`RemoveError::Live`] and [`RemoveError::Unknown`] change nothing.
    pub fn remove_spool_segment(&mut self, segment: u64) -> Result<u64, RemoveError> {
        let refuse = |error| match error {
            CommitError::NoSpace { .. } => RemoveError::NoSpace(segment),
            other => RemoveError::from(other),
        };
        self.writer.health.check().map_err(refuse)?;
        if segment == self.writer.spool_segment {
            return Err(RemoveError::Live(segment));
        }
        let bytes = self
            .writer
            .spool_sizes
            .get(&segment)
            .copied()
            .ok_or(RemoveError::Unknown(segment))?;
        self.writer.let_go(segment, &mut self.pending).map_err(refuse)?;

        let Writer {
            disk,
            layout,
            health,
            spool_sizes,
            ..
        } = &mut self.writer;
        remove(&**disk, &spool_path(&layout.spool, segment))?;
        spool_sizes.remove(&segment);
        self.bodies.forget(segment);
        disk.sync_dir(&layout.spool)
            .map_err(|error| refuse(health.fail(&layout.spool, "syncing", error)))?;
        Ok(bytes)
    }

    /// The snapshots; the handle is independent of the store.
    #[must_use]
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// Whether the store has failed for good, and why.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.writer.health.failure().map(str::to_owned)
    }

    /// Whoever derives something from the journal has it whole: a later start in the same boot of the machine may take it
    /// as it is ([`Recovery::same_boot`](crate::Recovery::same_boot)).
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn settle(&mut self) -> Result<(), CommitError> {
        if self.session.boot == self.boot {
            return Ok(());
        }
        self.session.boot.clone_from(&self.boot);
        self.mark_session()
    }

    /// Ends a session that came to nothing: if it wrote no record, the mark of the one before stands again, so that the
    /// next start judges that one's end and not this one's.
    ///
    /// # Errors
    /// [`CommitError`], and then the next start finds a session that did not end in order.
    pub fn withdraw(mut self) -> Result<(), CommitError> {
        match self.before.take() {
            Some(before) if self.writer.last_seq == self.session.last_seq => {
                self.session = before;
                self.mark_session()
            }
            _ => Ok(()),
        }
    }

    /// Makes everything durable and leaves the mark of an orderly end.
    ///
    /// # Errors
    /// [`CommitError`], and then there is no mark.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.writer.sync()?;
        self.session = Session {
            boot: self.boot.clone(),
            clean: true,
            last_seq: self.writer.last_seq,
        };
        self.mark_session()
    }

    fn mark_session(&self) -> Result<(), CommitError> {
        let Writer {
            disk, layout, health, ..
        } = &self.writer;
        self.session
            .store(&**disk, layout)
            .map_err(|error| health.sort(&layout.session(), "writing", error))
    }
}

/// What is left after a failure is what was there before, so that it is no reason to end.
fn remove(disk: &dyn Disk, path: &Path) -> Result<(), RemoveError> {
    disk.remove(path).map_err(|error| RemoveError::Kept {
        path: path.to_owned(),
        error,
    })
}

/// How far the files of a store reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The place right after the last record.
    pub position: Position,
    /// First record of the live journal segment, which is in its name.
    pub live_first: u64,
    /// Where the live journal segment's records end.
    pub live_bytes: u64,
    /// The live spool segment.
    pub spool_segment: u64,
    /// Where its bodies end.
    pub spool_bytes: u64,
}

/// What the store occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Octets of the journal, what is reserved in the live segment included.
    pub journal_bytes: u64,
    /// Octets of the spool, what is reserved in the live segment included.
    pub spool_bytes: u64,
    /// Octets of the snapshots.
    pub snapshot_bytes: u64,
    /// What the file system has and what is free on it; none if it cannot tell.
    pub space: Option<Space>,
    /// Octets that the live journal segment and the next one will still take from the file system.
    pub next_journal_bytes: u64,
}

/// A spool segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSegment {
    /// Its number, as in [`Location::segment`](crate::Location::segment).
    pub segment: u64,
    /// Octets that removing it gives back.
    pub bytes: u64,
    /// Whether it is the one being written, which cannot be removed.
    pub live: bool,
}
