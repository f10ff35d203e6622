//! What operators and metrics ask of a running engine, and what people change.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use journal::ReadError;
use logbook::log;
use tokio::sync::oneshot;
use vault::MasterKey;

use super::{ENDED, Engine};
use crate::blobs;
use crate::command::{
    AcceptedClock, BodyRef, Halting, NotedCut, QuarantineDecision, Quarantined, QueueStatus, QueuedMessage, Refusal,
    RegistryChange, RegistryDiff,
};
use crate::conditions::Condition;
use crate::error::RegistryError;
use crate::event::{BodyName, Event, Person};
use crate::halts::Halt;
use crate::inspect;
use crate::logged;
use crate::metrics::{EngineMetrics, Gauges};
use crate::names::{MessageId, Queue};
use crate::panics::Worker;
use crate::room;
use crate::trace::{TraceEntry, trace};
use crate::work::Command;

impl Engine {
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

    /// Queues that hold something or are paused, in the order of their names.
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
        let facts = message.and_then(|message| {
            let place = message.facts?;
            Some(BodyRef {
                message: message.id,
                name: BodyName::Facts,
                place,
                sealed: message.sealed,
            })
        });
        let facts = match facts {
            Some(body) => {
                let octets = self.body(body).await.map_err(|error| unreadable(&error))?;
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

    /// Wraps the data keys under another master key, from the next start on the one that must be given. No body is
    /// touched. Tells the fingerprint of the master key before.
    ///
    /// # Errors
    /// In words: the keyring cannot be written, or there is none.
    pub async fn rotate_master_key(&self, master: MasterKey, by: &str) -> Result<String, String> {
        let fingerprint = master.fingerprint();
        let protection = self.shared.spool.protection.clone();
        let before = tokio::task::spawn_blocking(move || protection.rotate(master))
            .await
            .map_err(|error| error.to_string())??;
        let event = Event::MasterKey {
            fingerprint,
            before: before.clone(),
            by: by.to_owned(),
        };
        // It is done, whether the journal tells of it or, because the engine is ending, only the log.
        log!(
            logged::REWRAPPED,
            ?event,
            "the data keys are wrapped under another master key"
        );
        let _ = self.commands.send(Command::Tell(event)).await;
        Ok(before)
    }

    /// A person has taken note of the journal's cut: the condition `journal` is in order again.
    ///
    /// # Errors
    /// `NoCut` if there is nothing to take note of, `Unavailable`.
    pub async fn acknowledge_journal_cut(&self, by: &str, reason: &str) -> Result<NotedCut, Refusal> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        self.ask(|reply| Command::AcknowledgeCut { by, reason, reply }).await
    }

    /// A person says that the clock is right, and that it is `time`.
    ///
    /// # Errors
    /// `NotDone` if the clock says something else, or is believed already; `Unavailable`.
    pub async fn accept_clock(&self, time: Timestamp, by: &Person) -> Result<AcceptedClock, Refusal> {
        let by = by.clone();
        self.ask(|reply| Command::AcceptClock { time, by, reply }).await
    }

    /// A person brings a participant or a queue to a halt, or lets it go on. Tells the halt that begins or ends.
    ///
    /// # Errors
    /// `NotDone` if it is so already, or there is no such participant; `Unavailable`.
    pub async fn halt(&self, what: Halting, by: &Person) -> Result<Halt, Refusal> {
        let (asked, person) = (what.clone(), by.clone());
        let halt = self
            .ask(|reply| Command::Halt {
                what: asked,
                by: person,
                reply,
            })
            .await?;
        match what {
            Halting::Suspend { participant, reason } => {
                log!(logged::PARTICIPANT_SUSPENDED, %participant, by = by.name, reason, "a participant is suspended");
            }
            Halting::ResumeParticipant(participant) => {
                log!(logged::PARTICIPANT_RESUMED, %participant, by = by.name, "a participant is resumed");
            }
            Halting::Pause { queue, reason } => {
                log!(logged::QUEUE_PAUSED, %queue, by = by.name, reason, "a queue is paused");
            }
            Halting::ResumeQueue(queue) => {
                log!(logged::QUEUE_RESUMED, %queue, by = by.name, "a queue is resumed");
            }
        }
        Ok(halt)
    }

    /// Whether it was the start of this engine that found the journal cut.
    #[must_use]
    pub fn found_cut(&self) -> bool {
        self.shared.found_cut.load(Ordering::Relaxed)
    }

    /// Conditions `journal`, `spool`, `index`, `disk` and `clock`.
    pub fn conditions(&self) -> Vec<Condition> {
        self.shared.conditions.all()
    }

    /// What is counted.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.shared.metrics
    }

    /// How often each kind of incident of the gateway itself happened since the start.
    pub fn incidents(&self) -> Vec<(&'static str, u64)> {
        self.shared.incidents.counts()
    }

    /// A worker outside of the engine panicked and was contained; `doing` says at what, without payload. The panic is
    /// counted, and journaled with the next tick.
    pub fn worker_panicked(&self, worker: Worker, doing: &str) {
        self.shared.panicked(worker, doing);
    }

    /// How often each worker panicked since the start.
    pub fn worker_panics(&self) -> Vec<(&'static str, u64)> {
        self.shared.panics.counts()
    }

    /// What is measured now; sizes are those of the last tick.
    pub fn gauges(&self) -> Gauges {
        let (sizes, needed) = *self
            .shared
            .sizes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let queues = self.queues();
        let (settings, space) = (&self.shared.settings, sizes.space.unwrap_or_default());
        Gauges {
            leases: queues.iter().map(|queue| queue.leased).sum(),
            queues,
            quarantine: self.read(|state| inspect::count(state, b'q')),
            spool_bytes: sizes.spool_bytes,
            spool_needed_bytes: needed,
            // One that is closed has no size any more.
            index_bytes: self.shared.index.disk_bytes().unwrap_or(0),
            index_row_bytes: self.shared.index.row_bytes(),
            journal_bytes: sizes.journal_bytes,
            journal_last_seq: self.shared.last_seq.load(Ordering::Relaxed),
            journal_cut: self.shared.conditions.is_held(),
            disk_free_bytes: space.free_bytes,
            disk_free_inodes: space.free_files,
            disk_reserve_bytes: room::disk_reserve(settings.disk_reserve, &space),
        }
    }
}
