//! `/ready`: whether the gateway can keep its promises now, condition by condition.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use engine::names::Queue;
use engine::{Engine, Halt, UpstreamHold};
use gost::Certificate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::links::Links;
use engine::units::{show_seconds, show_seconds_ru};

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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Every condition but the upstreams', the archive's and `restored` is fulfilled.
    pub(crate) ready: bool,
    /// In the order of the contract.
    pub(crate) conditions: Vec<Condition>,
    /// The clock of `serve --test-clock`, which no production gateway has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_clock: Option<String>,
}

/// One condition.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// What is so, in Russian.
    #[serde(default)]
    pub(crate) message_ru: String,
    /// What a person can do, in Russian.
    #[serde(default)]
    pub(crate) remedy_ru: String,
}

/// A text in English and in Russian.
type Both = [String; 2];

fn both(english: &str, russian: &str) -> Both {
    [english.to_owned(), russian.to_owned()]
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
        conditions.extend(self.engine.upstream_hold().as_ref().map(restored));
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
        let waiting = status.waiting;
        let (ok, message, remedy) = match status.failing {
            Some((_, why)) => (
                false,
                [
                    format!("{waiting} journal segments wait to be shipped: {why}"),
                    format!("сегментов журнала ждут отправки в архив: {waiting}; {why}"),
                ],
                both(
                    "See archive.command; it is tried again until it succeeds.",
                    "Проверьте archive.command; попытки повторяются, пока не удастся.",
                ),
            ),
            None => (
                true,
                [
                    format!("{waiting} journal segments wait to be shipped"),
                    format!("сегментов журнала ждут отправки в архив: {waiting}"),
                ],
                both("", ""),
            ),
        };
        self.condition("archive".to_owned(), ok, message, remedy)
    }

    fn key(&self) -> Condition {
        let now = self.engine.now().as_second();
        let left = self.certificate.not_after() - now;
        let seconds = u64::try_from(left.abs()).unwrap_or(0);
        let (days, days_ru) = (show_seconds(seconds), show_seconds_ru(seconds));
        let (ok, message, remedy) = if now < self.certificate.not_before() {
            (
                false,
                both(
                    "the gateway's certificate is not valid yet",
                    "сертификат шлюза ещё не действует",
                ),
                both("Check the clock, or wait.", "Проверьте часы или подождите."),
            )
        } else if left < 0 {
            (
                false,
                [
                    format!("the gateway's certificate expired {days} ago"),
                    format!("срок действия сертификата шлюза истёк {days_ru} назад"),
                ],
                both(
                    "Order a new certificate (`rsmev keys csr`), put it into keys.certificate and restart.",
                    "Закажите новый сертификат (`rsmev keys csr`), укажите его в keys.certificate и перезапустите шлюз.",
                ),
            )
        } else if left < WARN_BEFORE {
            (
                true,
                [
                    format!("the gateway's certificate expires in {days}"),
                    format!("срок действия сертификата шлюза истекает через {days_ru}"),
                ],
                both(
                    "Order a new certificate (`rsmev keys csr`).",
                    "Закажите новый сертификат (`rsmev keys csr`).",
                ),
            )
        } else {
            let message = [
                format!("the gateway's certificate is valid for {days}"),
                format!("сертификат шлюза действует ещё {days_ru}"),
            ];
            (true, message, both("", ""))
        };
        self.condition("key".to_owned(), ok, message, remedy)
    }

    fn condition(&self, name: String, ok: bool, message: Both, remedy: Both) -> Condition {
        let now = self.engine.now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let state = since.entry(name.clone()).or_insert((ok, now));
        if state.0 != ok {
            *state = (ok, now);
        }
        let ([message, message_ru], [remedy, remedy_ru]) = (message, remedy);
        Condition {
            name,
            ok,
            since: state.1,
            message,
            remedy,
            message_ru,
            remedy_ru,
        }
    }
}

impl Condition {
    /// A person keeps messages from going there, however the link is.
    fn held_by(self, paused: Option<&Halt>) -> Self {
        let Some(paused) = paused else { return self };
        let resume = format!("rsmev queue resume {}", self.name);
        let pause = [
            format!("nothing is sent there: its queue is paused {paused}"),
            format!("туда ничего не уходит: очередь приостановлена {paused}"),
        ];
        let resume = [
            format!("when it may go on: {resume}"),
            format!("когда можно продолжать: {resume}"),
        ];
        let (since, [message, message_ru], [remedy, remedy_ru]) = match self.ok {
            true => (paused.since, pause, resume),
            false => {
                let ([pause, pause_ru], [resume, resume_ru]) = (pause, resume);
                (
                    self.since,
                    [
                        format!("{}; {pause}", self.message),
                        format!("{}; {pause_ru}", self.message_ru),
                    ],
                    [
                        format!("{}; {resume}", self.remedy),
                        format!("{}; {resume_ru}", self.remedy_ru),
                    ],
                )
            }
        };
        Self {
            ok: false,
            since,
            message,
            remedy,
            message_ru,
            remedy_ru,
            ..self
        }
    }
}

/// Nothing goes to upstreams.
fn restored(hold: &UpstreamHold) -> Condition {
    let [message, message_ru] = match hold.gap {
        None => both(
            "the store was restored from a backup: nothing goes to upstreams",
            "хранилище восстановлено из резервной копии: на вышестоящие узлы ничего не уходит",
        ),
        Some(last) => {
            let first = hold.through + 1;
            [
                format!(
                    "records {first} to {last} of the journal are missing, and what they said of messages to upstreams: nothing \
                     goes there"
                ),
                format!(
                    "в журнале нет записей с {first} по {last} и сказанного в них о сообщениях вышестоящим узлам: туда ничего не \
                     уходит"
                ),
            ]
        }
    };
    let [remedy, remedy_ru] = match hold.gap {
        None => both(
            "Make sure that the old gateway does not run, then: rsmev backup resume-upstream.",
            "Убедитесь, что прежний шлюз не работает, затем: rsmev backup resume-upstream.",
        ),
        Some(_) => both(
            "Restore the records if they can be had; if not: rsmev backup resume-upstream.",
            "Восстановите записи, если они где-то есть; если нет: rsmev backup resume-upstream.",
        ),
    };
    Condition {
        name: "restored".to_owned(),
        ok: false,
        since: hold.since,
        message,
        remedy,
        message_ru,
        remedy_ru,
    }
}

impl From<forward::LinkStatus> for Condition {
    fn from(link: forward::LinkStatus) -> Self {
        let (message, message_ru) = if link.up && link.message.is_empty() {
            ("the link works".to_owned(), "связь работает".to_owned())
        } else {
            (link.message, link.message_ru)
        };
        let name = format!("upstream/{}", link.name);
        Self {
            name,
            ok: link.up,
            since: link.since,
            message,
            remedy: link.remedy.to_owned(),
            message_ru,
            remedy_ru: link.remedy_ru.to_owned(),
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
            message_ru: condition.message_ru,
            remedy_ru: condition.remedy_ru,
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
            message_ru: String::new(),
            remedy_ru: String::new(),
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
