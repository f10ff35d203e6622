//! What the gateway's readiness depends on (DESIGN §11, `/ready`).

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

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
pub(crate) struct Conditions(Mutex<Vec<Condition>>);

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
        Self(Mutex::new([JOURNAL, SPOOL, INDEX, DISK, CLOCK].map(good).into()))
    }

    pub(crate) fn all(&self) -> Vec<Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All is well again.
    pub(crate) fn good(&self, name: &str, now: Timestamp) {
        self.set(name, true, "ok", "", now);
    }

    /// Something is wrong; logged when it begins.
    pub(crate) fn bad(&self, name: &str, message: &str, remedy: &str, now: Timestamp) {
        self.set(name, false, message, remedy, now);
    }

    fn set(&self, name: &str, ok: bool, message: &str, remedy: &str, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(condition) = all.iter_mut().find(|condition| condition.name == name) else {
            return;
        };
        if condition.ok != ok {
            condition.since = now;
            if ok {
                tracing::info!(condition = name, "in order again");
            } else {
                tracing::error!(condition = name, message, remedy, "not in order");
            }
        }
        if condition.ok != ok || condition.message != message {
            condition.ok = ok;
            message.clone_into(&mut condition.message);
            remedy.clone_into(&mut condition.remedy);
        }
    }
}
