//! How an engine begins.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gost::{Certificate, Signer};
use journal::disk::Disk;
use journal::{Cut, Position, Recovery};
use logbook::log;
use tokio::sync::mpsc;

use super::Engine;
use crate::blobs::Blobs;
use crate::clock::{Clock, SystemClock};
use crate::conditions::{INDEX, Words};
use crate::decide::Random;
use crate::decide::sweep::Sweep;
use crate::error::{IndexError, StartError};
use crate::event::Event;
use crate::gaps;
use crate::halts::Halts;
use crate::incidents::IncidentKind;
use crate::keys;
use crate::logged;
use crate::message::{JournalCut, Micros};
use crate::protection::{AtRest, Keyring, Protection, Spool};
use crate::recover::{self, Rebuilt, Recovered};
use crate::refusals::{Limiter, Window};
use crate::registry::Registry;
use crate::restored::{self, RestoredNote};
use crate::settings::{Acceptance, Settings};
use crate::shared::Shared;
use crate::state::State;
use crate::steady::Steady;
use crate::work::{Command, Desk};
use crate::writer::{House, Writer};

/// How often the index is flushed and synced.
const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// What an engine is started with.
pub struct Start {
    /// Settings.
    pub settings: Settings,
    /// Source of time.
    pub clock: Arc<dyn Clock>,
    /// The file system below journal and spool.
    pub disk: Arc<dyn Disk>,
    /// Signs checkpoints.
    pub signer: Arc<dyn Signer>,
    /// Names the key of the checkpoints.
    pub certificate: Certificate,
    /// Protects bodies at rest; without it they lie in the spool as they are.
    pub at_rest: Option<AtRest>,
}

impl Engine {
    /// Opens journal and index, recovers, and starts the writer thread.
    ///
    /// # Errors
    /// See [`StartError`]. A damaged index is built anew; a damaged journal is not touched.
    pub fn start(start: Start) -> Result<Self, StartError> {
        let Start {
            settings,
            clock,
            disk,
            signer,
            certificate,
            at_rest,
        } = start;
        let Recovered {
            opened,
            index,
            last_at,
            rebuilt,
        } = recover::open(&settings, Arc::clone(&disk), clock.now())?;
        let io = |error| StartError::Io {
            path: settings.data_dir.join("registry"),
            error,
        };
        let blobs = Blobs::open(Arc::clone(&disk), &settings.data_dir).map_err(io)?;
        blobs.put(certificate.der()).map_err(io)?;
        let registry = current_registry(&State::new(&*index), &blobs)?;
        let used = State::new(&*index).get::<u32>(&keys::data_key())?;
        let clock = Steady::new(clock, settings.clock_trusted_for, last_at);
        let protection = Protection::open(
            Keyring::of(&settings.data_dir, Arc::clone(&disk)),
            at_rest,
            used,
            clock.now(),
        )?;
        let spool = Spool {
            bodies: opened.bodies.clone(),
            protection,
        };
        let boot = disk.boot_id().unwrap_or_default();
        let tick = settings.tick;
        let capacity = settings.waiting_commands.max(1);
        let shared = Arc::new(Shared::new(settings, clock, disk, index, spool, blobs, registry));

        let (commands, receiver) = mpsc::channel(capacity);
        let now = shared.now();
        let snapshot = opened.store.snapshot(u64::MAX).unwrap_or_else(|error| {
            log!(logged::SNAPSHOTS_UNREADABLE, %error, "the snapshots cannot be read");
            None
        });
        let snapshot_seq = snapshot.map_or(0, |snapshot| snapshot.position().seq);
        if let Some(why) = rebuilt {
            let text = format!("the index was built anew from the journal: {why}");
            shared.incidents.tell(IncidentKind::IndexRebuilt, text, now);
        }
        if let Some(from) = opened.recovery.raised_from {
            log!(
                logged::MIGRATED,
                from,
                "the data directory was raised to another format: an older program cannot use it any more"
            );
        }
        if let Some(text) = unclean_end(&opened.recovery) {
            shared.incidents.tell(IncidentKind::UncleanEnd, text, now);
        }
        let Recovery { gaps, passed_over, .. } = &opened.recovery;
        let untold_gaps = gaps::untold(
            &State::new(&*shared.index),
            (&shared.disk, &shared.journal_dir()),
            (gaps, passed_over),
            &shared.settings.accepted,
        )?;
        for text in untold_gaps.texts {
            log!(logged::JOURNAL_GAP, text, "records are missing in the journal");
            shared.incidents.tell(IncidentKind::JournalGap, text, now);
        }
        let beyond_journal = gaps.iter().any(|gap| gap.last > snapshot_seq);
        let cuts = untold(&shared, opened.recovery.cuts.clone())?;
        let cuts: Result<Vec<_>, _> = cuts.into_iter().map(|cut| cut_event(&shared, cut)).collect();
        let cuts = cuts?;
        let restored = held(&shared)?;
        let desk = Desk {
            shared: Arc::clone(&shared),
            refusals: Limiter::default(),
            unverified: Window::default(),
            incidents: Limiter::default(),
            random: Box::new(SystemRandom::new()),
            sweep: Sweep::default(),
            last_at: last_at.unwrap_or(now),
            closed: None,
        };
        let mut house = House::new(now, &opened.store, snapshot_seq);
        house.snapshot_wanted = beyond_journal.then_some(now);
        let identity = Arc::new((Arc::clone(&signer), certificate.clone()));
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            store: opened.begun().store,
            desk,
            commands: receiver,
            back: commands.downgrade(),
            signer,
            certificate,
            house,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let passed = |event: &Event| matches!(event, Event::GapPassed { .. });
        if !cuts.is_empty() || untold_gaps.events.iter().any(passed) {
            shared.found_cut.store(true, Ordering::Relaxed);
            shared.upstream_held.store(true, Ordering::Release);
        }
        let beginning = std::iter::once(Event::Started { version, boot });
        writer.begin(
            beginning
                .chain(untold_gaps.events)
                .chain(cuts)
                .chain(restored)
                .chain(shared.spool.protection.untold(used))
                .collect(),
        )?;
        spawn(writer, &shared, tick, commands.downgrade()).map_err(|error| StartError::Io {
            path: shared.settings.data_dir.clone(),
            error,
        })?;
        Ok(Self {
            shared,
            identity,
            commands,
        })
    }
}

/// What is to be told of a session that did not end in order: it was killed, its storage failed, or the machine went down.
fn unclean_end(recovery: &Recovery) -> Option<String> {
    if recovery.created || recovery.clean_close {
        return None;
    }
    let machine = if recovery.same_boot {
        "the machine stayed up"
    } else {
        "the machine was started anew since"
    };
    let end = match &recovery.cut {
        Some(cut) => format!(
            "an unfinished batch from record {} on was cut off: {}",
            cut.first_seq, cut.why
        ),
        None => "nothing had to be cut off".to_owned(),
    };
    let last = recovery.last_seq;
    Some(format!(
        "the last session did not end in order ({machine}); the journal was checked up to its end, record {last}: {end}"
    ))
}

/// Holds what waits for upstreams, if the store was restored and nobody has said that it may go; the event that the
/// journal lacks of it, if it does.
fn held(shared: &Shared) -> Result<Option<Event>, StartError> {
    let dir = &shared.settings.data_dir;
    let note = RestoredNote::load(&*shared.disk, dir).map_err(|error| StartError::Io {
        path: RestoredNote::path(dir),
        error,
    })?;
    let held = note.is_some() || restored::hold(&State::new(&*shared.index))?.is_some();
    shared.upstream_held.store(held, Ordering::Release);
    if held {
        log!(
            logged::RESTORED,
            "the store was restored from a backup: nothing goes to upstreams until a person says so"
        );
    }
    Ok(note.map(|note| note.event()))
}

/// The cuts of the journal that it does not tell of itself; `/ready` shows them from now on.
fn untold(shared: &Shared, noted: Vec<Cut>) -> Result<Vec<Cut>, StartError> {
    let told = State::new(&*shared.index).get::<JournalCut>(&keys::journal_cut())?;
    let is_told = |cut: &Cut| {
        told.as_ref()
            .is_some_and(|told| (told.known, told.end) == (cut.known.seq, cut.end.seq))
    };
    let untold: Vec<_> = noted.into_iter().filter(|cut| !is_told(cut)).collect();
    match untold.last() {
        Some(cut) => shared.hold_cut(&JournalCut {
            at: Micros::from(shared.now()),
            known: cut.known.seq,
            end: cut.end.seq,
            aside: cut.aside.clone(),
            gap: false,
        }),
        None => shared.hold_journal_cut()?,
    }
    Ok(untold)
}

/// What the journal says of a cut.
fn cut_event(shared: &Shared, cut: Cut) -> Result<Event, StartError> {
    let Acceptance { gaps: names, by } = &shared.settings.accepted;
    let accepted = cut.named.is_some_and(|named| names.contains(&named));
    Ok(Event::JournalCut {
        known: cut.known.seq,
        known_digest: hex::encode(cut.known.digest),
        end: cut.end.seq,
        end_digest: hex::encode(cut.end.digest),
        aside: cut.aside,
        made: gaps::time_of(&shared.disk, &shared.journal_dir(), cut.end.seq)?,
        by: by.clone().filter(|_| accepted),
    })
}

/// Builds the index of a stopped gateway anew from the last snapshot and the journal.
///
/// # Errors
/// As for [`Engine::start`].
pub fn rebuild_index(settings: &Settings, disk: Arc<dyn Disk>) -> Result<Rebuilt, StartError> {
    recover::rebuild_now(settings, disk, SystemClock.now())
}

/// How far the journal of a stopped gateway must reach, as its index tells; none if there is no index. A journal that does
/// not reach there was cut.
///
/// # Errors
/// The store is in use, its lock cannot be taken, or the index cannot be read.
pub fn known_position(settings: &Settings, disk: &Arc<dyn Disk>) -> Result<Option<Position>, StartError> {
    recover::known_position(settings, disk)
}

/// The registry that the index points to.
pub(crate) fn current_registry(state: &State<'_>, blobs: &Blobs) -> Result<Registry, StartError> {
    let halts = Halts::of(state)?;
    let Some(digest) = state.get::<String>(&keys::registry())? else {
        return Ok(Registry::default().with_halts(halts));
    };
    let failed = |error| StartError::Registry {
        path: blobs.path(&digest),
        error,
    };
    let octets = blobs.get(&digest).map_err(failed)?;
    let content = serde_json::from_slice(&octets).map_err(|error| failed(io::Error::other(error)))?;
    Ok(Registry::new(content).with_halts(halts))
}

/// Starts the writer, the ticker and the index's flusher; the latter two end with the writer.
fn spawn(writer: Writer, shared: &Arc<Shared>, tick: Duration, commands: mpsc::WeakSender<Command>) -> io::Result<()> {
    let (alive, ended) = std::sync::mpsc::channel::<()>();
    let timed = Arc::clone(shared);
    let ticker = move || {
        while ended.recv_timeout(tick) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let Some(commands) = commands.upgrade() else { return };
            if let Some(event) = timed.spool.protection.renew(timed.now()) {
                // A writer that has ended needs no news.
                let _ = commands.blocking_send(Command::Tell(event));
            }
            // A writer that is busy gets the next one.
            let _ = commands.try_send(Command::Tick(None));
        }
    };
    spawn_vital("ticker", shared, ticker)?;

    let (flusher_alive, ended) = std::sync::mpsc::channel::<()>();
    let flushed = Arc::clone(shared);
    let flusher = move || {
        while ended.recv_timeout(FLUSH_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            match flushed.index.flush() {
                Ok(()) => match flushed.index.damage() {
                    None => flushed.conditions.good(INDEX, flushed.now()),
                    // Whoever found it may have been a reader, who cannot end anything.
                    Some(why) => {
                        let why = format!("the index is damaged, and the next start builds it anew: {why}");
                        return flushed.fail(&why);
                    }
                },
                Err(IndexError::Closed) => return,
                Err(error) => {
                    let words = Words::new(
                        [error.to_string(), format!("индекс не записывается на диск: {error}")],
                        [
                            "check the disk; a restart builds the index anew from the journal",
                            "проверьте диск; при перезапуске индекс строится заново по журналу",
                        ],
                    );
                    flushed.conditions.bad(INDEX, words, flushed.now());
                }
            }
        }
    };
    spawn_vital("index-flush", shared, flusher)?;

    let write = move || {
        let _helpers = (alive, flusher_alive);
        writer.run();
    };
    spawn_vital("writer", shared, write)
}

/// Starts a thread without which the engine cannot keep its promises: its panic ends the engine.
fn spawn_vital(name: &'static str, shared: &Arc<Shared>, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let work = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            shared.fail(&format!("the thread {name} panicked"));
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(())
}

/// The operating system's randomness, fetched for some tokens at once; what was handed out is wiped from the pool.
struct SystemRandom {
    pool: [u8; 1024],
    used: usize,
}

impl SystemRandom {
    fn new() -> Self {
        let pool = [0; 1024];
        Self { used: pool.len(), pool }
    }
}

impl Random for SystemRandom {
    fn fill(&mut self, octets: &mut [u8]) {
        const AVAILABLE: &str = "the operating system has randomness once it is up";
        if octets.len() > self.pool.len() {
            return getrandom::fill(octets).expect(AVAILABLE);
        }
        if octets.len() > self.pool.len() - self.used {
            getrandom::fill(&mut self.pool).expect(AVAILABLE);
            self.used = 0;
        }
        let fresh = &mut self.pool[self.used..][..octets.len()];
        octets.copy_from_slice(fresh);
        fresh.fill(0);
        self.used += octets.len();
    }
}
