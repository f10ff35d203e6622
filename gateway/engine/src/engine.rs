//! The handle.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gost::{Certificate, Signer};
use jiff::Timestamp;
use journal::disk::Disk;
use journal::{BodyError, Location, Position, ReadError};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::blobs::{self, Blobs};
use crate::clock::Clock;
use crate::command::{
    Accepted, Acknowledge, Acknowledged, Delivery, ForwardOutcome, Incoming, Lane, LaneHead, QuarantineDecision,
    Quarantined, QueueStatus, QueuedMessage, Received, Refusal, RefusedCall, RegistryChange, RegistryDiff, Take,
};
use crate::conditions::{Condition, INDEX};
use crate::decide::Random;
use crate::error::{IndexError, RegistryError, StartError};
use crate::event::Event;
use crate::inspect;
use crate::keys;
use crate::message::JournalCut;
use crate::metrics::{EngineMetrics, Gauges};
use crate::names::{MessageId, Mnemonic, NodeId, Queue, UpstreamName};
use crate::offer::Offer;
use crate::recover::{self, Recovered};
use crate::refusals::Limiter;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::state::State;
use crate::trace::{TraceEntry, trace};
use crate::work::{Command, Desk, Reply};
use crate::writer::{House, Writer};

/// How often the index is flushed and synced.
const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// What callers hear when the writer is gone.
const ENDED: &str = "the engine has ended";

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
}

/// The handle of a running engine; cheap to clone. All futures may be dropped at any time: the command then happens or
/// does not happen, as if the answer had been lost on the way. When the last handle is dropped, the engine ends in order.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
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
        } = start;
        let Recovered {
            opened,
            index,
            last_at,
            cut,
        } = recover::open(&settings, Arc::clone(&disk))?;
        let io = |error| StartError::Io {
            path: settings.data_dir.join("registry"),
            error,
        };
        let blobs = Blobs::open(Arc::clone(&disk), &settings.data_dir).map_err(io)?;
        blobs.put(certificate.der()).map_err(io)?;
        let registry = current_registry(&State::new(&*index), &blobs)?;
        let boot = disk.boot_id().unwrap_or_default();
        let tick = settings.tick;
        let capacity = settings.waiting_commands.max(1);
        let shared = Arc::new(Shared::new(
            settings,
            clock,
            disk,
            index,
            opened.bodies,
            blobs,
            registry,
        ));

        let (commands, receiver) = mpsc::channel(capacity);
        let now = shared.now();
        let last_seq = opened.store.last_seq();
        let snapshot_seq = opened
            .store
            .snapshots()
            .latest()
            .ok()
            .flatten()
            .map_or(0, |s| s.position().seq);
        let desk = Desk {
            shared: Arc::clone(&shared),
            refusals: Limiter::default(),
            incidents: Limiter::default(),
            random: Box::new(SystemRandom::new()),
            last_at: last_at.unwrap_or(now),
            closed: None,
        };
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            store: opened.store,
            desk,
            commands: receiver,
            back: commands.downgrade(),
            signer,
            certificate,
            house: House::new(now, last_seq, snapshot_seq),
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let cut = cut.map(|cut| Event::JournalCut {
            known: cut.known.seq,
            known_digest: hex::encode(cut.known.digest),
            end: cut.end.seq,
            end_digest: hex::encode(cut.end.digest),
        });
        writer.begin(std::iter::once(Event::Started { version, boot }).chain(cut).collect())?;
        shared.hold_journal_cut()?;
        spawn(writer, &shared, tick, commands.downgrade()).map_err(|error| StartError::Io {
            path: shared.settings.data_dir.clone(),
            error,
        })?;
        Ok(Self { shared, commands })
    }

    /// Accepts a message from a participant. A refusal is the door's to [record](Self::record_refusal), under its name.
    ///
    /// # Errors
    /// Why it was refused; nothing was changed then.
    pub async fn accept(&self, incoming: Incoming) -> Result<Accepted, Refusal> {
        let offer = Box::new(incoming.into());
        self.ask(|reply| Command::Accept(offer, reply)).await
    }

    /// Accepts what was pulled from an upstream.
    ///
    /// # Errors
    /// `Unavailable`: pull again later. `Attachments`: it should not have been read as a whole message.
    pub async fn receive(&self, upstream: &UpstreamName, incoming: Incoming) -> Result<Received, Refusal> {
        let offer = Box::new(Offer::pulled(upstream, incoming));
        self.ask(|reply| Command::Receive(upstream.clone(), offer, reply)).await
    }

    /// Our Ack for a pulled message reached the upstream: from now its identifier is remembered for 30 days more (I3).
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn upstream_acknowledged(&self, upstream: &UpstreamName, id: MessageId) -> Result<(), Refusal> {
        self.ask(|reply| Command::UpstreamAcknowledged(upstream.clone(), id, reply))
            .await
    }

    /// Hands out the next message of a queue, under a lease.
    ///
    /// # Errors
    /// `UnknownMessageType`, `Unavailable`.
    pub async fn take(&self, take: Take) -> Result<Option<Delivery>, Refusal> {
        self.ask(|reply| Command::Take(take, reply)).await
    }

    /// Takes a receiver's Ack.
    ///
    /// # Errors
    /// `TargetNotFound`, `Unavailable`.
    pub async fn acknowledge(&self, acknowledge: Acknowledge) -> Result<Acknowledged, Refusal> {
        let ack = Box::new(acknowledge.into());
        self.ask(|reply| Command::Acknowledge(ack, reply)).await
    }

    /// Journals that a call of a recognised participant was refused, by the door or by the engine. Unsynced and
    /// rate-limited; never waits: when the writer is busy, it is left out.
    pub fn record_refusal(&self, refused: RefusedCall) {
        if self.commands.try_send(Command::Refused(refused)).is_err() {
            tracing::debug!("a refusal was not journaled, because the writer is busy");
        }
    }

    /// Journals an incident: `kind` is a short word of the caller, `text` tells a person what happened, without payload.
    pub async fn record_incident(&self, kind: &str, text: String) {
        tracing::warn!(kind, text, "incident");
        let kind = kind.to_owned();
        if let Err(refusal) = self.ask(|reply| Command::Incident { kind, text, reply }).await {
            tracing::error!(%refusal, "the incident was not journaled");
        }
    }

    /// A person has taken note of the journal's cut: the condition `journal` is in order again.
    ///
    /// # Errors
    /// `NoCut` if there is nothing to take note of, `Unavailable`.
    pub async fn acknowledge_journal_cut(&self, by: &str, reason: &str) -> Result<(), Refusal> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.ask(|reply| Command::AcknowledgeCut { by, reason, reply }).await
    }

    /// The registry as it is now.
    pub fn registry(&self) -> Arc<Registry> {
        self.shared.registry()
    }

    /// Counts registry changes.
    pub fn registry_changed(&self) -> watch::Receiver<u64> {
        self.shared.registry_changes.subscribe()
    }

    /// Applies a registry change of `by`, whom the journal names: stores its files, then commits the event that names them.
    ///
    /// # Errors
    /// See [`RegistryError`]; nothing was changed then.
    pub async fn apply_registry(&self, mut change: RegistryChange, by: &str) -> Result<RegistryDiff, RegistryError> {
        let files = std::mem::take(&mut change.blobs);
        let blobs = self.shared.blobs.clone();
        let store = move || {
            for (name, octets) in &files {
                if blobs::digest(octets) != *name {
                    return Err(RegistryError::Digest(name.clone()));
                }
                let failed = |error| RegistryError::Io {
                    path: blobs.path(name),
                    error,
                };
                blobs.put(octets).map_err(failed)?;
            }
            Ok(())
        };
        let ended = || RegistryError::Unavailable(ENDED.to_owned());
        tokio::task::spawn_blocking(store).await.map_err(|_| ended())??;
        let (reply, answer) = oneshot::channel();
        let by = by.to_owned();
        let change = Box::new(change);
        let sent = self.commands.send(Command::Registry { change, by, reply }).await;
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// A certificate (DER) or schema file by its Streebog-256 in hexadecimal. Reads the disk.
    ///
    /// # Errors
    /// It is not there, or not what its name says.
    pub fn blob(&self, hash: &str) -> io::Result<Vec<u8>> {
        self.shared.blobs.get(hash)
    }

    /// Reads a body from the spool, off the async threads.
    ///
    /// # Errors
    /// It is gone (its retention is over), damaged, or cannot be read.
    pub async fn body(&self, location: Location) -> Result<Vec<u8>, BodyError> {
        let shared = Arc::clone(&self.shared);
        let path = shared.settings.data_dir.clone();
        let read = tokio::task::spawn_blocking(move || shared.body(&location)).await;
        read.unwrap_or_else(|error| {
            Err(BodyError::Io {
                path,
                error: io::Error::other(error),
            })
        })
    }

    /// Lanes of an upstream that have something waiting.
    pub fn lanes(&self, upstream: &UpstreamName) -> Vec<Lane> {
        self.read(|state| inspect::lanes(state, upstream))
    }

    /// First waiting message of a lane.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn lane_head(&self, lane: &Lane) -> Result<Option<LaneHead>, IndexError> {
        inspect::lane_head(&State::new(&*self.shared.index), lane, self.now())
    }

    /// Notified (with a stored permit) when something was queued for an upstream.
    pub fn upstream_work(&self, upstream: &UpstreamName) -> Arc<Notify> {
        self.shared.work(upstream)
    }

    /// An attempt upstream begins under this identifier; durable when it returns: before the first octet leaves.
    ///
    /// # Errors
    /// `TargetNotFound` if the message is not the first of its lane (any more): look at the lane again.
    pub async fn forward_started(&self, seq: u64, id: MessageId) -> Result<(), Refusal> {
        self.ask(|reply| Command::ForwardStarted(seq, id, reply)).await
    }

    /// What came of the attempt. What the history forbids (a twin upstream) goes to quarantine instead.
    ///
    /// # Errors
    /// `Standing` if the message does not wait for an upstream.
    pub async fn forward_outcome(&self, seq: u64, outcome: ForwardOutcome) -> Result<(), Refusal> {
        self.ask(|reply| Command::ForwardOutcome(seq, outcome, reply)).await
    }

    /// Queues that hold something, in the order of their names.
    pub fn queues(&self) -> Vec<QueueStatus> {
        self.read(inspect::queues)
    }

    /// The first messages of a queue, in order.
    pub fn queue(&self, queue: &Queue, limit: usize) -> Vec<QueuedMessage> {
        self.read(|state| inspect::queue(state, queue, limit))
    }

    /// What a person must decide about, oldest first.
    pub fn quarantine(&self) -> Vec<Quarantined> {
        self.read(inspect::quarantine)
    }

    /// A person's decision about a quarantined message (a rejection also about one that waits in a queue).
    ///
    /// # Errors
    /// `Standing` or `Unplaced` say why it cannot be done.
    pub async fn decide_quarantine(&self, seq: u64, decision: QuarantineDecision, by: &str) -> Result<(), Refusal> {
        let unreadable = |error: &dyn std::fmt::Display| Refusal::Unavailable(error.to_string());
        let message = self
            .read_once(|state| state.message(seq))
            .map_err(|error| unreadable(&error))?;
        let facts = match message.and_then(|message| message.facts) {
            Some(place) => {
                let octets = self.body(place).await.map_err(|error| unreadable(&error))?;
                Some(Box::new(
                    serde_json::from_slice(&octets).map_err(|error| unreadable(&error))?,
                ))
            }
            None => None,
        };
        let by = by.to_owned();
        self.ask(|reply| Command::Decide {
            seq,
            decision,
            by,
            facts,
            reply,
        })
        .await
    }

    /// The whole story of a message. Reads the journal: not for async threads.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn trace(&self, id: MessageId) -> Result<Vec<TraceEntry>, ReadError> {
        trace(Arc::clone(&self.shared.disk), &self.shared.settings.data_dir, id)
    }

    /// Names of a participant's queues with the number of waiting messages (GetIncomingQueueStatistics).
    pub fn statistics(&self, participant: &Mnemonic, node: Option<&NodeId>) -> Vec<(String, u64)> {
        self.read(|state| inspect::statistics(state, participant, node))
    }

    /// Conditions `journal`, `spool`, `index`, `disk` and `clock`.
    pub fn conditions(&self) -> Vec<Condition> {
        self.shared.conditions.all()
    }

    /// What is counted.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.shared.metrics
    }

    /// What is measured now; sizes are those of the last tick.
    pub fn gauges(&self) -> Gauges {
        let (sizes, needed) = *self
            .shared
            .sizes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let queues = self.queues();
        Gauges {
            leases: queues.iter().map(|queue| queue.leased).sum(),
            queues,
            quarantine: self.read(|state| inspect::count(state, b'q')),
            spool_bytes: sizes.spool_bytes,
            spool_needed_bytes: needed,
            journal_bytes: sizes.journal_bytes,
            journal_last_seq: self.shared.last_seq.load(Ordering::Relaxed),
            journal_cut: self
                .read(|state| state.get::<JournalCut>(&keys::journal_cut()))
                .is_some(),
            disk_free_bytes: sizes.free_bytes.unwrap_or(0),
        }
    }

    /// The present moment of the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Looks for what time has brought (leases, ends of life, purges, housekeeping) and returns when it is done. The
    /// engine does so by itself once a second; this is for those who move its clock.
    pub async fn tick(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Tick(Some(reply))).await.is_ok() {
            // A writer that ended has done its last tick.
            let _ = done.await;
        }
    }

    /// Finishes what is queued, writes the last checkpoint and the mark of an orderly end.
    pub async fn shutdown(&self) {
        let (reply, ended) = oneshot::channel();
        if self.commands.send(Command::Stop(reply)).await.is_ok() {
            // Either the answer or the writer's end: both mean that it is over.
            let _ = ended.await;
        }
    }

    /// Ends when the engine has failed for good and the process must end; says why. Pending while all is well and
    /// after an orderly shutdown.
    pub async fn failed(&self) -> String {
        let mut failed = self.shared.failed.subscribe();
        loop {
            if let Some(why) = failed.borrow_and_update().clone() {
                return why;
            }
            if failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let ended = || Refusal::Unavailable(ENDED.to_owned());
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    fn read_once<T>(&self, read: impl FnOnce(&State<'_>) -> Result<T, IndexError>) -> Result<T, IndexError> {
        read(&State::new(&*self.shared.index))
    }

    /// Reads for people and metrics: an index that cannot be read shows as a condition.
    fn read<T: Default>(&self, read: impl FnOnce(&State<'_>) -> Result<T, IndexError>) -> T {
        match self.read_once(read) {
            Ok(found) => found,
            Err(IndexError::Closed) => T::default(),
            Err(error) => {
                let remedy = "restart the gateway: it builds the index anew from the journal";
                self.shared
                    .conditions
                    .bad(INDEX, &error.to_string(), remedy, self.now());
                T::default()
            }
        }
    }
}

/// Builds the index of a stopped gateway anew from the last snapshot and the journal. Returns the last record's number.
///
/// # Errors
/// As for [`Engine::start`].
pub fn rebuild_index(settings: &Settings, disk: Arc<dyn Disk>) -> Result<u64, StartError> {
    recover::rebuild_now(settings, disk)
}

/// How far the index of a stopped gateway reflects the journal; none if there is no index that tells. A journal that does
/// not reach there was cut.
///
/// # Errors
/// The store is in use, or its lock cannot be taken.
pub fn known_position(settings: &Settings, disk: &Arc<dyn Disk>) -> Result<Option<Position>, StartError> {
    recover::known_position(settings, disk)
}

/// The registry that the index points to.
pub(crate) fn current_registry(state: &State<'_>, blobs: &Blobs) -> Result<Registry, StartError> {
    let Some(digest) = state.get::<String>(&keys::registry())? else {
        return Ok(Registry::default());
    };
    let failed = |error| StartError::Registry {
        path: blobs.path(&digest),
        error,
    };
    let octets = blobs.get(&digest).map_err(failed)?;
    let content = serde_json::from_slice(&octets).map_err(|error| failed(io::Error::other(error)))?;
    Ok(Registry::new(content))
}

/// Starts the writer, the ticker and the index's flusher; the latter two end with the writer.
fn spawn(writer: Writer, shared: &Arc<Shared>, tick: Duration, commands: mpsc::WeakSender<Command>) -> io::Result<()> {
    let (alive, ended) = std::sync::mpsc::channel::<()>();
    let ticker = move || {
        while ended.recv_timeout(tick) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let Some(commands) = commands.upgrade() else { return };
            // A writer that is busy gets the next one.
            let _ = commands.try_send(Command::Tick(None));
        }
    };
    std::thread::Builder::new().name("ticker".to_owned()).spawn(ticker)?;

    let (flusher_alive, ended) = std::sync::mpsc::channel::<()>();
    let flushed = Arc::clone(shared);
    let flusher = move || {
        while ended.recv_timeout(FLUSH_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            match flushed.index.flush() {
                Ok(()) => flushed.conditions.good(INDEX, flushed.now()),
                Err(IndexError::Closed) => return,
                Err(error) => {
                    let remedy = "check the disk; a restart builds the index anew from the journal";
                    flushed.conditions.bad(INDEX, &error.to_string(), remedy, flushed.now());
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("index-flush".to_owned())
        .spawn(flusher)?;

    let shared = Arc::clone(shared);
    let write = move || {
        let _helpers = (alive, flusher_alive);
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| writer.run())).is_err() {
            shared.fail("the writer panicked");
        }
    };
    std::thread::Builder::new().name("writer".to_owned()).spawn(write)?;
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
