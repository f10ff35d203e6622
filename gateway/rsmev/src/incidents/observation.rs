//! What the rules look at: plain data, taken from the parts of the running gateway at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Engine;
use engine::names::{Mnemonic, Queue};
use gost::Certificate;
use jiff::Timestamp;
use smev3::door::{DoorMetrics, LiveTls};
use smev3::fault::FaultName;

use super::rates::Rates;
use super::rules::GATEWAY;
use crate::archive::Archive;
use crate::links::Links;
use crate::verification::Verification;

/// How things are at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    pub(crate) now: Timestamp,
    /// When this session of the gateway began.
    pub(crate) running_since: Timestamp,
    /// Upstreams whose link does not work, and since when.
    pub(crate) upstreams_down: Vec<(String, Timestamp)>,
    /// Since when nothing goes to upstreams, because a person must say so.
    pub(crate) held_since: Option<Timestamp>,
    /// Queues in which something waits, with the acceptance of the oldest; sub-queues of nodes count for their queue.
    pub(crate) queues: Vec<(String, Timestamp)>,
    /// Messages in quarantine.
    pub(crate) quarantine: u64,
    /// Octets.
    pub(crate) disk_free: u64,
    /// Octets that stay free.
    pub(crate) disk_reserve: u64,
    /// Holders of certificates, with the end of the one that holds longest in Unix time.
    pub(crate) certificates: Vec<(String, i64)>,
    /// What the last verification of the journal found wrong.
    pub(crate) verification_failed: Option<String>,
    /// When the journal was last found whole.
    pub(crate) verified_whole: Option<Timestamp>,
    /// When the last backup was made.
    pub(crate) backed_up: Option<Timestamp>,
    /// Since when shipping to the archive fails, and how long it may.
    pub(crate) archive_failing: Option<(Timestamp, Duration)>,
    /// Calls whose signature does not verify, within the window.
    pub(crate) signature_failures: Vec<Failures>,
    /// Why the clock is not believed.
    pub(crate) clock: Option<String>,
}

/// Calls whose signature does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failures {
    /// `participant/MUN001` for a caller whose own signature verified, `unverified` for all others together.
    pub(crate) subject: String,
    /// How many within the window.
    pub(crate) count: u64,
    /// Participants under whose names they came.
    pub(crate) names: Vec<Mnemonic>,
}

/// Who is asked.
pub(crate) struct Sources {
    pub(crate) engine: Engine,
    pub(crate) door: std::sync::Arc<DoorMetrics>,
    pub(crate) tls: Option<LiveTls>,
    pub(crate) links: Links,
    /// With how long shipping may fail.
    pub(crate) archive: Option<(Archive, Duration)>,
    pub(crate) certificate: Certificate,
    pub(crate) verification: Verification,
}

/// The subject of calls whose sender is not known for certain.
const UNVERIFIED: &str = "unverified";
/// Between two readings of the certificates.
const CERTIFICATES_EVERY: i64 = 60;

/// What is kept from look to look.
pub(crate) struct Observer {
    sources: Sources,
    running_since: Timestamp,
    rates: Rates,
    certificates: Option<(Timestamp, Vec<(String, i64)>)>,
}

impl Observer {
    pub(crate) fn new(sources: Sources) -> Self {
        Self {
            running_since: sources.engine.now(),
            sources,
            rates: Rates::default(),
            certificates: None,
        }
    }

    /// How things are now. Reads the disk: not for async threads.
    pub(crate) fn look(&mut self) -> Observation {
        let Sources { engine, links, .. } = &self.sources;
        let now = engine.now();
        let gauges = engine.gauges();
        let mut queues: BTreeMap<String, Timestamp> = BTreeMap::new();
        for status in gauges.queues {
            let Some(oldest) = status.oldest else { continue };
            let name = match status.queue {
                Queue::Responses(owner, Some(_)) => Queue::Responses(owner, None).to_string(),
                queue => queue.to_string(),
            };
            let earliest = queues.entry(name).or_insert(oldest);
            *earliest = oldest.min(*earliest);
        }
        let down = links.iter().map(forward::Link::status).filter(|link| !link.up);
        let upstreams_down = down.map(|link| (link.name.to_string(), link.since)).collect();
        let clock = engine
            .conditions()
            .into_iter()
            .find(|condition| condition.name == "clock");
        let verified = self.sources.verification.status();
        let archive = self.sources.archive.as_ref();
        Observation {
            now,
            running_since: self.running_since,
            upstreams_down,
            held_since: engine.upstream_hold().map(|hold| hold.since),
            queues: queues.into_iter().collect(),
            quarantine: gauges.quarantine,
            disk_free: gauges.disk_free_bytes,
            disk_reserve: gauges.disk_reserve_bytes,
            verification_failed: verified.failed,
            verified_whole: verified.whole_at,
            backed_up: engine.last_backup().map(|backup| backup.at),
            archive_failing: archive.and_then(|(archive, patience)| {
                let (since, _) = archive.status().failing?;
                Some((since, *patience))
            }),
            clock: clock.filter(|clock| !clock.ok).map(|clock| clock.message),
            certificates: self.certificates(now),
            signature_failures: self.signature_failures(now),
        }
    }

    fn certificates(&mut self, now: Timestamp) -> Vec<(String, i64)> {
        let known = self.certificates.take();
        let fresh = known.filter(|(at, _)| now.duration_since(*at).as_secs().abs() < CERTIFICATES_EVERY);
        let (at, ends) = fresh.unwrap_or_else(|| (now, certificates(&self.sources)));
        self.certificates = Some((at, ends.clone()));
        ends
    }

    fn signature_failures(&mut self, now: Timestamp) -> Vec<Failures> {
        let fault = FaultName::SignatureVerificationFault;
        let all = self.sources.door.refused().find(|(name, _)| *name == fault);
        let all = all.map_or(0, |(_, count)| count);
        let mut verified = 0;
        let mut recent: Vec<Failures> = Vec::new();
        let mut names = Vec::new();
        for (series, total) in self.sources.engine.metrics().refused() {
            if series.fault != fault.as_str() {
                continue;
            }
            let subject = format!("participant/{}", series.participant);
            if series.verified {
                verified += total;
                let count = self.rates.within(&subject, total, now);
                recent.push(Failures {
                    subject,
                    count,
                    names: vec![series.participant],
                });
            } else if self.rates.within(&format!("{UNVERIFIED} {subject}"), total, now) > 0 {
                names.push(series.participant);
            }
        }
        // Counted one after the other: for a moment there may be fewer in all than of the known.
        let count = self.rates.within(UNVERIFIED, all.saturating_sub(verified), now);
        recent.push(Failures {
            subject: UNVERIFIED.to_owned(),
            count,
            names,
        });
        recent
    }
}

/// Of each holder the certificate that holds longest: one that is being replaced may run out beside it.
fn certificates(sources: &Sources) -> Vec<(String, i64)> {
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    let mut watch = |holder: String, end: i64| {
        let latest = ends.entry(holder).or_insert(end);
        *latest = end.max(*latest);
    };
    watch(GATEWAY.to_owned(), sources.certificate.not_after());
    if let Some(tls) = &sources.tls {
        watch("smev3.tls".to_owned(), tls.certificate().not_after);
    }
    for (upstream, certificate) in sources.links.signers() {
        watch(format!("upstream/{upstream}"), certificate.not_after());
    }
    let registry = sources.engine.registry();
    for participant in registry.content().participants.values() {
        for reference in &participant.certificates {
            let read = sources.engine.blob(&reference.0.to_string()).ok();
            if let Some(certificate) = read.and_then(|der| Certificate::from_der(&der).ok()) {
                watch(format!("participant/{}", participant.mnemonic), certificate.not_after());
            }
        }
    }
    ends.into_iter().collect()
}
