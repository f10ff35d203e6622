//! The handle.

use std::io;
use std::sync::Arc;

use gost::{Certificate, Signer};
use jiff::Timestamp;
use journal::disk::Disk;
use journal::{BodyError, Location, ReadError};
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::command::{
    Accepted, Acknowledge, Acknowledged, Delivery, ForwardOutcome, Incoming, Lane, LaneHead, QuarantineDecision,
    Quarantined, QueueStatus, QueuedMessage, Received, Refusal, RefusedCall, RegistryChange, RegistryDiff, Take,
};
use crate::conditions::Condition;
use crate::error::{IndexError, RegistryError, StartError};
use crate::metrics::{EngineMetrics, Gauges};
use crate::names::{MessageId, Mnemonic, NodeId, Queue, UpstreamName};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::trace::TraceEntry;

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
/// does not happen, as if the answer had been lost on the way.
#[derive(Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

impl Engine {
    /// Opens journal and index, recovers, and starts the writer thread.
    pub fn start(start: Start) -> Result<Self, StartError> {
        let _ = start;
        unimplemented!()
    }

    /// Accepts a message from a participant. Refusals are journaled by the engine itself.
    pub async fn accept(&self, incoming: Incoming) -> Result<Accepted, Refusal> {
        let _ = incoming;
        unimplemented!()
    }

    /// Accepts what was pulled from an upstream. `Unavailable` is the only refusal: pull again later.
    pub async fn receive(&self, upstream: &UpstreamName, incoming: Incoming) -> Result<Received, Refusal> {
        let _ = (upstream, incoming);
        unimplemented!()
    }

    /// Our Ack for a pulled message reached the upstream: from now its identifier is remembered for 30 days more (I3).
    pub async fn upstream_acknowledged(&self, upstream: &UpstreamName, id: MessageId) -> Result<(), Refusal> {
        let _ = (upstream, id);
        unimplemented!()
    }

    /// Hands out the next message of a queue, under a lease.
    pub async fn take(&self, take: Take) -> Result<Option<Delivery>, Refusal> {
        let _ = take;
        unimplemented!()
    }

    /// Takes a receiver's Ack.
    pub async fn acknowledge(&self, acknowledge: Acknowledge) -> Result<Acknowledged, Refusal> {
        let _ = acknowledge;
        unimplemented!()
    }

    /// Journals that a door refused a recognised participant (not what the engine itself refused). Unsynced and
    /// rate-limited; never waits.
    pub fn record_refusal(&self, refused: RefusedCall) {
        let _ = refused;
        unimplemented!()
    }

    /// Journals an incident: `kind` is a short word of the caller, `text` tells a person what happened, without payload.
    pub async fn record_incident(&self, kind: &str, text: String) {
        let _ = (kind, text);
        unimplemented!()
    }

    /// The registry as it is now.
    pub fn registry(&self) -> Arc<Registry> {
        unimplemented!()
    }

    /// Counts registry changes.
    pub fn registry_changed(&self) -> watch::Receiver<u64> {
        unimplemented!()
    }

    /// Applies a registry change.
    pub async fn apply_registry(&self, change: RegistryChange) -> Result<RegistryDiff, RegistryError> {
        let _ = change;
        unimplemented!()
    }

    /// A certificate (DER) or schema file by its Streebog-256 in hexadecimal. Reads the disk.
    pub fn blob(&self, hash: &str) -> io::Result<Vec<u8>> {
        let _ = hash;
        unimplemented!()
    }

    /// Reads a body from the spool, off the async threads.
    pub async fn body(&self, location: Location) -> Result<Vec<u8>, BodyError> {
        let _ = location;
        unimplemented!()
    }

    /// Lanes of an upstream that have something waiting.
    pub fn lanes(&self, upstream: &UpstreamName) -> Vec<Lane> {
        let _ = upstream;
        unimplemented!()
    }

    /// First waiting message of a lane.
    pub fn lane_head(&self, lane: &Lane) -> Result<Option<LaneHead>, IndexError> {
        let _ = lane;
        unimplemented!()
    }

    /// Notified (with a stored permit) when something was queued for an upstream.
    pub fn upstream_work(&self, upstream: &UpstreamName) -> Arc<Notify> {
        let _ = upstream;
        unimplemented!()
    }

    /// An attempt upstream begins under this identifier; durable when it returns: before the first octet leaves.
    pub async fn forward_started(&self, seq: u64, id: MessageId) -> Result<(), Refusal> {
        let _ = (seq, id);
        unimplemented!()
    }

    /// What came of the attempt.
    pub async fn forward_outcome(&self, seq: u64, outcome: ForwardOutcome) -> Result<(), Refusal> {
        let _ = (seq, outcome);
        unimplemented!()
    }

    /// Queues that hold something, in the order of their names.
    pub fn queues(&self) -> Vec<QueueStatus> {
        unimplemented!()
    }

    /// The first messages of a queue, in order.
    pub fn queue(&self, queue: &Queue, limit: usize) -> Vec<QueuedMessage> {
        let _ = (queue, limit);
        unimplemented!()
    }

    /// What a person must decide about, oldest first.
    pub fn quarantine(&self) -> Vec<Quarantined> {
        unimplemented!()
    }

    /// A person's decision about a quarantined message (a rejection also about one that waits in a queue).
    pub async fn decide_quarantine(&self, seq: u64, decision: QuarantineDecision, by: &str) -> Result<(), Refusal> {
        let _ = (seq, decision, by);
        unimplemented!()
    }

    /// The whole story of a message. Reads the journal: not for async threads.
    pub fn trace(&self, id: MessageId) -> Result<Vec<TraceEntry>, ReadError> {
        let _ = id;
        unimplemented!()
    }

    /// Names of a participant's queues with the number of waiting messages (GetIncomingQueueStatistics).
    pub fn statistics(&self, participant: &Mnemonic, node: Option<&NodeId>) -> Vec<(String, u64)> {
        let _ = (participant, node);
        unimplemented!()
    }

    /// Conditions `journal`, `spool`, `index`, `disk` and `clock`.
    pub fn conditions(&self) -> Vec<Condition> {
        unimplemented!()
    }

    /// What is counted.
    pub fn metrics(&self) -> &EngineMetrics {
        unimplemented!()
    }

    /// What is measured now.
    pub fn gauges(&self) -> Gauges {
        unimplemented!()
    }

    /// The present moment of the engine's clock.
    pub fn now(&self) -> Timestamp {
        unimplemented!()
    }

    /// Finishes what is queued, writes the last checkpoint and the mark of an orderly end.
    pub async fn shutdown(&self) {
        unimplemented!()
    }

    /// Ends when the engine has failed for good and the process must end; says why. Pending while all is well and
    /// after an orderly shutdown.
    pub async fn failed(&self) -> String {
        unimplemented!()
    }
}
