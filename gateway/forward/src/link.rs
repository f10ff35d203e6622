//! The running link: it gives lanes their turns, probes when the breaker wants it, polls, and stops in order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::command::Lane;
use engine::names::{Queue, UpstreamName};
use engine::{Engine, Worker};
use gost::{Certificate, Signer};
use jiff::Timestamp;
use logbook::log;
use smev3::client::{Client, Pull};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::breaker::Gate;
use crate::logged;
use crate::metrics::LinkMetrics;
use crate::schedule::{Schedule, Turn};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::{lane, pull};

/// Lanes are looked at this often even if nothing is announced.
const RESCAN: Duration = Duration::from_secs(30);
/// Before a part of a link that panicked is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// A running link to one upstream. Dropping it without [`stop`](Self::stop) ends its tasks where they stand; what they
/// were about is taken up again at the next start.
pub struct Link {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

/// What a person is told about a link; a condition of `/ready`, though never a reason for 503.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// The upstream.
    pub name: UpstreamName,
    /// Whether the link is in use and all is well.
    pub up: bool,
    /// Since when it is, or is not.
    pub since: Timestamp,
    /// What is wrong; empty when nothing is.
    pub message: String,
    /// What a person can do about it; empty when nothing is wrong.
    pub remedy: &'static str,
    /// What is wrong, in Russian; what the upstream or the system says of itself stays as it is.
    pub message_ru: String,
    /// What a person can do about it, in Russian.
    pub remedy_ru: &'static str,
}

impl Link {
    /// Starts the link's tasks; to be called within a tokio runtime.
    pub fn start(settings: Settings, engine: Engine, signer: Arc<dyn Signer>, certificate: Certificate) -> Self {
        let client = Client::new(smev3::client::Settings {
            upstream: settings.name.clone(),
            endpoint: settings.endpoint.clone(),
            version: settings.version,
            trusted_signers: settings.trusted_signers.clone(),
            bounds: settings.bounds,
            signer,
            certificate,
            clock: engine.clock(),
        });
        let shared = Arc::new(Shared::new(settings, engine, client));
        let mut tasks = JoinSet::new();
        tasks.spawn(kept_running(shared.clone(), "keeping a link", run));
        for pull in Pull::ALL {
            tasks.spawn(kept_running(shared.clone(), "pulling", move |shared| {
                pull::run(shared, pull)
            }));
        }
        Self {
            shared,
            tasks: Mutex::new(tasks),
        }
    }

    /// The upstream's name.
    pub fn name(&self) -> &UpstreamName {
        &self.shared.settings.name
    }

    /// How the link is.
    pub fn status(&self) -> LinkStatus {
        let condition = self.shared.condition();
        let (message, message_ru, remedy, remedy_ru) = match (condition.trouble, condition.paused) {
            (Some(trouble), _) if trouble.starts_with("stopped") => (
                trouble.clone(),
                format!("остановлена: {}", trouble.trim_start_matches("stopped: ")),
                "check that the upstream knows the gateway's certificate and that it is valid; then see `rsmev quarantine list`",
                "проверьте, что вышестоящий узел знает сертификат шлюза и что он действителен; затем `rsmev quarantine list`",
            ),
            (Some(trouble), _) => (
                trouble.clone(),
                format!("нет связи: {}", trouble.trim_start_matches("down: ")),
                "check the network and the upstream; what waits is sent when it is back",
                "проверьте сеть и вышестоящий узел; ожидающее уйдёт, когда связь восстановится",
            ),
            (None, Some(paused)) => (
                format!("nothing is pulled: {paused}"),
                format!("входящие не забираются: {paused}"),
                "see the gateway's other conditions",
                "смотрите остальные условия шлюза",
            ),
            (None, None) if !condition.up => (
                "not reached yet".to_owned(),
                "связи ещё не было".to_owned(),
                "wait, or check the network",
                "подождите или проверьте сеть",
            ),
            (None, None) => (String::new(), String::new(), "", ""),
        };
        let (name, since) = (self.name().clone(), condition.since);
        LinkStatus {
            name,
            up: condition.up,
            since,
            message,
            remedy,
            message_ru,
            remedy_ru,
        }
    }

    /// The link in numbers. Looks at the engine's queues.
    pub fn metrics(&self) -> LinkMetrics {
        let queue = Queue::Upstream(self.name().clone());
        let oldest = self
            .shared
            .engine
            .queues()
            .into_iter()
            .find(|status| status.queue == queue);
        let oldest = oldest.and_then(|status| status.oldest);
        let lag = oldest.map_or(0.0, |at| {
            self.shared.engine.now().duration_since(at).as_secs_f64().max(0.0)
        });
        self.shared.counters.snapshot(self.shared.condition().up, lag)
    }

    /// Replaces the certificates under which the upstream's signatures are accepted, from the next answer on.
    pub fn replace_trusted_signers(&self, certificates: &[Certificate]) {
        self.shared.client.replace_trusted_signers(certificates);
        // Polls that were put off because of a signature are tried again now.
        self.shared.expect_answer.notify_waiters();
    }

    /// Stops: nothing new begins, calls under way are finished and their outcomes recorded. What takes longer than
    /// [`Settings::stop_within`] is cut off; its outcome then counts as unknown.
    pub async fn stop(&self) {
        self.shared.stop();
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let finished = async { while tasks.join_next().await.is_some() {} };
        if timeout(self.shared.settings.stop_within, finished).await.is_err() {
            log!(logged::CALLS_CUT_OFF, upstream = %self.name(), "calls were cut off: the upstream did not answer in time");
            tasks.shutdown().await;
        }
    }
}

/// Gives lanes their turns and sends probes until the link is to stop; then waits for those under way.
async fn run(shared: Arc<Shared>) {
    let work = shared.engine.upstream_work(&shared.settings.name);
    let mut gate_changes = shared.gate_changes();
    let mut schedule = Schedule::default();
    let mut lanes = Lanes::default();
    let mut probes = JoinSet::new();
    while !shared.is_stopping() {
        gate_changes.mark_unchanged();
        let now = Instant::now();
        let mut wake = now + RESCAN;
        if shared.gate() == Gate::Open {
            let free = shared.settings.parallel.max(1).saturating_sub(lanes.tasks.len());
            let waiting = shared.engine.lanes(&shared.settings.name);
            for lane in schedule.pick(waiting, free, now) {
                lanes.spawn(&shared, lane);
            }
            // With every worker busy, the end of a turn is what to wait for.
            if lanes.tasks.len() < shared.settings.parallel {
                wake = earlier(wake, schedule.next());
            }
        }
        wake = earlier(wake, shared.held_until());
        if probes.is_empty() {
            match shared.probe_due(now) {
                Some(due) if due <= now => drop(probes.spawn(pull::probe(shared.clone()))),
                due => wake = earlier(wake, due),
            }
        }
        tokio::select! {
            () = work.notified() => {}
            (lane, turn) = lanes.ended(&shared), if !lanes.tasks.is_empty() => {
                schedule.ended(&lane, turn, &shared.settings.backoff, Instant::now(), shared.settings.chance.as_ref());
            }
            _ = probes.join_next(), if !probes.is_empty() => {}
            _ = gate_changes.changed() => {}
            () = sleep_until(wake) => {}
            () = shared.stopped() => {}
        }
    }
    while !lanes.tasks.is_empty() {
        lanes.ended(&shared).await;
    }
    while probes.join_next().await.is_some() {}
}

fn earlier(wake: Instant, other: Option<Instant>) -> Instant {
    other.map_or(wake, |other| wake.min(other))
}

/// Runs a part of a link, and again after a pause if it panicked, until it ends by itself.
async fn kept_running<F>(shared: Arc<Shared>, doing: &'static str, part: impl Fn(Arc<Shared>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // Aborted with the one who waits for it.
        let mut running = JoinSet::new();
        running.spawn(part(shared.clone()));
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => shared.engine.worker_panicked(Worker::Link, doing),
            _ => return,
        }
        tokio::time::sleep(AFTER_PANIC).await;
    }
}

/// The lanes that are worked at this moment.
#[derive(Default)]
struct Lanes {
    tasks: JoinSet<Turn>,
    lanes: Vec<(Id, Lane)>,
}

impl Lanes {
    fn spawn(&mut self, shared: &Arc<Shared>, lane: Lane) {
        let (shared, worked) = (shared.clone(), lane.clone());
        let task = self.tasks.spawn(async move { lane::work(&shared, &worked).await });
        self.lanes.push((task.id(), lane));
    }

    /// The next turn that ends; one that panicked counts as failed. Pending for ever when none is under way.
    async fn ended(&mut self, shared: &Shared) -> (Lane, Turn) {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                std::future::pending().await
            };
            let (id, turn) = match ended {
                Ok(ended) => ended,
                Err(error) => {
                    log!(logged::LANE_FAILED, %error, "working a lane failed");
                    if error.is_panic() {
                        shared.engine.worker_panicked(Worker::Lane, "forwarding a lane");
                    }
                    (
                        error.id(),
                        Turn {
                            progressed: false,
                            wait: true,
                        },
                    )
                }
            };
            if let Some(at) = self.lanes.iter().position(|(of, _)| *of == id) {
                return (self.lanes.swap_remove(at).1, turn);
            }
        }
    }
}
