//! Incidents that last (R15): every few seconds the rules look at what the gateway knows; what is wrong for long enough
//! is opened, what has been over for a while is closed. Both are events of the journal, and [`crate::notify`] tells of them.

mod observation;
mod rates;
pub(crate) mod rule;
mod rules;
mod standing;

use std::sync::{Arc, Mutex, PoisonError};

use engine::event::{Affected, OpenedIncident};
use engine::names::{Mnemonic, Party, Queue, UpstreamName};
use engine::{Engine, IncidentStatus, Worker};
use jiff::Timestamp;
use logbook::log;
use tokio::sync::watch;

pub(crate) use observation::Sources;
use observation::{Observation, Observer};
use rule::Rule;
use rules::Finding;
use standing::{Change, Standing};

use crate::logged;
use crate::settings;

/// Looks, and opens and closes what follows.
pub(crate) struct Watch {
    engine: Engine,
    settings: settings::Incidents,
    upstreams: Vec<UpstreamName>,
    standing: Standing,
    /// Counts changes, for those who tell of them.
    news: watch::Sender<u64>,
}

impl Watch {
    pub(crate) fn new(engine: Engine, settings: &settings::Settings, news: watch::Sender<u64>) -> Self {
        let incidents = settings.incidents.clone();
        Self {
            engine,
            standing: Standing::new(rules::term(incidents.close_after)),
            settings: incidents,
            upstreams: settings
                .upstreams
                .iter()
                .map(|upstream| upstream.name.clone())
                .collect(),
            news,
        }
    }

    /// Until it is dropped. A look that panics is told, and the next one goes on.
    pub(crate) async fn run(mut self, sources: Sources) {
        let observer = Arc::new(Mutex::new(Observer::new(sources)));
        loop {
            let observer = Arc::clone(&observer);
            let look = move || observer.lock().unwrap_or_else(PoisonError::into_inner).look();
            match tokio::task::spawn_blocking(look).await {
                Ok(seen) => self.follow(&seen).await,
                Err(_) => self.engine.worker_panicked(Worker::Incidents, "looking for incidents"),
            }
            tokio::time::sleep(self.settings.look).await;
        }
    }

    /// Opens and closes what follows from what was seen. What cannot be journaled now follows from the next look, too.
    async fn follow(&mut self, seen: &Observation) {
        let found = rules::find(seen, &self.settings);
        let mut open = self.engine.opened_incidents();
        open.retain(|incident| incident.closed.is_none());
        for change in self.standing.changes(seen.now, &found, &open) {
            let done = match change {
                Change::Open(finding) => {
                    let opened = opened(finding, &self.engine, &self.upstreams);
                    log!(
                        logged::INCIDENT_OPENED,
                        rule = opened.rule,
                        subject = opened.subject,
                        text = opened.text,
                        "an incident begins"
                    );
                    self.engine.open_incident(opened).await.map(drop)
                }
                Change::Close(incident, since) => {
                    let text = closing(incident, since);
                    let opened = &incident.opened;
                    log!(
                        logged::INCIDENT_CLOSED,
                        incident = incident.id,
                        rule = opened.rule,
                        subject = opened.subject,
                        "an incident is over"
                    );
                    let rule = Rule::find(&opened.rule);
                    let affected = rule.map(|rule| affected(rule, &opened.subject, &self.engine, &self.upstreams));
                    let close = self
                        .engine
                        .close_incident(incident.id, text, affected.unwrap_or_default());
                    close.await
                }
            };
            match done {
                Ok(()) => self.news.send_modify(|count| *count += 1),
                Err(refusal) => {
                    log!(logged::INCIDENT_NOT_JOURNALED, %refusal, "an incident was not journaled; the next look tries again");
                }
            }
        }
    }
}

fn opened(finding: &Finding, engine: &Engine, upstreams: &[UpstreamName]) -> OpenedIncident {
    let known = affected(finding.rule, &finding.subject, engine, upstreams);
    OpenedIncident {
        rule: finding.rule.as_str().to_owned(),
        subject: finding.subject.clone(),
        severity: finding.rule.severity(),
        text: finding.text.replace(char::is_control, " "),
        affected: match finding.names.is_empty() {
            true => known,
            false => Affected::of(finding.names.iter().cloned()),
        },
    }
}

fn closing(incident: &IncidentStatus, since: Timestamp) -> String {
    format!(
        "not found any more since {}; it began with: {}",
        since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        incident.opened.text
    )
}

/// Whom an incident touches, as far as its rule and its subject tell.
fn affected(rule: Rule, subject: &str, engine: &Engine, upstreams: &[UpstreamName]) -> Affected {
    let senders = |upstream: &UpstreamName| engine.senders_to(upstream);
    let sending = |name: &str| {
        name.parse::<UpstreamName>()
            .map(|upstream| senders(&upstream))
            .unwrap_or_default()
    };
    let everybody = || engine.registry().content().participants.keys().cloned().collect();
    let touched: Vec<Mnemonic> = match rule {
        Rule::UpstreamDown => sending(subject),
        Rule::UpstreamsHeld => upstreams.iter().flat_map(senders).collect(),
        Rule::QueueOld => match subject.parse::<Queue>() {
            Ok(Queue::Requests(owner) | Queue::Responses(owner, _) | Queue::Status(owner)) => vec![owner],
            Ok(Queue::Upstream(upstream)) => senders(&upstream),
            Err(_) => Vec::new(),
        },
        Rule::QuarantineNotEmpty => quarantined(engine),
        Rule::CertificateExpires
        | Rule::CertificateExpiresSoon
        | Rule::CertificateExpired
        | Rule::SignatureFailures => match subject.split_once('/') {
            Some(("participant", name)) => name.parse::<Mnemonic>().into_iter().collect(),
            Some(("upstream", name)) => sending(name),
            _ if rule == Rule::SignatureFailures => Vec::new(),
            _ => everybody(),
        },
        Rule::DiskNearReserve | Rule::DiskBelowReserve | Rule::ClockNotBelieved => everybody(),
        Rule::JournalVerificationFailed | Rule::JournalVerificationOld | Rule::BackupOld | Rule::ArchiveFailing => {
            Vec::new()
        }
    };
    Affected::of(touched)
}

/// Senders and receivers of what is in quarantine.
fn quarantined(engine: &Engine) -> Vec<Mnemonic> {
    let held = engine.quarantine();
    let parties = held
        .into_iter()
        .flat_map(|held| std::iter::once(held.sender).chain(held.recipient));
    let participant = |party| match party {
        Party::Participant(name) => Some(name),
        Party::Upstream(_) | Party::Gateway => None,
    };
    parties.filter_map(participant).collect()
}

/// How many incidents of each rule are open.
pub(crate) fn open_by_rule(engine: &Engine) -> Vec<(&'static str, u64)> {
    let all = engine.opened_incidents();
    let open = |rule: Rule| {
        let of_rule = |incident: &&IncidentStatus| incident.closed.is_none() && incident.opened.rule == rule.as_str();
        (rule.as_str(), all.iter().filter(of_rule).count() as u64)
    };
    Rule::ALL.into_iter().map(open).collect()
}
