//! Where batches reach the files: one writer, two live files, and what rolls them over.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::background::{Ahead, Prepared, Worker, lock, prepare};
use crate::batch::Pending;
use crate::disk::{Disk, unfinished};
use crate::error::CommitError;
use crate::frame::{self, FRAME, FrameHeader, SegmentHeader};
use crate::health::Health;
use crate::layout::{Layout, raw_path, spool_path};
use crate::live::{LiveFile, PIECES};
use crate::record::Digest;
use crate::recovery::Recovered;
use crate::sealed::{self, Closed};
use crate::snapshot::Position;
use crate::spool::{self, SpoolEnd};
use crate::store::Options;

/// The live files and everything that is known about them.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) health: Arc<Health>,
    pub(crate) journal: LiveFile,
    pub(crate) journal_first: u64,
    /// How far the live journal segment is durable.
    durable: u64,
    /// The first spool segment that a recovery would look at: where the batches begin that it cannot know to be synced.
    tail_segment: u64,
    pub(crate) spool: LiveFile,
    pub(crate) spool_segment: u64,
    /// Lengths of the spool segments but the live one.
    pub(crate) spool_sizes: BTreeMap<u64, u64>,
    pub(crate) last_seq: u64,
    pub(crate) last_digest: Digest,
    next_journal: Ahead,
    next_spool: Ahead,
    /// There is little to write, so that nothing is reserved long before its need.
    at_rest: bool,
    pub(crate) sealing: Arc<Sealing>,
    // The threads come last, so that they outlive nothing that they use.
    syncer: Worker,
    preparer: Worker,
    sealer: Worker,
}

impl Writer {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        layout: Layout,
        options: Options,
        health: Arc<Health>,
        found: Recovered,
    ) -> io::Result<Self> {
        let sealing = Sealing {
            waiting: Mutex::new(found.closed.into()),
            sizes: Mutex::new(found.journal_sizes),
        };
        let writer = Self {
            durable: found.journal.end,
            tail_segment: 0,
            journal: found.journal,
            journal_first: found.journal_first,
            spool: found.spool,
            spool_segment: found.spool_segment,
            spool_sizes: found.spool_sizes,
            last_seq: found.last_seq,
            last_digest: found.last_digest,
            next_journal: Ahead::default(),
            next_spool: Ahead::default(),
            at_rest: false,
            sealing: Arc::new(sealing),
            syncer: Worker::start("journal-sync")?,
            preparer: Worker::start("journal-prepare")?,
            sealer: Worker::start("journal-seal")?,
            disk,
            layout,
            options,
            health,
        };
        writer.start_sealing();
        Ok(writer)
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            seq: self.last_seq,
            digest: self.last_digest,
        }
    }

    pub(crate) fn spool_end(&self) -> SpoolEnd {
        SpoolEnd {
            segment: self.spool_segment,
            offset: self.spool.end,
        }
    }

    /// Octets that are free in the live journal segment.
    pub(crate) fn journal_room(&self) -> u64 {
        self.journal.capacity.saturating_sub(self.journal.end)
    }

    /// Octets that the live journal segment and the next one will still take.
    pub(crate) fn next_journal_bytes(&self) -> u64 {
        let rest = self.journal.capacity.saturating_sub(self.journal.reserved);
        if self.next_journal.is_asked_for() {
            rest
        } else {
            rest + self.options.journal_segment_bytes
        }
    }

    /// Writes a batch, the spool first, and makes it durable unless it is a relaxed one. After
    /// [`CommitError::NoSpace`] everything is as it was before.
    pub(crate) fn commit(&mut self, pending: &mut Pending, relaxed: bool) -> Result<(), CommitError> {
        self.health.check()?;
        if pending.is_empty() {
            return if relaxed { Ok(()) } else { self.sync() };
        }
        if frame::span(pending.frame.len()) > self.journal_room() {
            self.roll()?;
        }
        self.write(pending, relaxed)?;
        if !relaxed {
            self.sync()?;
        }
        self.look_ahead();
        Ok(())
    }

    /// Makes sure that no recovery looks at this spool segment, so that it can be removed: behind an empty batch
    /// everything before it counts as synced.
    pub(crate) fn let_go(&mut self, segment: u64, pending: &mut Pending) -> Result<(), CommitError> {
        self.sync()?;
        if segment < self.tail_segment {
            return Ok(());
        }
        pending.reset(self.position(), self.spool_end());
        if frame::span(pending.frame.len()) > self.journal_room() {
            return self.roll();
        }
        self.write(pending, false)?;
        self.sync()
    }

    fn write(&mut self, pending: &mut Pending, relaxed: bool) -> Result<(), CommitError> {
        let tail_segment = if self.durable == self.journal.end {
            self.spool_segment
        } else {
            self.tail_segment
        };
        let before = SpoolMark {
            file: self.spool.clone(),
            segment: self.spool_segment,
        };
        if let Err(error) = self.write_spool(pending) {
            return Err(self.undo_spool(before, error));
        }
        if let Err(error) = self.write_frame(pending, relaxed) {
            return Err(self.undo_spool(before, error));
        }
        self.last_seq = pending.last_seq;
        self.last_digest = pending.last_digest;
        self.tail_segment = tail_segment;
        Ok(())
    }

    /// Makes everything written durable, both files at the same time.
    pub(crate) fn sync(&mut self) -> Result<(), CommitError> {
        self.health.check()?;
        let spool = self.spool.dirty.then(|| {
            let file = Arc::clone(&self.spool.file);
            self.syncer.run(move || file.sync_data())
        });
        let journal = self.journal.sync(&self.health);
        if let Some(answer) = spool {
            let synced = answer
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("the thread for it has died")));
            synced.map_err(|error| self.health.fail(&self.spool.path, "syncing", error))?;
            self.spool.dirty = false;
        }
        journal?;
        self.durable = self.journal.end;
        Ok(())
    }

    /// Closes the live journal segment and begins the next one; without records in it there is nothing to close.
    pub(crate) fn seal(&mut self) -> Result<(), CommitError> {
        self.sync()?;
        if self.has_records() { self.roll() } else { Ok(()) }
    }

    fn has_records(&self) -> bool {
        self.last_seq >= self.journal_first
    }

    /// Goes on to the next journal segment. One that holds frames but no records is replaced: the next has its name.
    fn roll(&mut self) -> Result<(), CommitError> {
        self.sync()?;
        if self.journal.end == frame::HEADER {
            return Ok(());
        }
        let header = SegmentHeader {
            first_seq: self.last_seq + 1,
            prev: self.last_digest,
            spool: self.spool_end(),
        }
        .encode();
        let path = raw_path(&self.layout.journal, self.last_seq + 1);
        let next = match self.next_journal.take() {
            Some(next) => {
                next.file
                    .write_at(&header, 0)
                    .map_err(|error| self.health.sort(&next.path, "writing", error))?;
                next.file
                    .sync_data()
                    .map_err(|error| self.health.fail(&next.path, "syncing", error))?;
                next
            }
            None => {
                let bytes = self.reserved_at_first(self.options.journal_segment_bytes);
                prepare(&*self.disk, &self.health, &self.prepared_journal(), &header, bytes)?
            }
        };
        let next = self.put_in_place(next, path, frame::HEADER, self.options.journal_segment_bytes)?;
        let old = std::mem::replace(&mut self.journal, next);
        if self.has_records() {
            lock(&self.sealing.sizes).insert(self.journal_first, old.reserved);
            lock(&self.sealing.waiting).push_back(Closed {
                first_seq: self.journal_first,
                last_seq: self.last_seq,
                last_digest: self.last_digest,
            });
        }
        self.journal_first = self.last_seq + 1;
        self.durable = frame::HEADER;
        self.tail_segment = self.spool_segment;
        self.start_sealing();
        Ok(())
    }

    fn write_spool(&mut self, pending: &Pending) -> Result<(), CommitError> {
        for span in &pending.spans {
            if span.segment != self.spool_segment {
                self.roll_spool()?;
            }
            self.spool.write(&pending.bodies[span.octets.clone()], &self.health)?;
        }
        Ok(())
    }

    /// Goes on to the next spool segment; what the old one holds already ends with its end mark.
    fn roll_spool(&mut self) -> Result<(), CommitError> {
        let segment = self.spool_segment + 1;
        let path = spool_path(&self.layout.spool, segment);
        let bytes = self.options.spool_segment_bytes;
        let next = match self.next_spool.take() {
            Some(next) if next.path == unfinished(&path) => next,
            _ => prepare(
                &*self.disk,
                &self.health,
                &unfinished(&path),
                &spool::header(segment),
                self.reserved_at_first(bytes),
            )?,
        };
        let next = self.put_in_place(next, path, spool::HEADER, bytes)?;
        self.spool.sync(&self.health)?;
        let Self { spool, health, .. } = self;
        spool
            .file
            .truncate(spool.end)
            .map_err(|error| health.fail(&spool.path, "truncating", error))?;
        self.spool_sizes.insert(self.spool_segment, self.spool.end);
        self.spool = next;
        self.spool_segment = segment;
        Ok(())
    }

    /// What is reserved of a segment that was not made ready ahead.
    fn reserved_at_first(&self, bytes: u64) -> u64 {
        if self.at_rest { bytes.div_ceil(PIECES) } else { bytes }
    }

    fn put_in_place(&self, next: Prepared, path: PathBuf, end: u64, capacity: u64) -> Result<LiveFile, CommitError> {
        let dir = path.parent().unwrap_or(&self.layout.root);
        self.disk
            .rename(&next.path, &path)
            .map_err(|error| self.health.sort(&path, "renaming to", error))?;
        self.disk
            .sync_dir(dir)
            .map_err(|error| self.health.fail(dir, "syncing", error))?;
        Ok(LiveFile {
            file: next.file,
            path,
            end,
            capacity,
            reserved: next.len,
            dirty: false,
        })
    }

    fn write_frame(&mut self, pending: &mut Pending, relaxed: bool) -> Result<(), CommitError> {
        let header = FrameHeader {
            payload: u32::try_from(pending.frame.len() - FRAME).expect("a segment is smaller than 4 GiB"),
            records: pending.records,
            relaxed,
            first_seq: pending.first_seq,
            durable: self.durable,
            spool: self.spool_end(),
        };
        header.encode_into(&mut pending.frame);
        pending.frame.resize(pending.frame.len().next_multiple_of(8), 0);
        let end = self.journal.end;
        let written = self.journal.write(&pending.frame, &self.health);
        if let Err(CommitError::NoSpace { .. }) = written {
            self.journal.cut_back(end, &self.health)?;
        }
        written
    }

    /// Takes back what a batch that found no space has written to the spool; returns what to tell the caller.
    fn undo_spool(&mut self, before: SpoolMark, error: CommitError) -> CommitError {
        let undone = (|| {
            self.health.check()?;
            let dir = &self.layout.spool;
            for segment in before.segment + 1..=self.spool_segment {
                let path = spool_path(dir, segment);
                self.disk
                    .remove(&path)
                    .map_err(|error| self.health.fail(&path, "removing", error))?;
            }
            if before.segment < self.spool_segment {
                self.disk
                    .sync_dir(dir)
                    .map_err(|error| self.health.fail(dir, "syncing", error))?;
                self.spool_sizes.retain(|segment, _| *segment < before.segment);
            }
            let end = before.file.end;
            self.spool = before.file;
            self.spool_segment = before.segment;
            self.spool.cut_back(end, &self.health)
        })();
        undone.err().unwrap_or(error)
    }

    /// Gives space back that is reserved ahead, and reserves little from now on until [`wake`](Self::wake). A live spool
    /// segment that holds much, of which less than a quarter is `needed`, is closed, so that it can be given back too.
    pub(crate) fn rest(&mut self, needed: u64, pending: &mut Pending) -> Result<(), CommitError> {
        self.health.check()?;
        self.at_rest = true;
        for next in [&mut self.next_journal, &mut self.next_spool] {
            if let Some(Prepared { path, .. }) = next.take() {
                // What cannot be removed is removed when the next one is made, or when the store is opened again.
                let _ = self.disk.remove(&path);
            }
        }
        let much = self.spool.end > self.spool.capacity.div_ceil(PIECES) * 2;
        let closed = match much && needed.saturating_mul(4) < self.spool.end {
            true => self.close_spool_segment(pending),
            false => Ok(()),
        };
        self.journal.give_back(&self.health)?;
        self.spool.give_back(&self.health)?;
        closed
    }

    /// Makes the next segments ready ahead of their need again.
    pub(crate) fn wake(&mut self) {
        self.at_rest = false;
    }

    /// Goes on to the next spool segment behind an empty batch.
    fn close_spool_segment(&mut self, pending: &mut Pending) -> Result<(), CommitError> {
        self.sync()?;
        pending.reset(self.position(), self.spool_end());
        if frame::span(pending.frame.len()) > self.journal_room() {
            self.roll()?;
        }
        pending.begin_segment();
        self.write(pending, false)?;
        self.sync()
    }

    /// Has the next segments made ready once the live ones are half full.
    fn look_ahead(&mut self) {
        if self.at_rest {
            return;
        }
        if self.journal.end > self.journal.capacity / 2 && !self.next_journal.is_asked_for() {
            let (disk, health, path) = (
                Arc::clone(&self.disk),
                Arc::clone(&self.health),
                self.prepared_journal(),
            );
            let bytes = self.options.journal_segment_bytes;
            // The header is not known yet: zeros stand for it.
            self.next_journal
                .ask(self.preparer.run(move || prepare(&*disk, &health, &path, &[], bytes)));
        }
        if self.spool.end > self.spool.capacity / 2 && !self.next_spool.is_asked_for() {
            let segment = self.spool_segment + 1;
            let path = unfinished(&spool_path(&self.layout.spool, segment));
            let (disk, health) = (Arc::clone(&self.disk), Arc::clone(&self.health));
            let bytes = self.options.spool_segment_bytes;
            self.next_spool.ask(
                self.preparer
                    .run(move || prepare(&*disk, &health, &path, &spool::header(segment), bytes)),
            );
        }
    }

    fn prepared_journal(&self) -> PathBuf {
        unfinished(&self.layout.journal.join("next"))
    }

    fn start_sealing(&self) {
        let (disk, health, sealing) = (
            Arc::clone(&self.disk),
            Arc::clone(&self.health),
            Arc::clone(&self.sealing),
        );
        let (dir, level) = (self.layout.journal.clone(), self.options.zstd_level);
        drop(self.sealer.run(move || sealing.work(&*disk, &health, &dir, level)));
    }
}

/// Where the spool stood before a batch.
struct SpoolMark {
    file: LiveFile,
    segment: u64,
}

/// Closed segments on their way to be sealed; shared with the thread that does it.
#[derive(Debug)]
pub(crate) struct Sealing {
    waiting: Mutex<VecDeque<Closed>>,
    /// Lengths of the journal segments but the live one, by their first record.
    pub(crate) sizes: Mutex<BTreeMap<u64, u64>>,
}

impl Sealing {
    /// Seals what waits. Without space the raw segment stays, and has its turn again when the next one is closed.
    fn work(&self, disk: &dyn Disk, health: &Health, dir: &std::path::Path, level: i32) {
        loop {
            let Some(closed) = lock(&self.waiting).front().copied() else {
                return;
            };
            match sealed::seal(disk, health, dir, &closed, level) {
                Ok(len) => {
                    lock(&self.sizes).insert(closed.first_seq, len);
                    lock(&self.waiting).pop_front();
                }
                // What is fatal is known to `health`, and so to the writer.
                Err(_) => return,
            }
        }
    }
}
