//! Incidents that last (R15): every few seconds the rules look at what the gateway knows; what is wrong for long enough
//! is opened, what has been over for a while is closed. Both are events of the journal, and [`crate::notify`] tells of them.

mod crowd;
mod observation;
mod rates;
pub(crate) mod rule;
mod rules;
mod standing;

use std::sync::{Arc, Mutex, PoisonError};

use engine::command::Refusal;
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

    /// Opens and closes what follows from what was seen. What cannot be journaled now follows from the next look, too; the first
    /// refusal ends this one, because what comes after it has less room or none.
    async fn follow(&mut self, seen: &Observation) {
        let mut open = self.engine.opened_incidents();
        open.retain(|incident| incident.closed.is_none());
        let found = crowd::fold(rules::find(seen, &self.settings), &open);
        for change in self.standing.changes(seen.now, &found, &open) {
            let done = match change {
                Change::Open(finding) => self.open(finding).await,
                Change::Close(incident, since) => self.close(incident, closing(incident, since, &found)).await,
            };
            if let Err(refusal) = done {
                log!(logged::INCIDENT_NOT_JOURNALED, %refusal, "an incident was not journaled; the next look tries again");
                return;
            }
            self.news.send_modify(|count| *count += 1);
        }
    }

    async fn open(&self, finding: &Finding) -> Result<(), Refusal> {
        let opened = opened(finding, &self.engine, &self.upstreams);
        self.engine.open_incident(opened.clone()).await?;
        log!(
            logged::INCIDENT_OPENED,
            rule = opened.rule,
            subject = opened.subject,
            text = opened.text,
            "an incident begins"
        );
        Ok(())
    }

    async fn close(&self, incident: &IncidentStatus, text: String) -> Result<(), Refusal> {
        let opened = &incident.opened;
        let touched =
            Rule::find(&opened.rule).map(|rule| touched(rule, &opened.subject, &self.engine, &self.upstreams));
        let affected = Affected::of(touched.unwrap_or_default());
        self.engine.close_incident(incident.id, text, affected).await?;
        log!(
            logged::INCIDENT_CLOSED,
            incident = incident.id,
            rule = opened.rule,
            subject = opened.subject,
            "an incident is over"
        );
        Ok(())
    }
}

fn opened(finding: &Finding, engine: &Engine, upstreams: &[UpstreamName]) -> OpenedIncident {
    let subjects = match finding.others.is_empty() {
        true => std::slice::from_ref(&finding.subject),
        false => &finding.others,
    };
    let affected = match finding.names.is_empty() {
        true => Affected::of(
            subjects
                .iter()
                .flat_map(|subject| touched(finding.rule, subject, engine, upstreams)),
        ),
        false => Affected::of(finding.names.iter().cloned()),
    };
    OpenedIncident {
        rule: finding.rule.as_str().to_owned(),
        subject: finding.subject.clone(),
        severity: finding.rule.severity(),
        text: finding.text.replace(char::is_control, " "),
        affected,
    }
}

fn closing(incident: &IncidentStatus, since: Timestamp, found: &[Finding]) -> String {
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
    let began = &incident.opened.text;
    match rules::successor(&incident.opened, found) {
        Some(rule) => format!("it goes on as {} since {since}; it began with: {began}", rule.as_str()),
        None => format!("not found any more since {since}; it began with: {began}"),
    }
}

/// Whom an incident touches, as far as its rule and its subject tell.
fn touched(rule: Rule, subject: &str, engine: &Engine, upstreams: &[UpstreamName]) -> Vec<Mnemonic> {
    // Whom it touched is told at its opening; what is left when it closes are those that have incidents of their own.
    if subject == crowd::OTHERS {
        return Vec::new();
    }
    let senders = |upstream: &UpstreamName| engine.senders_to(upstream);
    let sending = |name: &str| {
        name.parse::<UpstreamName>()
            .map(|upstream| senders(&upstream))
            .unwrap_or_default()
    };
    let everybody = || engine.registry().content().participants.keys().cloned().collect();
    match rule {
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
    }
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
