//! The gateway's own series.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Engine;
use engine::names::Queue;
use gost::Certificate;
use jiff::Timestamp;
use prometheus::proto::MetricFamily;
use smev3::door::{DoorMetrics, LiveTls};

use super::catalogue::{self as of, CONDITIONS, DOORS, LIMITED, OTHER, TYPES};
use super::family::{Family, float, single, single_count};
use crate::admin::ready::Readiness;
use crate::archive::Archive;
use crate::build;
use crate::incidents;
use crate::links::Links;
use crate::notify;
use crate::verification::Verification;

/// Label of the door.
const DOOR: &str = DOORS[0];
/// Label of what the links pull.
const UPSTREAM: &str = DOORS[1];

/// Who is asked.
pub(crate) struct Sources {
    /// Messages, queues, storage.
    pub(crate) engine: Engine,
    /// Refusals and times at the door.
    pub(crate) door: Arc<DoorMetrics>,
    /// TLS of the door, if it speaks it.
    pub(crate) tls: Option<LiveTls>,
    /// The links upstream.
    pub(crate) links: Links,
    /// Where sealed journal segments go.
    pub(crate) archive: Option<Archive>,
    /// The gateway's own certificate.
    pub(crate) certificate: Certificate,
    /// What `/ready` answers.
    pub(crate) readiness: Arc<Readiness>,
    /// How the journal was found when it was last verified.
    pub(crate) verification: Verification,
    /// What became of notices.
    pub(crate) notices: notify::Counts,
}

impl Sources {
    /// Every family, as things are now.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.ready();
        families.extend(self.messages());
        families.extend(self.queues());
        families.extend(self.halts());
        families.extend(self.storage());
        families.extend(self.door());
        families.extend(self.upstreams());
        families.extend(self.archive.as_ref().map(shipping).into_iter().flatten());
        families.push(self.certificates());
        families.extend(self.incidents());
        let mut info = Family::new(of::BUILD_INFO);
        info.measure([build::VERSION, build::COMMIT], 1.0);
        families.push(info.done());
        families
    }

    fn ready(&self) -> Vec<MetricFamily> {
        let report = self.readiness.report();
        let mut conditions = Family::new(of::CONDITION_OK);
        for condition in &report.conditions {
            let name = condition.name.as_str();
            if CONDITIONS.contains(&name) {
                conditions.measure([name], truth(condition.ok));
            }
        }
        vec![single(of::READY, truth(report.ready)), conditions.done()]
    }

    fn messages(&self) -> Vec<MetricFamily> {
        let registry = self.engine.registry();
        let metrics = self.engine.metrics();
        let mut accepted: BTreeMap<(String, &str, String), u64> = BTreeMap::new();
        let upstream = self.links.iter().next().map(|_| UPSTREAM);
        let kinds = registry.content().kinds.keys().map(ToString::to_string);
        for kind in kinds.chain([OTHER.to_owned()]) {
            for door in std::iter::once(DOOR).chain(upstream) {
                accepted.extend(TYPES.map(|of_type| ((door.to_owned(), of_type, kind.clone()), 0)));
            }
        }
        for (series, count) in metrics.accepted() {
            let kind = series.kind.map_or_else(|| OTHER.to_owned(), |kind| kind.to_string());
            *accepted
                .entry((series.door.to_owned(), series.message_type, kind))
                .or_default() += count;
        }
        let mut family = Family::new(of::MESSAGES_ACCEPTED);
        for ((door, of_type, kind), count) in &accepted {
            family.count([door, of_type, kind], *count);
        }

        let mut delivered: BTreeMap<String, u64> = registry
            .content()
            .participants
            .keys()
            .map(|participant| (participant.to_string(), 0))
            .collect();
        delivered.extend(
            metrics
                .delivered()
                .into_iter()
                .map(|(participant, count)| (participant.to_string(), count)),
        );
        let mut handed = Family::new(of::MESSAGES_DELIVERED);
        for (participant, count) in &delivered {
            handed.count([participant], *count);
        }

        let mut seconds = Family::new(of::COMMIT_SECONDS);
        let histogram = &metrics.commit_seconds;
        seconds.distribution([], &histogram.buckets(), histogram.count(), histogram.sum());
        let mut sizes = Family::new(of::COMMIT_BATCH_SIZE);
        let histogram = &metrics.commit_batch_size;
        sizes.distribution([], &histogram.buckets(), histogram.count(), histogram.sum());
        vec![family.done(), handed.done(), seconds.done(), sizes.done()]
    }

    fn queues(&self) -> Vec<MetricFamily> {
        let gauges = self.engine.gauges();
        let now = self.engine.now();
        let mut queues: BTreeMap<String, (u64, f64)> = self.known_queues();
        for status in &gauges.queues {
            let name = label(&status.queue);
            let waits = status
                .oldest
                .map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
            let (depth, oldest) = queues.entry(name).or_default();
            *depth += status.messages;
            *oldest = oldest.max(waits);
        }
        let (mut depth, mut oldest) = (Family::new(of::QUEUE_DEPTH), Family::new(of::QUEUE_OLDEST));
        for (queue, (messages, waits)) in &queues {
            depth.measure([queue], float(*messages));
            oldest.measure([queue], *waits);
        }
        vec![
            depth.done(),
            oldest.done(),
            single(of::LEASES, float(gauges.leases)),
            single(of::QUARANTINE_DEPTH, float(gauges.quarantine)),
        ]
    }

    /// What operators have brought to a halt.
    fn halts(&self) -> [MetricFamily; 2] {
        let registry = self.engine.registry();
        let halts = registry.halts();
        let known = self.known_queues().into_keys().map(|queue| (queue, false));
        let mut queues: BTreeMap<String, bool> = known.collect();
        queues.extend(halts.queues.keys().map(|queue| (label(queue), true)));
        let mut paused = Family::new(of::QUEUE_PAUSED);
        for (queue, so) in &queues {
            paused.measure([queue], truth(*so));
        }
        let mut suspended = Family::new(of::PARTICIPANT_SUSPENDED);
        for participant in registry.content().participants.keys() {
            suspended.measure([participant.as_str()], truth(halts.suspended(participant).is_some()));
        }
        [paused.done(), suspended.done()]
    }

    fn storage(&self) -> Vec<MetricFamily> {
        let gauges = self.engine.gauges();
        let verified = self.verification.status();
        let mut incidents = Family::new(of::INCIDENTS);
        for (kind, count) in self.engine.incidents() {
            incidents.count([kind], count);
        }
        let mut panics = Family::new(of::WORKER_PANICS);
        for (worker, count) in self.engine.worker_panics() {
            panics.count([worker], count);
        }
        vec![
            single(of::SPOOL_BYTES, float(gauges.spool_bytes)),
            single(of::SPOOL_NEEDED_BYTES, float(gauges.spool_needed_bytes)),
            single(of::INDEX_BYTES, float(gauges.index_bytes)),
            single(of::INDEX_ROW_BYTES, float(gauges.index_row_bytes)),
            single(of::JOURNAL_BYTES, float(gauges.journal_bytes)),
            single(of::JOURNAL_LAST_SEQ, float(gauges.journal_last_seq)),
            single(of::JOURNAL_CUT, truth(gauges.journal_cut)),
            single(of::JOURNAL_VERIFIED, moment(verified.whole_at)),
            single(of::JOURNAL_VERIFICATION_FAILED, truth(verified.failed.is_some())),
            single(
                of::BACKUP_LAST,
                moment(self.engine.last_backup().map(|backup| backup.at)),
            ),
            single(of::UPSTREAM_HELD, truth(self.engine.upstream_hold().is_some())),
            single(of::DISK_FREE_BYTES, float(gauges.disk_free_bytes)),
            single(of::DISK_FREE_INODES, float(gauges.disk_free_inodes)),
            single(of::DISK_RESERVE_BYTES, float(gauges.disk_reserve_bytes)),
            incidents.done(),
            panics.done(),
        ]
    }

    fn incidents(&self) -> [MetricFamily; 2] {
        let mut open = Family::new(of::INCIDENTS_OPEN);
        for (rule, count) in incidents::open_by_rule(&self.engine) {
            open.measure([rule], float(count));
        }
        let mut notices = Family::new(of::NOTIFICATIONS);
        for (channel, outcome, count) in self.notices.all() {
            notices.count([channel, outcome], count);
        }
        [open.done(), notices.done()]
    }

    fn known_queues(&self) -> BTreeMap<String, (u64, f64)> {
        let registry = self.engine.registry();
        let participants = registry.content().participants.keys();
        let of_participant = participants.flat_map(|owner| {
            [
                Queue::Requests(owner.clone()),
                Queue::Responses(owner.clone(), None),
                Queue::Status(owner.clone()),
            ]
        });
        let upstreams = self.links.iter().map(|link| Queue::Upstream(link.name().clone()));
        of_participant
            .chain(upstreams)
            .map(|queue| (queue.to_string(), (0, 0.0)))
            .collect()
    }

    fn door(&self) -> Vec<MetricFamily> {
        let mut refused = Family::new(of::MESSAGES_REFUSED);
        for (fault, count) in self.door.refused() {
            refused.count([DOOR, fault.as_str()], count);
        }
        // Closes the set of the protocol's faults; the door knows no other.
        refused.count([DOOR, OTHER], 0);
        let mut verify = Family::new(of::VERIFY_SECONDS);
        let histogram = &self.door.verify_seconds;
        verify.distribution([], &histogram.buckets(), histogram.count(), histogram.sum());
        let mut requests = Family::new(of::REQUEST_SECONDS);
        for (operation, histogram) in self.door.request_seconds() {
            requests.distribution(
                [operation.as_str()],
                &histogram.buckets(),
                histogram.count(),
                histogram.sum(),
            );
        }
        let mut cut_off = Family::new(of::CALLS_CUT_OFF);
        for (reason, count) in self.door.cut_off() {
            cut_off.count([reason], count);
        }
        let mut limited = Family::new(of::RATE_LIMITED);
        let counts = [self.door.limited_participants(), self.door.limited_addresses()];
        for (by, count) in LIMITED.into_iter().zip(counts) {
            limited.count([by], count);
        }
        vec![
            refused.done(),
            verify.done(),
            requests.done(),
            single(of::IN_FLIGHT_BYTES, float(self.door.in_flight_bytes())),
            single(of::CONNECTIONS, float(self.door.connections())),
            cut_off.done(),
            single_count(of::CALLS_TURNED_AWAY, self.door.turned_away()),
            limited.done(),
            single_count(of::CONNECTIONS_REFUSED, self.door.connections_refused()),
        ]
    }

    fn upstreams(&self) -> Vec<MetricFamily> {
        let (mut forwarded, mut received) = (Family::new(of::MESSAGES_FORWARDED), Family::new(of::MESSAGES_RECEIVED));
        let (mut up, mut lag) = (Family::new(of::UPSTREAM_UP), Family::new(of::UPSTREAM_LAG));
        for link in self.links.iter() {
            let (name, metrics) = (link.name().as_str(), link.metrics());
            for (outcome, count) in metrics.forwarded {
                forwarded.count([name, outcome.as_str()], count);
            }
            received.count([name], metrics.received);
            up.measure([name], truth(metrics.up));
            lag.measure([name], metrics.lag_seconds);
        }
        vec![forwarded.done(), received.done(), up.done(), lag.done()]
    }

    fn certificates(&self) -> MetricFamily {
        let mut ends: BTreeMap<String, i64> = BTreeMap::new();
        for certificate in crate::health::certificates(self) {
            let named = Some(certificate.subject).filter(|subject| !subject.is_empty());
            let earliest = ends
                .entry(named.unwrap_or_else(|| certificate.of.to_string()))
                .or_insert(i64::MAX);
            *earliest = (*earliest).min(certificate.not_after);
        }
        let now = self.engine.now().as_second();
        let mut family = Family::new(of::CERTIFICATE_EXPIRES);
        for (subject, end) in &ends {
            #[expect(clippy::cast_precision_loss, reason = "seconds until a date")]
            family.measure([subject], (end - now) as f64);
        }
        family.done()
    }
}

fn shipping(archive: &Archive) -> [MetricFamily; 3] {
    let status = archive.status();
    [
        single(of::ARCHIVE_WAITING, float(status.waiting)),
        single_count(of::ARCHIVE_SHIPPED, status.shipped),
        single_count(of::ARCHIVE_FAILURES, status.failures),
    ]
}

/// A moment as Prometheus has it; 0 for one that has not been.
#[expect(clippy::cast_precision_loss, reason = "seconds until a date")]
fn moment(at: Option<Timestamp>) -> f64 {
    at.map_or(0.0, |at| at.as_second() as f64)
}

/// What a queue is called in metrics: node sub-queues are summed, because their names come from the wire.
fn label(queue: &Queue) -> String {
    match queue {
        Queue::Responses(owner, Some(_)) => Queue::Responses(owner.clone(), None).to_string(),
        queue => queue.to_string(),
    }
}

/// Yes and no as Prometheus has them.
fn truth(so: bool) -> f64 {
    f64::from(u8::from(so))
}
