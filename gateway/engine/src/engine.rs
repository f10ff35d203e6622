//! The handle.

mod backup;
mod incidents;
mod keeping;
mod operator;
mod start;

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use journal::BodyError;
use logbook::log;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use vault::SealError;

use crate::clock::Clock;
use crate::command::{
    Accepted, Acknowledge, Acknowledged, BodyRef, Delivery, ForwardOutcome, Incoming, Lane, LaneHead, Received,
    Refusal, RefusedCall, Take,
};
use crate::conditions::{INDEX, Words};
use crate::error::{IndexError, Unreadable};
use crate::inspect;
use crate::logged;
use crate::names::{MessageId, Mnemonic, NodeId, Queue, UpstreamName};
use crate::offer::{self, Offer, OfferedPull};
use crate::protection::Protection;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::state::State;
use crate::work::{Command, Reply};

pub use crate::recover::Rebuilt;
pub(crate) use start::current_registry;
pub use start::{Start, known_position, rebuild_index};

/// What callers hear when the writer is gone.
const ENDED: &str = "the engine has ended";

/// The handle of a running engine; cheap to clone. All futures may be dropped at any time: the command then happens or
/// does not happen, as if the answer had been lost on the way. When the last handle is dropped, the engine ends in order.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    identity: keeping::Identity,
    commands: mpsc::Sender<Command>,
}

impl Engine {
    /// Accepts a message from a participant. A refusal is the door's to [record](Self::record_refusal), under its name.
    ///
    /// # Errors
    /// Why it was refused; nothing was changed then.
    pub async fn accept(&self, incoming: Incoming) -> Result<Accepted, Refusal> {
        let offer = self.seal(incoming, Offer::new).await?;
        self.ask(|reply| Command::Accept(offer, reply)).await
    }

    /// Accepts what was pulled from an upstream.
    ///
    /// # Errors
    /// `Unavailable`: pull again later. `Attachments`: it should not have been read as a whole message.
    pub async fn receive(&self, upstream: &UpstreamName, incoming: Incoming) -> Result<Received, Refusal> {
        let upstream = upstream.clone();
        let seal = move |incoming, protection: &Protection| OfferedPull::new(&upstream, incoming, protection);
        let pulled = self.seal(incoming, seal).await?;
        self.ask(|reply| Command::Receive(pulled, reply)).await
    }

    /// Seals a message in the caller's task, or, a large one, off the async threads.
    async fn seal<T: Send + 'static>(
        &self,
        incoming: Incoming,
        seal: impl FnOnce(Incoming, &Protection) -> Result<T, SealError> + Send + 'static,
    ) -> Result<Box<T>, Refusal> {
        let sealed = if offer::is_large(&incoming) {
            let protection = self.shared.spool.protection.clone();
            tokio::task::spawn_blocking(move || seal(incoming, &protection))
                .await
                .map_err(|error| Refusal::Unavailable(error.to_string()))?
        } else {
            seal(incoming, &self.shared.spool.protection)
        };
        sealed
            .map(Box::new)
            .map_err(|error| Refusal::Unavailable(error.to_string()))
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
        self.shared.metrics.count_refused(&refused);
        if self.commands.try_send(Command::Refused(refused)).is_err() {
            tracing::debug!("a refusal was not journaled, because the writer is busy");
        }
    }

    /// Journals an incident: `kind` is a short word of the caller, `text` tells a person what happened, without payload.
    pub async fn record_incident(&self, kind: &str, text: String) {
        log!(logged::INCIDENT, kind, text, "incident");
        let kind = kind.to_owned();
        if let Err(refusal) = self.ask(|reply| Command::Incident { kind, text, reply }).await {
            log!(logged::INCIDENT_NOT_JOURNALED, %refusal, "the incident was not journaled");
        }
    }

    /// The registry as it is now.
    pub fn registry(&self) -> Arc<Registry> {
        self.shared.registry()
    }

    /// Counts registry changes.
    pub fn registry_changed(&self) -> watch::Receiver<u64> {
        self.shared.registry_changes.subscribe()
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
    pub async fn body(&self, body: BodyRef) -> Result<Vec<u8>, BodyError> {
        let shared = Arc::clone(&self.shared);
        let path = shared.settings.data_dir.clone();
        let read = tokio::task::spawn_blocking(move || shared.body(&body)).await;
        read.unwrap_or_else(|error| {
            Err(BodyError::Io {
                path,
                error: io::Error::other(error),
            })
        })
    }

    /// Reads a body of a message that is to be handed over. One that is damaged or missing is not only told: the message
    /// goes to quarantine, so that those behind it have their turn.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn body_of(&self, seq: u64, body: BodyRef) -> Result<Vec<u8>, Unreadable> {
        let error = match self.body(body).await {
            Ok(octets) => return Ok(octets),
            Err(error) => error,
        };
        if let BodyError::Io { .. } = error {
            return Err(Unreadable::Now(error));
        }
        let cause = error.to_string();
        log!(logged::STORED_UNREADABLE, seq, cause, "a stored message cannot be read");
        let command = |reply| Command::Unreadable {
            seq,
            place: body.place,
            cause: cause.clone(),
            reply: Some(reply),
        };
        match self.ask(command).await {
            Ok(true) => Err(Unreadable::Quarantined(cause)),
            Ok(false) | Err(_) => Err(Unreadable::Now(error)),
        }
    }

    /// Lanes of an upstream that have something waiting; none while [messages are on hold](Self::upstream_hold),
    /// [the time is not known](Self::clock_is_unproven), or its queue is paused.
    pub fn lanes(&self, upstream: &UpstreamName) -> Vec<Lane> {
        if self.is_held() || self.clock_is_unproven() || self.is_paused(upstream) {
            return Vec::new();
        }
        self.read(|state| inspect::lanes(state, upstream))
    }

    /// First waiting message of a lane; none while its queue is paused.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn lane_head(&self, lane: &Lane) -> Result<Option<LaneHead>, IndexError> {
        if self.is_paused(&lane.upstream) {
            return Ok(None);
        }
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

    /// Names of a participant's queues with the number of waiting messages (GetIncomingQueueStatistics).
    pub fn statistics(&self, participant: &Mnemonic, node: Option<&NodeId>) -> Vec<(String, u64)> {
        self.read(|state| inspect::statistics(state, participant, node))
    }

    /// The present moment of the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// What the system's clock says, while it has jumped and is not believed too.
    pub fn wall(&self) -> Timestamp {
        self.shared.clock.wall()
    }

    /// The engine's clock for others, so that they go by the same time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(EngineClock(Arc::clone(&self.shared)))
    }

    /// Whether the clock was found so far after the journal at the start that a person must say whether it is right:
    /// nothing goes to upstreams, and nothing new is accepted.
    pub fn clock_is_unproven(&self) -> bool {
        self.shared.clock.unproven().is_some()
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

    /// Why the engine has failed for good, if it has: what [`failed`](Self::failed) says.
    pub fn failure(&self) -> Option<String> {
        self.shared.failed.borrow().clone()
    }

    /// The index, for tests that look at its rows.
    #[cfg(test)]
    pub(crate) fn index(&self) -> &Arc<crate::index::Index> {
        &self.shared.index
    }

    /// The disk, for tests that look at its files.
    #[cfg(test)]
    pub(crate) fn disk(&self) -> Arc<dyn journal::disk::Disk> {
        Arc::clone(&self.shared.disk)
    }

    fn is_paused(&self, upstream: &UpstreamName) -> bool {
        let queue = Queue::Upstream(upstream.clone());
        self.registry().halts().paused(&queue).is_some()
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
                let words = Words::new(
                    [error.to_string(), format!("индекс не читается: {error}")],
                    [
                        "restart the gateway: it builds the index anew from the journal",
                        "перезапустите шлюз: он заново построит индекс по журналу",
                    ],
                );
                self.shared.conditions.bad(INDEX, words, self.now());
                T::default()
            }
        }
    }
}

/// The engine's time as others take it.
struct EngineClock(Arc<Shared>);

impl Clock for EngineClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}
