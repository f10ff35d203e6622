//! Shipping sealed journal segments: a command of the operator's is run for each, one after the other, in the order of
//! the journal. What the archive has is an event of the journal, so that it survives restarts; a segment whose event was
//! lost with a crash is shipped once more. The writer waits for none of this.

mod hook;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Engine;
use engine::command::ShippedSegment;
use jiff::{SignedDuration, Timestamp};
use journal::segments::SealedSegment;
use logbook::log;
use tokio::sync::watch;

use crate::logged;
use crate::settings;
use hook::Hook;

/// How often new segments are looked for.
const LOOK: Duration = Duration::from_secs(2);
/// The pause after a failure, doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How shipping stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// Sealed segments that the archive does not have yet.
    pub(crate) waiting: u64,
    /// Segments shipped since the start.
    pub(crate) shipped: u64,
    /// Runs of the command that failed since the start.
    pub(crate) failures: u64,
    /// Since when it has failed, and why it last did.
    pub(crate) failing: Option<(Timestamp, String)>,
}

/// The handle of a running archive; cheap to clone.
#[derive(Clone)]
pub(crate) struct Archive(Arc<Mutex<Status>>);

impl Archive {
    /// An archive, and what ships to it until `stopped`.
    pub(crate) fn start(
        settings: &settings::Archive,
        engine: Engine,
        stopped: watch::Receiver<bool>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let archive = Self(Arc::default());
        let shipping = Shipping {
            status: archive.clone(),
            hook: Hook::new(settings),
            alarm_after: SignedDuration::try_from(settings.alarm_after).unwrap_or(SignedDuration::MAX),
            engine,
            stopped,
            alarmed: false,
        };
        (archive, shipping.run())
    }

    /// How it stands.
    pub(crate) fn status(&self) -> Status {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shipping {
    status: Archive,
    hook: Hook,
    alarm_after: SignedDuration,
    engine: Engine,
    stopped: watch::Receiver<bool>,
    /// The trouble at hand was journaled.
    alarmed: bool,
}

impl Shipping {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match self.next().await {
                Ok(true) => {
                    pause = FIRST_PAUSE;
                    Duration::ZERO
                }
                Ok(false) => LOOK,
                Err(why) => {
                    self.failed(why).await;
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            let mut stopped = self.stopped.clone();
            tokio::select! {
                // An error means that the gateway has gone.
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Ships the next segment, if there is one.
    async fn next(&mut self) -> Result<bool, String> {
        let engine = self.engine.clone();
        let look = move || {
            let waiting = engine
                .sealed_segments(engine.archived_through())
                .map_err(|error| error.to_string())?;
            let Some(first) = waiting.first() else { return Ok(None) };
            let digest = engine
                .segment_digest(first)
                .map_err(|error| format!("{}: {error}", first.path.display()))?;
            Ok::<_, String>(Some((waiting.len() as u64, first.clone(), digest)))
        };
        let found = tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| error.to_string())??;
        let Some((waiting, segment, digest)) = found else {
            self.status.lock().waiting = 0;
            return Ok(false);
        };
        self.status.lock().waiting = waiting;
        // What is sealed after a restoration is the other history of what the lost gateway may have shipped: first a person says
        // that this one goes on.
        if self.engine.is_held() {
            return Ok(false);
        }
        let mut stopped = self.stopped.clone();
        tokio::select! {
            // What is cut off is shipped again after the next start.
            _ = stopped.wait_for(|stop| *stop) => return Ok(false),
            done = self.hook.run(&segment, &digest) => done?,
        }
        self.shipped(&segment, digest).await?;
        Ok(true)
    }

    async fn shipped(&mut self, segment: &SealedSegment, digest: String) -> Result<(), String> {
        let shipped = ShippedSegment {
            first: segment.first_seq,
            last: segment.last_seq,
            digest,
        };
        self.engine.shipped(shipped).await.map_err(|error| error.to_string())?;
        log!(
            logged::SEGMENT_SHIPPED,
            segment = segment.name(),
            last = segment.last_seq,
            "the archive has a segment"
        );
        let mut status = self.status.lock();
        status.shipped += 1;
        status.waiting = status.waiting.saturating_sub(1);
        status.failing = None;
        self.alarmed = false;
        Ok(())
    }

    async fn failed(&mut self, why: String) {
        let now = self.engine.now();
        let since = {
            let mut status = self.status.lock();
            status.failures += 1;
            let since = status.failing.as_ref().map_or(now, |(since, _)| *since);
            status.failing = Some((since, why.clone()));
            since
        };
        log!(
            logged::SEGMENT_NOT_SHIPPED,
            why,
            "a journal segment was not shipped; it is tried again"
        );
        if !self.alarmed && now.duration_since(since) >= self.alarm_after {
            self.alarmed = true;
            let text = format!("journal segments have not been shipped since {since}: {why}");
            self.engine.record_incident("archive", text).await;
        }
    }
}
