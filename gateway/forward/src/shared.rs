//! What the tasks of one link share.

use std::sync::{Mutex, PoisonError};

use engine::Engine;
use engine::names::MessageId;
use jiff::Timestamp;
use logbook::log;
use smev3::client::Client;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::breaker::{Breaker, Gate, Probe, Source};
use crate::incidents::Incidents;
use crate::logged;
use crate::metrics::Counters;
use crate::northbound::Identifiers;
use crate::outcome::LinkSign;
use crate::settings::Settings;

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) engine: Engine,
    pub(crate) client: Client,
    pub(crate) identifiers: Identifiers,
    pub(crate) counters: Counters,
    /// Polls should be soon: an answer is to be expected, or a reason to put them off is gone.
    pub(crate) expect_answer: Notify,
    state: Mutex<State>,
    /// Counts changes of what the breaker lets through.
    gate_changes: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

struct State {
    breaker: Breaker,
    incidents: Incidents,
    /// Since when the link is up or not.
    since: Timestamp,
    contacted: bool,
    /// Why nothing is pulled, if the engine takes nothing.
    paused: Option<String>,
}

/// What a person is told about a link.
pub(crate) struct Condition {
    pub(crate) up: bool,
    pub(crate) since: Timestamp,
    pub(crate) trouble: Option<String>,
    pub(crate) paused: Option<String>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, engine: Engine, client: Client) -> Self {
        let state = State {
            breaker: Breaker::new(settings.backoff),
            incidents: Incidents::default(),
            since: engine.now(),
            contacted: false,
            paused: None,
        };
        Self {
            engine,
            client,
            identifiers: Identifiers::new(settings.chance.as_ref()),
            counters: Counters::default(),
            expect_answer: Notify::new(),
            state: Mutex::new(state),
            gate_changes: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
            settings,
        }
    }

    pub(crate) fn fresh_id(&self) -> MessageId {
        self.identifiers.make(self.engine.now())
    }

    pub(crate) fn gate(&self) -> Gate {
        let mut state = self.lock();
        let up = state.is_up();
        let gate = state.breaker.gate(Instant::now());
        if state.is_up() != up {
            state.since = self.engine.now();
        }
        gate
    }

    pub(crate) fn gate_changes(&self) -> watch::Receiver<u64> {
        self.gate_changes.subscribe()
    }

    /// When the breaker wants something done: a probe, or a new trial.
    pub(crate) fn probe_due(&self, now: Instant) -> Option<Instant> {
        self.lock().breaker.probe_due(now)
    }

    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.lock().breaker.held_until()
    }

    pub(crate) fn report(&self, source: &Source, sign: LinkSign, cause: &str) {
        let contact = matches!(sign, LinkSign::Works | LinkSign::Answers);
        self.change(contact, |breaker, now| {
            breaker.report(source, sign, cause, now, self.settings.chance.as_ref());
        });
    }

    pub(crate) fn probed(&self, result: Probe) {
        let contact = result == Probe::Well;
        self.change(contact, |breaker, now| {
            breaker.probed(result, now, self.settings.chance.as_ref());
        });
    }

    fn change(&self, contact: bool, change: impl FnOnce(&mut Breaker, Instant)) {
        let name = &self.settings.name;
        let mut state = self.lock();
        let now = Instant::now();
        let (up, before) = (state.is_up(), state.breaker.trouble().cloned());
        let probe_wanted = state.breaker.probe_due(now).is_some();
        change(&mut state.breaker, now);
        state.contacted |= contact;
        if state.is_up() != up {
            state.since = self.engine.now();
        }
        let changed =
            before.as_ref() != state.breaker.trouble() || probe_wanted != state.breaker.probe_due(now).is_some();
        match (before, state.breaker.trouble()) {
            (None, Some(trouble)) => log!(logged::LINK_DOWN, upstream = %name, %trouble, "the link does not work"),
            (Some(_), None) => log!(logged::LINK_UP, upstream = %name, "the link is up again"),
            _ => {}
        }
        drop(state);
        if changed {
            self.gate_changes
                .send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// The engine takes nothing (`Some`), or takes messages again.
    pub(crate) fn set_paused(&self, cause: Option<String>) {
        let mut state = self.lock();
        if state.paused.is_none()
            && let Some(cause) = &cause
        {
            log!(logged::PULLING_PAUSES, upstream = %self.settings.name, cause, "pulling pauses");
        }
        state.paused = cause;
    }

    pub(crate) fn condition(&self) -> Condition {
        let state = self.lock();
        Condition {
            up: state.is_up(),
            since: state.since,
            trouble: state.breaker.trouble().map(ToString::to_string),
            paused: state.paused.clone(),
        }
    }

    /// Journals an incident, unless the same one was journaled lately. The text holds no payload.
    pub(crate) async fn incident(&self, kind: &str, text: String) {
        let text = format!("upstream {}: {text}", self.settings.name);
        if self.lock().incidents.is_new(&text, Instant::now()) {
            self.engine.record_incident(kind, text).await;
        }
    }

    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ends when the link is to stop.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives in `self`, so the wait cannot fail before it is true.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_up(&self) -> bool {
        self.contacted && self.breaker.trouble().is_none()
    }
}
