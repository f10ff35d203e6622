//! `/ready`: whether the gateway can keep its promises now, condition by condition.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use engine::names::Queue;
use engine::{Engine, Halt};
use gost::Certificate;
use jiff::Timestamp;
use serde::Serialize;

use crate::archive::Archive;
use crate::links::Links;
use engine::units::show_seconds;

/// How long before its end the gateway's certificate is called for.
const WARN_BEFORE: i64 = 30 * 86_400;

/// Who is asked.
pub(crate) struct Readiness {
    engine: Engine,
    certificate: Certificate,
    links: Links,
    archive: Option<Archive>,
    test_clock: Option<String>,
    since: Mutex<HashMap<String, (bool, Timestamp)>>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Every condition but the upstreams', the archive's and `restored` is fulfilled.
    pub(crate) ready: bool,
    /// In the order of the contract.
    pub(crate) conditions: Vec<Condition>,
    /// The clock of `serve --test-clock`, which no production gateway has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) test_clock: Option<String>,
}

/// One condition.
#[derive(Debug, Serialize)]
pub(crate) struct Condition {
    /// `journal`, `spool`, `index`, `disk`, `key`, `clock`, `upstream/NAME`, `restored`, `archive`.
    pub(crate) name: String,
    /// Whether it is fulfilled.
    pub(crate) ok: bool,
    /// Since when it is as it is.
    pub(crate) since: Timestamp,
    /// What is so.
    pub(crate) message: String,
    /// What a person can do.
    pub(crate) remedy: String,
}

impl Readiness {
    /// Asks these from now on.
    pub(crate) fn new(
        engine: Engine,
        certificate: Certificate,
        (links, archive): (Links, Option<Archive>),
        test_clock: Option<String>,
    ) -> Self {
        Self {
            engine,
            certificate,
            links,
            archive,
            test_clock,
            since: Mutex::default(),
        }
    }

    /// How things are now.
    pub(crate) fn report(&self) -> Report {
        let mut conditions: Vec<_> = self.engine.conditions().into_iter().map(Condition::from).collect();
        let clock = conditions
            .iter()
            .position(|condition| condition.name == "clock")
            .unwrap_or(conditions.len());
        conditions.insert(clock, self.key());
        let ready = conditions.iter().all(|condition| condition.ok);
        let registry = self.engine.registry();
        conditions.extend(self.links.iter().map(|link| {
            let paused = registry.halts().paused(&Queue::Upstream(link.name().clone()));
            Condition::from(link.status()).held_by(paused)
        }));
        conditions.extend(self.engine.upstream_hold().map(|hold| Condition {
            name: "restored".to_owned(),
            ok: false,
            since: hold.since,
            message: match hold.gap {
                None => "the store was restored from a backup: nothing goes to upstreams".to_owned(),
                Some(last) => format!(
                    "records {} to {last} of the journal are missing, and what they said of messages to upstreams: nothing \
                     goes there",
                    hold.through + 1
                ),
            },
            remedy: match hold.gap {
                None => "Make sure that the old gateway does not run, then: rsmev backup resume-upstream.",
                Some(_) => "Restore the records if they can be had; if not: rsmev backup resume-upstream.",
            }
            .to_owned(),
        }));
        conditions.extend(self.archive.as_ref().map(|archive| self.archive(archive)));
        Report {
            ready,
            conditions,
            test_clock: self.test_clock.clone(),
        }
    }

    /// A warning, as the upstreams': the gateway keeps its promises without an archive.
    fn archive(&self, archive: &Archive) -> Condition {
        let status = archive.status();
        let (ok, message, remedy) = match status.failing {
            Some((_, why)) => {
                let message = format!("{} journal segments wait to be shipped: {why}", status.waiting);
                (
                    false,
                    message,
                    "See archive.command; it is tried again until it succeeds.",
                )
            }
            None => (
                true,
                format!("{} journal segments wait to be shipped", status.waiting),
                "",
            ),
        };
        self.condition("archive".to_owned(), ok, message, remedy)
    }

    fn key(&self) -> Condition {
        let now = self.engine.now().as_second();
        let left = self.certificate.not_after() - now;
        let days = show_seconds(u64::try_from(left.abs()).unwrap_or(0));
        let (ok, message, remedy) = if now < self.certificate.not_before() {
            (
                false,
                "the gateway's certificate is not valid yet".to_owned(),
                "Check the clock, or wait.",
            )
        } else if left < 0 {
            let remedy = "Order a new certificate (`rsmev keys csr`), put it into keys.certificate and restart.";
            (false, format!("the gateway's certificate expired {days} ago"), remedy)
        } else if left < WARN_BEFORE {
            (
                true,
                format!("the gateway's certificate expires in {days}"),
                "Order a new certificate (`rsmev keys csr`).",
            )
        } else {
            (true, format!("the gateway's certificate is valid for {days}"), "")
        };
        self.condition("key".to_owned(), ok, message, remedy)
    }

    fn condition(&self, name: String, ok: bool, message: String, remedy: &str) -> Condition {
        let now = self.engine.now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let state = since.entry(name.clone()).or_insert((ok, now));
        if state.0 != ok {
            *state = (ok, now);
        }
        Condition {
            name,
            ok,
            since: state.1,
            message,
            remedy: remedy.to_owned(),
        }
    }
}

impl Condition {
    /// A person keeps messages from going there, however the link is.
    fn held_by(self, paused: Option<&Halt>) -> Self {
        let Some(paused) = paused else { return self };
        let pause = format!("nothing is sent there: its queue is paused {paused}");
        let resume = format!("when it may go on: rsmev queue resume {}", self.name);
        let (since, message, remedy) = match self.ok {
            true => (paused.since, pause, resume),
            false => (
                self.since,
                format!("{}; {pause}", self.message),
                format!("{}; {resume}", self.remedy),
            ),
        };
        Self {
            ok: false,
            since,
            message,
            remedy,
            ..self
        }
    }
}

impl From<forward::LinkStatus> for Condition {
    fn from(link: forward::LinkStatus) -> Self {
        let message = if link.up && link.message.is_empty() {
            "the link works".to_owned()
        } else {
            link.message
        };
        let name = format!("upstream/{}", link.name);
        Self {
            name,
            ok: link.up,
            since: link.since,
            message,
            remedy: link.remedy.to_owned(),
        }
    }
}

impl From<engine::Condition> for Condition {
    fn from(condition: engine::Condition) -> Self {
        Self {
            name: condition.name.to_owned(),
            ok: condition.ok,
            since: condition.since,
            message: condition.message,
            remedy: condition.remedy,
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::event::Person;

    use super::*;

    #[test]
    fn a_paused_upstream_is_told_beside_what_is_wrong_with_its_link() {
        let paused = Halt {
            since: "2026-11-22T10:00:00Z".parse().unwrap(),
            by: Person {
                name: "anna".to_owned(),
                uid: 1001,
            },
            reason: "the bus is being moved".to_owned(),
        };
        let link = |ok| Condition {
            name: "upstream/federal".to_owned(),
            ok,
            since: "2026-11-21T10:00:00Z".parse().unwrap(),
            message: "the link is like that".to_owned(),
            remedy: "look at it".to_owned(),
        };
        let told =
            "nothing is sent there: its queue is paused since 2026-11-22T10:00:00Z by anna: the bus is being moved";
        let works = link(true).held_by(Some(&paused));
        assert_eq!(
            (works.ok, works.since, works.message.as_str()),
            (false, paused.since, told)
        );
        assert!(works.remedy.contains("rsmev queue resume upstream/federal"));
        let down = link(false).held_by(Some(&paused));
        assert_eq!((down.ok, down.since), (false, link(false).since));
        assert_eq!(down.message, format!("the link is like that; {told}"));
        assert!(down.remedy.starts_with("look at it; "));
        assert!(link(true).held_by(None).ok);
    }
}
