//! Panics are contained where they happen, counted and told: a worker that panicked is an incident, not a hang.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::incidents::IncidentKind;
use crate::shared::Shared;

/// Who can panic without ending the gateway: the values of `worker_panics_total{worker}`. The writer and those who keep
/// its time are not among them: their panics end the process, so that a start finds out what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// Reads, checks, builds and signs for the door, on a blocking thread.
    Door,
    /// Serves a connection of the door.
    Connection,
    /// Forwards a lane.
    Lane,
    /// Pulls from an upstream, or keeps its link.
    Link,
    /// Serves the admin socket or the administrative pages.
    Admin,
    /// Writes a snapshot.
    Snapshot,
    /// Copies the survivors of a spool segment.
    CopyForward,
    /// Writes the index anew.
    Index,
    /// Looks for incidents, or tells of them.
    Incidents,
}

impl Worker {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Door,
        Self::Connection,
        Self::Lane,
        Self::Link,
        Self::Admin,
        Self::Snapshot,
        Self::CopyForward,
        Self::Index,
        Self::Incidents,
    ];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Connection => "connection",
            Self::Lane => "lane",
            Self::Link => "link",
            Self::Admin => "admin",
            Self::Snapshot => "snapshot",
            Self::CopyForward => "copy_forward",
            Self::Index => "index",
            Self::Incidents => "incidents",
        }
    }
}

/// How often each panicked.
#[derive(Debug, Default)]
pub(crate) struct Panics([AtomicU64; Worker::ALL.len()]);

impl Panics {
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = Worker::ALL.iter().zip(&self.0);
        counts
            .map(|(worker, count)| (worker.as_str(), count.load(Ordering::Relaxed)))
            .collect()
    }
}

impl Shared {
    /// A worker panicked; `doing` says at what, without payload. What the panic said stands in the log.
    pub(crate) fn panicked(&self, worker: Worker, doing: &str) {
        let counts = Worker::ALL.iter().zip(&self.panics.0);
        for (_, count) in counts.filter(|(of, _)| **of == worker) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let text = format!("a worker ({}) panicked while {doing}", worker.as_str());
        self.incidents.tell(IncidentKind::WorkerPanicked, text, self.now());
    }

    /// Does what may panic; none if it did.
    pub(crate) fn contain<T>(&self, worker: Worker, doing: &str, work: impl FnOnce() -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(work)).ok();
        if done.is_none() {
            self.panicked(worker, doing);
        }
        done
    }
}
