//! What the gateway's readiness depends on (DESIGN §11, `/ready`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use logbook::log;
use serde::Serialize;

use crate::logged;

/// One condition of `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `journal`, `spool`, `index`, `disk`, `clock`; the binary adds `key` and the upstreams.
    pub name: &'static str,
    /// Whether it is fulfilled.
    pub ok: bool,
    /// Since when it is as it is.
    pub since: Timestamp,
    /// What is so, in words.
    pub message: String,
    /// What a person can do about it; empty while all is well.
    pub remedy: String,
}

/// The engine's own conditions.
#[derive(Debug)]
pub(crate) struct Conditions(Mutex<State>);

#[derive(Debug)]
struct State {
    all: Vec<Condition>,
    /// What stays bad until a person takes note of it: name, message and remedy.
    held: Option<(&'static str, String, String)>,
}

/// The conditions by name.
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const SPOOL: &str = "spool";
pub(crate) const INDEX: &str = "index";
pub(crate) const DISK: &str = "disk";
pub(crate) const CLOCK: &str = "clock";

impl Conditions {
    pub(crate) fn new(now: Timestamp) -> Self {
        let good = |name| Condition {
            name,
            ok: true,
            since: now,
            message: "ok".to_owned(),
            remedy: String::new(),
        };
        let all = [JOURNAL, SPOOL, INDEX, DISK, CLOCK].map(good).into();
        Self(Mutex::new(State { all, held: None }))
    }

    pub(crate) fn all(&self) -> Vec<Condition> {
        self.lock().all.clone()
    }

    /// All is well again, but for what is held.
    pub(crate) fn good(&self, name: &str, now: Timestamp) {
        let held = self.lock().held.clone();
        match held {
            Some((held, message, remedy)) if held == name => self.set(name, false, &message, &remedy, now),
            _ => self.set(name, true, "ok", "", now),
        }
    }

    /// Something is wrong until it is [released](Self::release).
    pub(crate) fn hold(&self, name: &'static str, message: String, remedy: String, now: Timestamp) {
        self.lock().held = Some((name, message, remedy));
        self.good(name, now);
    }

    /// Whether something is held.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().held.is_some()
    }

    /// A person has taken note of what was held.
    pub(crate) fn release(&self, now: Timestamp) {
        let held = self.lock().held.take();
        if let Some((name, _, _)) = held {
            self.good(name, now);
        }
    }

    /// Something is wrong; logged when it begins.
    pub(crate) fn bad(&self, name: &str, message: &str, remedy: &str, now: Timestamp) {
        self.set(name, false, message, remedy, now);
    }

    fn set(&self, name: &str, ok: bool, message: &str, remedy: &str, now: Timestamp) {
        let mut state = self.lock();
        let Some(condition) = state.all.iter_mut().find(|condition| condition.name == name) else {
            return;
        };
        if condition.ok != ok {
            condition.since = now;
            if ok {
                log!(logged::CONDITION_OK, condition = name, "in order again");
            } else {
                log!(
                    logged::CONDITION_FAILED,
                    condition = name,
                    cause = message,
                    remedy,
                    "not in order"
                );
            }
        }
        if condition.ok != ok || condition.message != message {
            condition.ok = ok;
            message.clone_into(&mut condition.message);
            remedy.clone_into(&mut condition.remedy);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
