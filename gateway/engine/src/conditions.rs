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
    /// What is so, in Russian.
    pub message_ru: String,
    /// What a person can do about it, in Russian.
    pub remedy_ru: String,
}

/// What a person is told of a condition, in both languages. What an error says of itself stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// What is so.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: String,
    /// The first in Russian.
    pub(crate) message_ru: String,
    /// The second in Russian.
    pub(crate) remedy_ru: String,
}

impl Words {
    /// What is so, and what to do about it: each in English and in Russian.
    pub(crate) fn new(message: [impl Into<String>; 2], remedy: [impl Into<String>; 2]) -> Self {
        let ([message, message_ru], [remedy, remedy_ru]) = (message.map(Into::into), remedy.map(Into::into));
        Self {
            message,
            remedy,
            message_ru,
            remedy_ru,
        }
    }

    fn good() -> Self {
        Self::new(["ok", "в порядке"], ["", ""])
    }
}

/// The engine's own conditions.
#[derive(Debug)]
pub(crate) struct Conditions(Mutex<State>);

#[derive(Debug)]
struct State {
    all: Vec<Condition>,
    /// What stays bad until a person takes note of it.
    held: Option<(&'static str, Words)>,
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
            message: Words::good().message,
            remedy: Words::good().remedy,
            message_ru: Words::good().message_ru,
            remedy_ru: Words::good().remedy_ru,
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
            Some((held, words)) if held == name => self.set(name, false, words, now),
            _ => self.set(name, true, Words::good(), now),
        }
    }

    /// Something is wrong until it is [released](Self::release).
    pub(crate) fn hold(&self, name: &'static str, words: Words, now: Timestamp) {
        self.lock().held = Some((name, words));
        self.good(name, now);
    }

    /// Whether something is held.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().held.is_some()
    }

    /// A person has taken note of what was held.
    pub(crate) fn release(&self, now: Timestamp) {
        let held = self.lock().held.take();
        if let Some((name, _)) = held {
            self.good(name, now);
        }
    }

    /// Something is wrong; logged when it begins.
    pub(crate) fn bad(&self, name: &str, words: Words, now: Timestamp) {
        self.set(name, false, words, now);
    }

    fn set(&self, name: &str, ok: bool, words: Words, now: Timestamp) {
        let Words { message, remedy, .. } = &words;
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
        if condition.ok != ok || condition.message != *message {
            condition.ok = ok;
            condition.message = words.message;
            condition.remedy = words.remedy;
            condition.message_ru = words.message_ru;
            condition.remedy_ru = words.remedy_ru;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
