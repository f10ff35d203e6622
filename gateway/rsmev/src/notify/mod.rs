//! Telling people and programs of incidents (R15): by mail and by webhooks, each channel for itself.
//!
//! What is still to be told follows from the journal: an incident's phase that no record says to be delivered through a
//! channel is due, for as long as the term lasts. So a notice is delivered at least once, whatever the gateway goes through;
//! twice only if the gateway ended between the delivery and its record.

mod mail;
mod message;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::event::{NoticeResult, Phase};
use engine::{Engine, IncidentStatus, Worker};
use jiff::{SignedDuration, Timestamp};
use logbook::log;
use tokio::sync::watch;

use crate::credentials;
use crate::logged;
use crate::settings::{self, Mail, Node, Settings, Webhook};
use message::Notice;

/// Longest pause between two attempts, as a multiple of the first.
const LONGEST_PAUSE: u32 = 100;
/// Without news it is looked again after this time, for what could not be journaled.
const LOOK: Duration = Duration::from_secs(30);
/// Longest password or token that is read, in octets.
const SECRET: u64 = 4096;

/// Values of the label `outcome`.
pub(crate) const OUTCOMES: [&str; 3] = ["delivered", "failed", "gave_up"];

/// Why a notice was not delivered.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody heard of it: others would fail alike.
    Unreachable(String),
    /// This one was not taken.
    Refused(String),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Unreachable(why) | Self::Refused(why)) = self;
        f.write_str(why)
    }
}

/// A way to tell.
#[derive(Debug, Clone)]
pub(crate) enum Channel {
    Mail(Mail),
    Webhook(Webhook),
}

impl Channel {
    /// All that are configured.
    pub(crate) fn configured(settings: &settings::Notify) -> Vec<Self> {
        let mail = settings.mail.clone().map(Self::Mail);
        mail.into_iter()
            .chain(settings.webhooks.iter().cloned().map(Self::Webhook))
            .collect()
    }

    /// Its name in the journal and in metrics.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Mail(_) => "mail".to_owned(),
            Self::Webhook(webhook) => format!("webhook/{}", webhook.name),
        }
    }

    /// Where it leads, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Mail(mail) => format!("{} through {}:{}", mail.to.join(", "), mail.server, mail.port),
            Self::Webhook(webhook) => webhook.url.clone(),
        }
    }

    /// Sends a test.
    pub(crate) async fn test(&self, node: &Node) -> Result<(), Failed> {
        match self {
            Self::Mail(settings) => mail::send(settings, message::test_mail(node)).await,
            Self::Webhook(settings) => webhook::send(settings, &message::test_json(node, Timestamp::now())).await,
        }
    }

    /// How many of the first notices go at once.
    fn batch(&self, due: usize) -> usize {
        match self {
            Self::Mail(_) => due,
            Self::Webhook(_) => due.min(1),
        }
    }

    async fn send(&self, node: &Node, notices: &[Notice]) -> Result<(), Failed> {
        match self {
            Self::Mail(settings) => mail::send(settings, message::mail(node, notices)).await,
            Self::Webhook(settings) => match notices {
                [notice, ..] => webhook::send(settings, &notice.json(node)).await,
                [] => Ok(()),
            },
        }
    }
}

/// What every channel has delivered, failed to deliver, and given up since the start; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<BTreeMap<String, [AtomicU64; 3]>>);

impl Counts {
    /// Channel, outcome and number.
    pub(crate) fn all(&self) -> Vec<(&str, &'static str, u64)> {
        let mut all = Vec::new();
        for (channel, counts) in self.0.iter() {
            for (outcome, count) in OUTCOMES.into_iter().zip(counts) {
                all.push((channel.as_str(), outcome, count.load(Ordering::Relaxed)));
            }
        }
        all
    }

    fn add(&self, channel: &str, outcome: usize) {
        if let Some(counts) = self.0.get(channel) {
            counts[outcome].fetch_add(1, Ordering::Relaxed);
        }
    }
}

const DELIVERED: usize = 0;
const FAILED: usize = 1;
const GAVE_UP: usize = 2;

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
    /// Attempts of what is due.
    tries: BTreeMap<Key, u32>,
}

/// What a round came to.
enum Round {
    /// Nothing was to be told.
    Idle,
    /// All that was to be told is delivered.
    Done,
    /// Something is still to be told.
    Failed,
}

impl Notifier {
    /// Until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        loop {
            self.news.mark_unchanged();
            match self.round().await {
                Round::Idle => {
                    failures = 0;
                    // Without news, or without those who bring them, it is looked again later.
                    if let Ok(Err(_)) = tokio::time::timeout(LOOK, self.news.changed()).await {
                        tokio::time::sleep(LOOK).await;
                    }
                }
                Round::Done => {
                    failures = 0;
                    if let Channel::Mail(_) = self.channel {
                        tokio::time::sleep(self.settings.collect).await;
                    }
                }
                Round::Failed => {
                    tokio::time::sleep(back_off(self.settings.retry, failures)).await;
                    failures += 1;
                }
            }
        }
    }

    async fn round(&mut self) -> Round {
        let now = self.engine.now();
        let (due, over) = self.due(now);
        for notice in over {
            let key = (notice.incident.id, notice.phase);
            log!(
                logged::NOTICE_GIVEN_UP,
                incident = key.0,
                channel = self.name,
                "a notice was not delivered within its term and is given up"
            );
            self.counts.add(&self.name, GAVE_UP);
            self.settle(key, false).await;
        }
        let keys: BTreeSet<Key> = due.iter().map(|notice| (notice.incident.id, notice.phase)).collect();
        self.tries.retain(|key, _| keys.contains(key));
        self.sent.retain(|key| keys.contains(key));
        for key in self.sent.clone() {
            self.settle(key, true).await;
        }
        let mut waiting: Vec<Notice> = due;
        waiting.retain(|notice| !self.sent.contains(&(notice.incident.id, notice.phase)));
        let mut came_to = Round::Idle;
        while !waiting.is_empty() {
            let later = waiting.split_off(self.channel.batch(waiting.len()));
            match self.deliver(std::mem::replace(&mut waiting, later)).await {
                Ok(()) => {
                    if let Round::Idle = came_to {
                        came_to = Round::Done;
                    }
                }
                // Others may be taken.
                Err(Failed::Refused(_)) => came_to = Round::Failed,
                Err(Failed::Unreachable(_)) => return Round::Failed,
            }
        }
        came_to
    }

    /// What is to be told, oldest first, and what was tried in vain until its term was over.
    fn due(&self, now: Timestamp) -> (Vec<Notice>, Vec<Notice>) {
        let term = SignedDuration::try_from(self.settings.term).unwrap_or(SignedDuration::MAX);
        let mut untold = untold(&self.engine.opened_incidents(), &self.name);
        untold.sort_by_key(|notice| (notice.at(), notice.incident.id));
        let (due, over): (Vec<_>, Vec<_>) = untold
            .into_iter()
            .partition(|notice| now.duration_since(notice.at()) < term);
        let tried = |notice: &Notice| self.tries.contains_key(&(notice.incident.id, notice.phase));
        (due, over.into_iter().filter(tried).collect())
    }

    async fn deliver(&mut self, notices: Vec<Notice>) -> Result<(), Failed> {
        let keys: Vec<Key> = notices
            .iter()
            .map(|notice| (notice.incident.id, notice.phase))
            .collect();
        for key in &keys {
            *self.tries.entry(*key).or_default() += 1;
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
        match &sent {
            Ok(()) => {
                self.counts.add(&self.name, DELIVERED);
                self.sent.extend(&keys);
                for key in keys {
                    self.settle(key, true).await;
                }
            }
            Err(why) => {
                self.counts.add(&self.name, FAILED);
                log!(logged::NOTICE_FAILED, channel = self.name, %why, "a notice was not delivered; it is tried again");
            }
        }
        sent
    }

    /// Journals what became of a notice. If that cannot be done, the next round does it, and does not send again.
    async fn settle(&mut self, key: Key, delivered: bool) {
        let notice = NoticeResult {
            phase: key.1,
            channel: self.name.clone(),
            delivered,
            tries: self.tries.get(&key).copied().unwrap_or(0),
        };
        match self.engine.incident_notified(key.0, notice).await {
            Ok(()) => {
                self.sent.remove(&key);
                self.tries.remove(&key);
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

/// A password or token from its file, without the end of its line.
fn secret(file: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let shown = file.display();
    let mut text = String::new();
    std::fs::File::open(credentials::place(file))
        .and_then(|opened| opened.take(SECRET).read_to_string(&mut text))
        .map_err(|error| format!("{shown}: {error}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{shown}: it is empty")),
        secret => Ok(secret.to_owned()),
    }
}

/// What is wrong with a channel's files, before anything is sent.
pub(crate) fn readable(file: &Path) -> Result<(), String> {
    secret(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::message::tests::notice;
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

    #[test]
    fn a_secret_is_the_file_without_the_end_of_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "pass word \r\n").unwrap();
        assert_eq!(secret(&file).unwrap(), "pass word ");
        std::fs::write(&file, "\n").unwrap();
        assert!(secret(&file).unwrap_err().contains("it is empty"));
        assert!(secret(&dir.path().join("nosuch")).is_err());
    }
}
