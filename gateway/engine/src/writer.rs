//! The single writer: takes what waits as a batch, has it decided, made durable, applied and answered; between batches it
//! keeps house (checkpoints, snapshots, spool space, readiness).

mod clock;
mod renewal;
mod spool;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use gost::{Certificate, Signer};
use jiff::{SignedDuration, Timestamp};
use journal::{CommitError, Store};
use logbook::log;
use tokio::sync::mpsc;

use crate::backup::BackupMark;
use crate::checkpoint;
use crate::conditions::{DISK, INDEX, JOURNAL, Words};
use crate::decide::Planned;
use crate::destruction;
use crate::error::StartError;
use crate::event::Event;
use crate::incidents::IncidentKind;
use crate::logged;
use crate::panics::Worker;
use crate::restored::RestoredNote;
use crate::room;
use crate::shared::Shared;
use crate::snapshot::{self, DumpError};
use crate::state::State;
use crate::units::show_size;
use crate::work::{Command, Desk, Done, Failure, Work};

/// Commands in a batch.
const BATCH: usize = 256;
/// After so long a snapshot that is wanted and did not come to be is tried again.
const SNAPSHOT_AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// Without traffic a checkpoint is written at this age of the last one: after a crash the journal's last time is what the
/// clock is held against.
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(24);
/// Octets that two snapshots may take: the older one of larger ones goes when the newer one has been read back.
const SNAPSHOTS: u64 = 64 << 20;

/// What could not be read or removed is tried again after this time.
const TRIED_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Whether something that was tried in vain is to be tried again; a clock that was set back makes nothing wait longer.
pub(crate) fn is_due(tried: Timestamp, now: Timestamp) -> bool {
    now.duration_since(tried).abs() >= TRIED_AGAIN_AFTER
}

/// The writer's own things.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Store,
    pub(crate) desk: Desk,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) back: mpsc::WeakSender<Command>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) certificate: Certificate,
    pub(crate) house: House,
}

/// What housekeeping remembers.
#[derive(Default)]
pub(crate) struct House {
    checkpoint_at: Timestamp,
    /// Sequence number of the last checkpoint's own record.
    checkpoint_seq: u64,
    /// When the live journal segment got its first record, as far as it was noticed.
    live_since: Option<Timestamp>,
    snapshot_seq: u64,
    /// A snapshot is due from this time on, whatever its distance: what it reflects cannot be had from the journal any more.
    pub(crate) snapshot_wanted: Option<Timestamp>,
    /// The last record that a snapshot of this session reflects; it was read back.
    pub(crate) proven_snapshot: u64,
    snapshot: Option<JoinHandle<()>>,
    copying: Option<(u64, JoinHandle<()>)>,
    renewing: Option<JoinHandle<()>>,
    /// Sequence number of the last record at the last tick.
    seen_seq: u64,
    /// Spool segments with a body that cannot be read, so that they can be neither copied nor removed, and when that was
    /// last tried.
    stuck: BTreeMap<u64, Timestamp>,
    /// Spool segments whose file cannot be removed, and when that was last tried.
    kept: BTreeMap<u64, Timestamp>,
    /// When a journal segment that is to be destroyed could not be removed.
    pub(crate) undestroyed: Option<Timestamp>,
    /// Quiet ticks in a row.
    calm: u32,
    /// A commit found no space since the last tick that found enough.
    no_space: bool,
    /// What is wrong with the clock.
    pub(crate) clock: Option<IncidentKind>,
    /// The first events of the session, if there was no space for them.
    unwritten: Vec<Event>,
}

impl House {
    pub(crate) fn new(now: Timestamp, store: &Store, snapshot_seq: u64) -> Self {
        // A segment that outlives many short sessions is as old as its first record.
        let first = store.events(store.live_first_seq()).next();
        Self {
            checkpoint_at: now,
            checkpoint_seq: store.last_seq(),
            live_since: first.and_then(Result::ok).map(|record| record.at),
            snapshot_seq,
            seen_seq: store.last_seq(),
            ..Self::default()
        }
    }
}

impl Writer {
    /// Writes the first events of a session.
    pub(crate) fn begin(&mut self, events: Vec<Event>) -> Result<(), StartError> {
        // Without space the engine starts all the same: it can hand out and be looked at, and resumes by itself.
        match self.record(events.clone()) {
            Ok(true) => self
                .cuts_told()
                .map_err(|why| StartError::Commit(CommitError::Fatal(why))),
            Ok(false) => {
                self.house.unwritten = events;
                Ok(())
            }
            Err(why) => Err(StartError::Commit(CommitError::Fatal(why))),
        }
    }

    /// The journal tells of its cuts and of a restoration from now on.
    fn cuts_told(&self) -> Result<(), String> {
        self.store.forget_cuts().map_err(|error| error.to_string())?;
        let forgotten = RestoredNote::forget(&*self.shared.disk, &self.shared.settings.data_dir);
        forgotten.map_err(|error| format!("the note of the restoration: {error}"))?;
        self.shared.hold_journal_cut().map_err(|error| error.to_string())
    }

    /// Writes the first events of a session when there is space again.
    fn begin_late(&mut self) -> Result<(), String> {
        let events = std::mem::take(&mut self.house.unwritten);
        if events.is_empty() {
            return Ok(());
        }
        if self.record(events.clone())? {
            return self.cuts_told();
        }
        self.house.unwritten = events;
        Ok(())
    }

    /// Works until it is told to stop, or nobody can tell it anything any more, or it fails for good.
    pub(crate) fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH);
        loop {
            if self.commands.blocking_recv_many(&mut waiting, BATCH) == 0 {
                self.stop();
                return;
            }
            match self.batch(&mut waiting) {
                Ok(mut done) => {
                    if let Some(reply) = done.stop.take() {
                        self.stop();
                        let _ = reply.send(());
                        return;
                    }
                }
                Err(why) => {
                    self.fail(&why);
                    return;
                }
            }
        }
    }

    /// One batch, then the housekeeping that it calls for. `Err` is the end.
    fn batch(&mut self, waiting: &mut Vec<Command>) -> Result<Done, String> {
        self.readiness();
        let mut done = self.commit(waiting)?;
        while done.more {
            // The tick was not finished; those who wait meanwhile are not kept waiting.
            while waiting.len() < BATCH - 1
                && let Ok(command) = self.commands.try_recv()
            {
                waiting.push(command);
            }
            waiting.push(Command::Tick(None));
            let earlier = std::mem::replace(&mut done, self.commit(waiting)?);
            done.follow(earlier);
            if done.stop.is_some() {
                break;
            }
        }
        self.keep_house(&mut done)?;
        done.tell();
        Ok(done)
    }

    /// Decides, commits, applies and answers. Who comes while the batch is being decided is taken along: a sync costs
    /// more than many decisions.
    fn commit(&mut self, waiting: &mut Vec<Command>) -> Result<Done, String> {
        let Self {
            shared,
            store,
            desk,
            commands: arriving,
            ..
        } = self;
        let index = Arc::clone(&shared.index);
        let registry = shared.registry();
        let mut work = Work::new(desk, store.begin(), State::new(&*index), registry);
        let mut room = BATCH.saturating_sub(waiting.len());
        let mut commands = waiting.drain(..);
        let mut next = || {
            commands.next().or_else(|| {
                room = room.checked_sub(1)?;
                arriving.try_recv().ok()
            })
        };
        let mut failed = None;
        while failed.is_none()
            && let Some(command) = next()
        {
            failed = work.command(command).err();
        }
        let (answers, mut done, result) = match failed {
            None => work.commit(),
            Some(failure) => {
                let (answers, done) = work.abandon();
                (answers, done, Err(failure))
            }
        };
        match result {
            Ok(()) => {
                answers.give();
                Ok(done)
            }
            Err(Failure::NoSpace(why)) => {
                // Whoever hears of it may ask for the reason at once.
                self.no_space(&why);
                answers.fail(&why);
                for command in commands {
                    match command {
                        Command::Stop(reply) => done.stop = Some(reply),
                        Command::Copied { segment, complete } => done.copied = Some((segment, complete)),
                        Command::Snapshot(made) => done.snapshot = Some(made.map(|(position, _)| position.seq)),
                        other => other.fail(&why),
                    }
                }
                Ok(done)
            }
            Err(Failure::Fatal(why)) => {
                answers.fail(&why);
                commands.for_each(|command| command.fail(&why));
                Err(why)
            }
        }
    }

    /// Commits events of the writer's own.
    pub(crate) fn record(&mut self, events: Vec<Event>) -> Result<bool, String> {
        let Self {
            shared, store, desk, ..
        } = self;
        let index = Arc::clone(&shared.index);
        let registry = shared.registry();
        let mut work = Work::new(desk, store.begin(), State::new(&*index), registry);
        let mut events = events.into_iter().map(Planned::from);
        let result = match events.try_for_each(|event| work.record(event)) {
            Ok(()) => work.commit().2,
            Err(failure) => Err(failure),
        };
        match result {
            Ok(()) => Ok(true),
            Err(Failure::NoSpace(why)) => {
                self.no_space(&why);
                Ok(false)
            }
            Err(Failure::Fatal(why)) => Err(why),
        }
    }

    /// Nothing new is accepted until a tick finds enough room.
    fn no_space(&mut self, why: &str) {
        let now = self.shared.now();
        let words = Words::new(
            [
                why.to_owned(),
                format!("новое не принимается, на диске мало места: {why}"),
            ],
            [
                "make room on the disk that holds data_dir; the gateway goes on by itself then",
                "освободите место на диске, где лежит data_dir; приём возобновится сам",
            ],
        );
        self.shared.conditions.bad(DISK, words, now);
        if !std::mem::replace(&mut self.house.no_space, true) {
            let text = format!("nothing new is accepted: {why}");
            self.shared.incidents.tell(IncidentKind::DiskLow, text, now);
        }
        self.readiness();
    }

    /// Whether anything new can be accepted (I9).
    fn readiness(&mut self) {
        let behind = self.desk.last_at.duration_since(self.shared.now());
        self.desk.closed = if self.house.no_space {
            Some("the disk is full".to_owned())
        } else if self.shared.clock.unproven().is_some() {
            Some("the clock is far after the journal, and nobody has said that it is right".to_owned())
        } else if behind > clock::BEHIND {
            Some("the clock stands behind the journal".to_owned())
        } else {
            None
        };
    }

    fn keep_house(&mut self, done: &mut Done) -> Result<(), String> {
        if self.store.checkpoint_due() {
            self.seal()?;
        }
        if !done.marks.is_empty() {
            self.seal()?;
            for reply in done.marks.drain(..) {
                // Whoever has stopped waiting needs no answer.
                let _ = reply.send(Ok(self.mark()?));
            }
        }
        if let Some((segment, complete)) = done.copied.take() {
            if complete {
                self.house.stuck.remove(&segment);
            } else {
                self.house.stuck.insert(segment, self.shared.now());
            }
            self.house.copying = None;
        }
        if let Some(made) = done.snapshot.take() {
            self.snapshot_made(made);
        }
        if done.ticked {
            self.tick()?;
        }
        Ok(())
    }

    /// What a backup of this moment consists of. The certificate is added by whoever asked.
    fn mark(&mut self) -> Result<BackupMark, String> {
        self.store.sync().map_err(|error| error.to_string())?;
        let journal::Mark {
            position,
            live_first,
            live_bytes,
            spool_segment,
            spool_bytes,
        } = self.store.mark();
        Ok(BackupMark {
            hold: self.shared.holds.begin(position.seq),
            node: self.shared.settings.node.to_string(),
            through: position.seq,
            digest: hex::encode(position.digest),
            live_first,
            live_bytes,
            spool_segment,
            spool_bytes,
            certificate: String::new(),
        })
    }

    /// Closes the live journal segment behind a checkpoint, and begins the next.
    fn seal(&mut self) -> Result<(), String> {
        if !self.checkpoint()? {
            return Ok(());
        }
        match self.store.seal().map_err(Failure::from) {
            Ok(()) => self.house.live_since = None,
            Err(Failure::NoSpace(why)) => self.no_space(&why),
            Err(Failure::Fatal(why)) => return Err(why),
        }
        Ok(())
    }

    /// Seals a segment that is old, if that is wanted: what waits in it has left the machine in no archive yet.
    fn seal_old(&mut self, now: Timestamp) -> Result<(), String> {
        let Some(age) = self.shared.settings.seal_after else {
            return Ok(());
        };
        if self.store.last_seq() < self.store.live_first_seq() {
            return Ok(());
        }
        let since = *self.house.live_since.get_or_insert(now);
        if now.duration_since(since).abs() >= age && !self.house.no_space {
            self.seal()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), String> {
        let now = self.shared.now();
        self.watch_disk_and_clock(now);
        self.begin_late()?;
        self.tell_incidents()?;
        let new = self.store.last_seq() > self.house.checkpoint_seq;
        let age = now.duration_since(self.house.checkpoint_at);
        let due = if new {
            self.shared.settings.checkpoint_every
        } else {
            HEARTBEAT
        };
        if age.abs() >= due {
            self.checkpoint()?;
        }
        self.seal_old(now)?;
        self.give_space_back(now)?;
        let quiet = self.is_quiet();
        self.rest_store()?;
        self.renew_index(quiet);
        self.destroy()?;
        let far = self.store.last_seq().saturating_sub(self.house.snapshot_seq) >= self.shared.settings.snapshot_every;
        if far || self.house.snapshot_wanted.is_some_and(|from| from <= now) {
            self.begin_snapshot();
        }
        Ok(())
    }

    fn watch_disk_and_clock(&mut self, now: Timestamp) {
        self.watch_disk(now);
        self.watch_clock(now);
        self.watch_spool(now);
        self.readiness();
    }

    fn watch_disk(&mut self, now: Timestamp) {
        let sizes = self.store.sizes();
        self.shared
            .sizes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0 = sizes;
        let settings = &self.shared.settings;
        let lacking = sizes
            .space
            .and_then(|space| room::lacking(&space, settings, sizes.next_journal_bytes, self.house.no_space));
        match lacking {
            Some(what) => self.no_space(&what),
            None => {
                self.shared.conditions.good(DISK, now);
                if std::mem::take(&mut self.house.no_space) {
                    let free = show_size(sizes.space.unwrap_or_default().free_bytes);
                    let text = format!("{free} free: new messages are accepted again");
                    self.shared.incidents.tell(IncidentKind::DiskRecovered, text, now);
                }
            }
        }
    }

    /// Journals incidents that wait for it.
    fn tell_incidents(&mut self) -> Result<(), String> {
        let due = self.shared.incidents.due(self.shared.now());
        let events = due.events();
        if !events.is_empty() && !self.record(events)? {
            self.shared.incidents.keep(due);
        }
        Ok(())
    }

    /// Writes a signed checkpoint. `Ok(false)` if there is no space.
    fn checkpoint(&mut self) -> Result<bool, String> {
        let now = self.shared.now();
        self.house.checkpoint_at = now;
        match checkpoint::make(&*self.signer, &self.certificate, self.store.position()) {
            Ok(event) => {
                let written = self.record(vec![event])?;
                self.house.checkpoint_seq = self.store.last_seq();
                self.shared.conditions.good(JOURNAL, now);
                Ok(written)
            }
            Err(error) => {
                let words = Words::new(
                    [
                        format!("the journal's checkpoint cannot be signed: {error}"),
                        format!("контрольную точку журнала не удалось подписать: {error}"),
                    ],
                    ["check the key in [keys]", "проверьте ключ в [keys]"],
                );
                self.shared.conditions.bad(JOURNAL, words, now);
                // A full segment is closed without one: accepting goes before vouching.
                Ok(true)
            }
        }
    }

    pub(crate) fn begin_snapshot(&mut self) {
        if self.house.snapshot.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let snapshots = self.store.snapshots();
        let back = self.back.clone();
        let make = move || {
            let write = || snapshot::write(&shared.index, &snapshots);
            let made = shared.contain(Worker::Snapshot, "writing a snapshot", write);
            let made = made.unwrap_or_else(|| {
                // Nobody walks any more.
                *shared.index.dump() = None;
                Err(DumpError::Panicked)
            });
            if let Some(back) = back.upgrade() {
                // A writer that has ended needs no news.
                let _ = back.blocking_send(Command::Snapshot(made));
            }
        };
        match std::thread::Builder::new().name("snapshot".to_owned()).spawn(make) {
            Ok(thread) => self.house.snapshot = Some(thread),
            Err(error) => log!(logged::NO_THREAD, %error, work = "a snapshot", "no thread for work in the background"),
        }
    }

    fn snapshot_made(&mut self, made: Result<u64, DumpError>) {
        self.house.snapshot = None;
        match made {
            Ok(through) => {
                self.house.snapshot_seq = self.store.last_seq();
                self.house.proven_snapshot = through;
                self.house.snapshot_wanted = None;
                // What is to be destroyed soon is left in snapshots alone.
                let needed = destruction::is_open(&State::new(&*self.shared.index)).unwrap_or(true);
                if !needed && let Err(error) = self.store.remove_older_snapshots(through, SNAPSHOTS) {
                    log!(logged::SNAPSHOT_LEFT, %error, "an older snapshot is left behind");
                }
            }
            Err(DumpError::GivenUp) => log!(
                logged::SNAPSHOT_GIVEN_UP,
                "a snapshot was given up because of too many changes"
            ),
            Err(error) => {
                log!(logged::SNAPSHOT_FAILED, %error, "no snapshot");
                if let Some(from) = &mut self.house.snapshot_wanted {
                    *from = self.shared.now() + SNAPSHOT_AGAIN;
                }
                // Tried again after a tenth of the usual distance.
                let settings = &self.shared.settings;
                self.house.snapshot_seq = self
                    .store
                    .last_seq()
                    .saturating_sub(settings.snapshot_every - settings.snapshot_every / 10);
            }
        }
    }

    /// The orderly end.
    fn stop(mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command.fail("the gateway is being stopped");
        }
        let written = self
            .tell_incidents()
            .and_then(|()| self.record(vec![Event::Stopped]))
            .and_then(|_| self.checkpoint());
        if let Err(why) = written {
            return self.fail(&why);
        }
        if let Err(error) = self.shared.index.flush() {
            log!(logged::INDEX_NOT_FLUSHED, %error, "the index was not flushed; it is brought up to date at the next start");
        }
        if let Some(dump) = self.shared.index.dump().as_mut() {
            dump.give_up();
        }
        self.shared.index.end_renewals();
        // Helpers find the channel closed and end.
        drop(self.commands);
        let copying = self.house.copying.take().map(|(_, thread)| thread);
        let renewing = self.house.renewing.take();
        for thread in self.house.snapshot.take().into_iter().chain(copying).chain(renewing) {
            let _ = thread.join();
        }
        self.shared.index.close();
        if let Err(error) = self.store.close() {
            self.shared
                .fail(&format!("the journal was not closed in order: {error}"));
        }
    }

    /// The end without order: everybody who waits is told, and the process must end.
    fn fail(mut self, why: &str) {
        let now = self.shared.now();
        let name = if self.store.failure().is_some() {
            JOURNAL
        } else {
            self.shared.index.doubt(why);
            INDEX
        };
        let words = Words::new(
            [why.to_owned(), format!("хранилище отказало: {why}")],
            [
                "the gateway ends; check the disk and the system's log, then start it again",
                "шлюз завершается; проверьте диск и системный журнал, затем запустите его снова",
            ],
        );
        self.shared.conditions.bad(name, words, now);
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command.fail(why);
        }
        self.shared.fail(why);
        // Nothing is renamed any more when the lock is given back.
        self.shared.index.end_renewals();
        if let Some(renewing) = self.house.renewing.take() {
            let _ = renewing.join();
        }
        self.shared.index.close();
    }
}
