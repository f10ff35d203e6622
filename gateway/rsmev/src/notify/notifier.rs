//! Tells of incidents through one channel until each notice is delivered, or its term is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::event::{NoticeResult, Phase};
use engine::{Engine, IncidentStatus, Worker};
use jiff::{SignedDuration, Timestamp};
use logbook::log;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::message::Notice;
use super::{Channel, Counts, DELIVERED, DeadAddress, FAILED, Failed, GAVE_UP, clean};
use crate::logged;
use crate::settings::{self, Node, Settings};

/// Longest pause between two attempts, as a multiple of the first.
const LONGEST_PAUSE: u32 = 100;
/// Without news it is looked again after this time, for what could not be journaled.
const LOOK: Duration = Duration::from_secs(30);
/// While a channel is out of reach, news are tried at once, but only so often.
const EARLY: Duration = Duration::from_secs(5);
/// Longest pause after the calls of a webhook.
const BREATH: Duration = Duration::from_secs(1);

/// One for each configured channel, and what they count.
pub(crate) fn notifiers(settings: &Settings, engine: &Engine, news: &watch::Sender<u64>) -> (Vec<Notifier>, Counts) {
    let channels = Channel::configured(&settings.notify);
    let counters = channels.iter().map(|channel| (channel.name(), Default::default()));
    let counts = Counts(Arc::new(counters.collect()));
    let notifier = |channel: Channel| Notifier {
        name: channel.name(),
        channel,
        node: settings.node.clone(),
        settings: settings.notify.clone(),
        engine: engine.clone(),
        news: news.subscribe(),
        counts: counts.clone(),
        sent: BTreeSet::new(),
        settled: BTreeSet::new(),
        tries: BTreeMap::new(),
    };
    (channels.into_iter().map(notifier).collect(), counts)
}

type Key = (u64, Phase);

/// Tells through one channel.
pub(crate) struct Notifier {
    name: String,
    channel: Channel,
    node: Node,
    settings: settings::Notify,
    engine: Engine,
    news: watch::Receiver<u64>,
    counts: Counts,
    /// Delivered, and not journaled yet.
    sent: BTreeSet<Key>,
    /// Journaled, and told no more, though the store may not remember it.
    settled: BTreeSet<Key>,
    /// Attempts of what is due.
    tries: BTreeMap<Key, Tries>,
}

/// Attempts of one notice.
#[derive(Debug, Default)]
struct Tries {
    all: u32,
    /// Those that were answered with a refusal of this notice.
    refused: u32,
    /// Not before this, because it was refused.
    next: Option<Instant>,
}

/// What a round is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// All that is to be told now.
    All,
    /// What was never tried.
    News,
}

/// What a round came to.
enum Round {
    /// Nothing was to be told.
    Idle,
    /// All of it was taken or refused.
    Done,
    /// Nobody heard.
    Failed,
}

impl Notifier {
    /// Until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut failures: u32 = 0;
        loop {
            self.news.mark_unchanged();
            match self.round(About::All).await {
                Round::Idle => {
                    failures = 0;
                    // Without news it is looked again later.
                    let look = Instant::now() + LOOK;
                    let next = self.tries.values().filter_map(|tries| tries.next).min();
                    self.news_until(next.map_or(look, |next| next.min(look))).await;
                }
                Round::Done => {
                    failures = 0;
                    sleep(self.breath()).await;
                }
                Round::Failed if self.back_in_reach(back_off(self.settings.retry, failures)).await => {
                    failures = 0;
                    sleep(self.breath()).await;
                }
                Round::Failed => failures = failures.saturating_add(1),
            }
        }
    }

    /// The pause after something was told.
    fn breath(&self) -> Duration {
        match self.channel {
            Channel::Mail(_) => self.settings.collect,
            Channel::Webhook(_) => self.settings.retry.min(BREATH),
        }
    }

    /// Whether there are news before the time is over.
    async fn news_until(&mut self, until: Instant) -> bool {
        match timeout_at(until, self.news.changed()).await {
            Ok(Ok(())) => true,
            Ok(Err(_)) => {
                // Those who bring them are gone.
                sleep_until(until).await;
                false
            }
            Err(_) => false,
        }
    }

    /// The pause after a failure. What happens meanwhile is tried once; whether that found somebody.
    async fn back_in_reach(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            sleep_until(until.min(Instant::now() + EARLY)).await;
            if Instant::now() >= until || !self.news_until(until).await {
                return false;
            }
            if let Round::Done = self.round(About::News).await {
                return true;
            }
        }
    }

    async fn round(&mut self, about: About) -> Round {
        let now = self.engine.now();
        let (due, over) = self.due(now);
        for notice in over {
            let key = notice.key();
            log!(
                logged::NOTICE_GIVEN_UP,
                incident = key.0,
                channel = self.name,
                "a notice was not delivered within its term and is given up"
            );
            self.counts.add(&self.name, GAVE_UP);
            self.settle(key, false).await;
        }
        let keys: BTreeSet<Key> = due.iter().map(Notice::key).collect();
        self.tries.retain(|key, _| keys.contains(key));
        self.sent.retain(|key| keys.contains(key));
        for key in self.sent.clone() {
            self.settle(key, true).await;
        }
        let begun = Instant::now();
        let mut waiting: Vec<Notice> = due;
        waiting.retain(|notice| {
            let key = notice.key();
            let its_time = match self.tries.get(&key) {
                None => true,
                Some(tries) => about == About::All && tries.next.is_none_or(|next| next <= begun),
            };
            its_time && !self.sent.contains(&key) && !self.settled.contains(&key)
        });
        let mut came_to = Round::Idle;
        while !waiting.is_empty() {
            let later = waiting.split_off(self.channel.batch(waiting.len()));
            match self.deliver(std::mem::replace(&mut waiting, later)).await {
                // Others may be taken.
                Ok(()) | Err(Failed::Refused(_)) => came_to = Round::Done,
                Err(Failed::Unreachable(_)) => return Round::Failed,
            }
        }
        came_to
    }

    /// What is to be told, oldest first, and what was tried in vain until its term was over.
    fn due(&mut self, now: Timestamp) -> (Vec<Notice>, Vec<Notice>) {
        let term = SignedDuration::try_from(self.settings.term).unwrap_or(SignedDuration::MAX);
        let mut untold = untold(&self.engine.opened_incidents(), &self.name);
        let keys: BTreeSet<Key> = untold.iter().map(Notice::key).collect();
        self.settled.retain(|key| keys.contains(key));
        untold.retain(|notice| !self.settled.contains(&notice.key()));
        untold.sort_by_key(|notice| (notice.at(), notice.incident.id));
        let (due, over): (Vec<_>, Vec<_>) = untold
            .into_iter()
            .partition(|notice| now.duration_since(notice.at()) < term);
        let tried = |notice: &Notice| self.tries.contains_key(&notice.key());
        (due, over.into_iter().filter(tried).collect())
    }

    async fn deliver(&mut self, notices: Vec<Notice>) -> Result<(), Failed> {
        let keys: Vec<Key> = notices.iter().map(Notice::key).collect();
        for key in &keys {
            let tries = self.tries.entry(*key).or_default();
            tries.all = tries.all.saturating_add(1);
            tries.next = None;
        }
        let (channel, node) = (self.channel.clone(), self.node.clone());
        let mut sending = tokio::task::JoinSet::new();
        sending.spawn(async move { channel.send(&node, &notices).await });
        let sent = match sending.join_next().await {
            Some(Ok(sent)) => sent,
            _ => {
                self.engine.worker_panicked(Worker::Incidents, "telling of an incident");
                Err(Failed::Unreachable("the attempt panicked".to_owned()))
            }
        };
        let why = match sent {
            Ok(dead) => {
                for DeadAddress { address, why } in &dead {
                    let (address, why) = (clean(address), clean(why));
                    log!(
                        logged::NOTICE_ADDRESS_REFUSED,
                        channel = self.name,
                        address,
                        why,
                        "the mail server took a notice for others, but not for this address"
                    );
                }
                self.counts.add(&self.name, DELIVERED);
                self.sent.extend(&keys);
                for key in keys {
                    self.settle(key, true).await;
                }
                return Ok(());
            }
            Err(why) => why,
        };
        self.counts.add(&self.name, FAILED);
        log!(logged::NOTICE_FAILED, channel = self.name, %why, "a notice was not delivered; it is tried again");
        if let Failed::Refused(_) = why {
            for key in keys {
                let tries = self.tries.entry(key).or_default();
                tries.next = Some(Instant::now() + back_off(self.settings.retry, tries.refused));
                tries.refused = tries.refused.saturating_add(1);
            }
        }
        Err(why)
    }

    /// Journals what became of a notice. If that cannot be done, the next round does it, and does not send again.
    async fn settle(&mut self, key: Key, delivered: bool) {
        let notice = NoticeResult {
            phase: key.1,
            channel: self.name.clone(),
            delivered,
            tries: self.tries.get(&key).map_or(0, |tries| tries.all),
        };
        match self.engine.incident_notified(key.0, notice).await {
            Ok(()) => {
                self.sent.remove(&key);
                self.tries.remove(&key);
                self.settled.insert(key);
            }
            Err(refusal) => {
                log!(logged::NOTICE_NOT_JOURNALED, incident = key.0, %refusal, "what became of a notice was not journaled");
            }
        }
    }
}

/// What was not told through a channel.
fn untold(incidents: &[IncidentStatus], channel: &str) -> Vec<Notice> {
    let phases = |incident: &IncidentStatus| {
        let closed = incident.closed.as_ref().map(|_| Phase::Closed);
        std::iter::once(Phase::Opened).chain(closed)
    };
    let untold = |incident: &IncidentStatus| -> Vec<Notice> {
        phases(incident)
            .filter(|phase| !incident.is_told(*phase, channel))
            .map(|phase| Notice {
                incident: incident.clone(),
                phase,
            })
            .collect()
    };
    incidents.iter().flat_map(untold).collect()
}

/// The pause after so many failures before this one.
fn back_off(first: Duration, failures: u32) -> Duration {
    first * 2_u32.saturating_pow(failures).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::notice;
    use super::*;

    #[test]
    fn pauses_double_up_to_a_hundred_times_the_first() {
        let pauses: Vec<u64> = [0, 1, 2, 6, 7, 40]
            .map(|failures| back_off(Duration::from_secs(5), failures).as_secs())
            .into();
        assert_eq!(pauses, [5, 10, 20, 320, 500, 500]);
    }

    #[test]
    fn each_phase_is_told_once_through_each_channel() {
        let mut incident = notice(7, Phase::Closed).incident;
        let phases = |incident: &IncidentStatus, channel: &str| -> Vec<Phase> {
            let untold = untold(std::slice::from_ref(incident), channel);
            untold.into_iter().map(|notice| notice.phase).collect()
        };
        assert_eq!(phases(&incident, "mail"), [Phase::Opened, Phase::Closed]);
        incident.notices.push(engine::NoticeStatus {
            at: incident.opened_at,
            notice: NoticeResult {
                phase: Phase::Opened,
                channel: "mail".to_owned(),
                delivered: false,
                tries: 9,
            },
        });
        assert_eq!(
            phases(&incident, "mail"),
            [Phase::Closed],
            "what was given up is not tried again"
        );
        assert_eq!(phases(&incident, "webhook/a"), [Phase::Opened, Phase::Closed]);
        incident.closed = None;
        assert_eq!(phases(&incident, "mail"), []);
    }
}
