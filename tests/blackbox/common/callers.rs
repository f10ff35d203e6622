//! Systems that go on calling while the gateway is restarted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use emulator::{CallError, Participant, RequestData, TransportError};
use tokio::task::JoinHandle;

use super::{SPRAVKA, eventually, request};

/// What callers have seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Calls that were answered with a receipt.
    pub(crate) accepted: u64,
    /// Of these, calls that were made once more because their connection was closed.
    pub(crate) retried: u64,
    /// How long the longest took, in milliseconds.
    pub(crate) longest: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            retried,
            longest,
        } = self;
        write!(
            f,
            "{accepted} calls, {retried} on a connection that was closed, 0 failed; the longest took {longest} ms"
        )
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    retried: AtomicU64,
    longest: AtomicU64,
}

/// Systems that call until they are stopped.
pub(crate) struct Callers {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    calling: Vec<JoinHandle<()>>,
}

impl Callers {
    /// Lets each system send one request after the other.
    pub(crate) fn start(systems: impl Iterator<Item = Participant>) -> Self {
        let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        let calling = systems.map(|system| tokio::spawn(call(system, Arc::clone(&stop), Arc::clone(&counts))));
        let calling = calling.collect();
        Self { stop, counts, calling }
    }

    /// Waits until some more calls were answered.
    pub(crate) async fn more(&self) {
        let accepted = || self.counts.accepted.load(Ordering::Relaxed);
        let before = accepted();
        eventually("calls are answered", async || (accepted() > before + 20).then_some(())).await;
    }

    /// # Panics
    /// If a call failed.
    pub(crate) async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.calling {
            caller.await.expect("no call failed");
        }
        Seen {
            accepted: self.counts.accepted.load(Ordering::Relaxed),
            retried: self.counts.retried.load(Ordering::Relaxed),
            longest: self.counts.longest.load(Ordering::Relaxed),
        }
    }
}

/// A connection that was kept alive may have been closed while the call was on its way: it is made once more, under the same
/// identifier. Everything else is a failure.
async fn call(system: Participant, stop: Arc<AtomicBool>, counts: Arc<Counts>) {
    while !stop.load(Ordering::Relaxed) {
        let data: RequestData = system.new_request(request(SPRAVKA, "под перезапуском"));
        let since = Instant::now();
        let receipt = match system.send_request(&data).await {
            Err(CallError::Transport(error @ TransportError::Broken(_))) => {
                counts.retried.fetch_add(1, Ordering::Relaxed);
                let again = system.send_request(&data).await;
                again.unwrap_or_else(|second| panic!("{error}, and on a new connection {second}"))
            }
            answer => answer.unwrap_or_else(|error| panic!("{error}")),
        };
        assert_eq!(receipt.message_id, data.message_id);
        let took = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        counts.longest.fetch_max(took, Ordering::Relaxed);
        counts.accepted.fetch_add(1, Ordering::Relaxed);
    }
}
