//! The gateway's own series.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Engine;
use engine::names::Queue;
use gost::Certificate;
use prometheus::proto::MetricFamily;
use smev3::door::{DoorMetrics, LiveTls};

use super::family::{Family, float};
use crate::archive::Archive;
use crate::build;
use crate::links::Links;

/// Label of the door.
const DOOR: &str = "smev3";
/// Label of what the links pull.
const UPSTREAM: &str = "upstream";
/// What the door's TLS certificate is called if it has no subject.
const TLS: &str = "smev3.tls";
/// Values of the label `type`.
const TYPES: [&str; 3] = ["request", "response", "status"];

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
    /// Certificates whose end is to be watched: the gateway's own and the upstreams' trusted signers.
    pub(crate) certificates: Vec<Certificate>,
}

impl Sources {
    /// Every family, as things are now.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.messages();
        families.extend(self.queues_and_storage());
        families.extend(self.door());
        families.extend(self.upstreams());
        families.extend(self.archive.as_ref().map(shipping).into_iter().flatten());
        families.extend(self.certificates());
        let mut info = Family::gauge("build_info", "What is running");
        info.measure(&[("version", build::VERSION), ("commit", build::COMMIT)], 1.0);
        families.push(info.done());
        families
    }

    fn messages(&self) -> Vec<MetricFamily> {
        let registry = self.engine.registry();
        let metrics = self.engine.metrics();
        let mut accepted: BTreeMap<(String, &str, String), u64> = BTreeMap::new();
        let upstream = self.links.iter().next().map(|_| UPSTREAM);
        for kind in registry.content().kinds.keys() {
            for door in std::iter::once(DOOR).chain(upstream) {
                accepted.extend(TYPES.map(|of_type| ((door.to_owned(), of_type, kind.to_string()), 0)));
            }
        }
        for (series, count) in metrics.accepted() {
            let kind = series.kind.map_or_else(|| "other".to_owned(), |kind| kind.to_string());
            *accepted
                .entry((series.door.to_owned(), series.message_type, kind))
                .or_default() += count;
        }
        let mut family = Family::counter(
            "messages_accepted_total",
            "Messages made durable and answered positively",
        );
        for ((door, of_type, kind), count) in &accepted {
            family.count(&[("door", door), ("type", of_type), ("kind", kind)], *count);
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
        let mut handed = Family::counter("messages_delivered_total", "Messages handed out, redeliveries included");
        for (participant, count) in &delivered {
            handed.count(&[("participant", participant)], *count);
        }

        let mut seconds = Family::histogram("commit_seconds", "From the beginning of a batch until it was durable");
        let histogram = &metrics.commit_seconds;
        seconds.distribution(&[], &histogram.buckets(), histogram.count(), histogram.sum());
        let mut sizes = Family::histogram("commit_batch_size", "Commands in a batch");
        let histogram = &metrics.commit_batch_size;
        sizes.distribution(&[], &histogram.buckets(), histogram.count(), histogram.sum());
        vec![family.done(), handed.done(), seconds.done(), sizes.done()]
    }

    fn queues_and_storage(&self) -> Vec<MetricFamily> {
        let gauges = self.engine.gauges();
        let now = self.engine.now();
        let mut queues: BTreeMap<String, (u64, f64)> = self.known_queues();
        for status in &gauges.queues {
            // Node sub-queues are summed: their names come from the wire.
            let name = match &status.queue {
                Queue::Responses(owner, Some(_)) => Queue::Responses(owner.clone(), None).to_string(),
                queue => queue.to_string(),
            };
            let waits = status
                .oldest
                .map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
            let (depth, oldest) = queues.entry(name).or_default();
            *depth += status.messages;
            *oldest = oldest.max(waits);
        }
        let mut depth = Family::gauge("queue_depth", "Messages waiting, handed-out ones included");
        let mut oldest = Family::gauge("queue_oldest_seconds", "Age of the oldest message");
        for (queue, (messages, waits)) in &queues {
            depth.measure(&[("queue", queue)], float(*messages));
            oldest.measure(&[("queue", queue)], *waits);
        }
        let single = [
            ("leases", "Messages handed out and not yet acknowledged", gauges.leases),
            (
                "quarantine_depth",
                "Messages that a person must decide about",
                gauges.quarantine,
            ),
            ("spool_bytes", "Octets of the spool on disk", gauges.spool_bytes),
            (
                "spool_needed_bytes",
                "Octets of the spool that are still needed",
                gauges.spool_needed_bytes,
            ),
            ("index_bytes", "Octets of the index on disk", gauges.index_bytes),
            (
                "index_row_bytes",
                "Octets of the rows in the index",
                gauges.index_row_bytes,
            ),
            ("journal_bytes", "Octets of the journal on disk", gauges.journal_bytes),
            (
                "journal_last_seq",
                "Sequence number of the last record",
                gauges.journal_last_seq,
            ),
            (
                "journal_cut",
                "1 while a cut of the journal waits for a person to take note of it",
                u64::from(gauges.journal_cut),
            ),
            (
                "upstream_held",
                "1 while nothing goes to upstreams after a restoration",
                u64::from(self.engine.upstream_hold().is_some()),
            ),
            (
                "disk_free_bytes",
                "Free octets on the disk of data_dir",
                gauges.disk_free_bytes,
            ),
            (
                "disk_free_inodes",
                "Free inodes on the disk of data_dir, 0 where it does not count them",
                gauges.disk_free_inodes,
            ),
            (
                "disk_reserve_bytes",
                "With fewer free octets nothing new is accepted",
                gauges.disk_reserve_bytes,
            ),
        ];
        let mut incidents = Family::counter("incidents_total", "Incidents of the gateway itself");
        for (kind, count) in self.engine.incidents() {
            incidents.count(&[("kind", kind)], count);
        }
        let mut panics = Family::counter("worker_panics_total", "Panics that were contained");
        for (worker, count) in self.engine.worker_panics() {
            panics.count(&[("worker", worker)], count);
        }
        let mut families = vec![depth.done(), oldest.done(), incidents.done(), panics.done()];
        families.extend(single.map(|(name, help, value)| {
            let mut family = Family::gauge(name, help);
            family.measure(&[], float(value));
            family.done()
        }));
        families
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
        let mut refused = Family::counter("messages_refused_total", "Calls that were answered with a fault");
        for (fault, count) in self.door.refused() {
            refused.count(&[("door", DOOR), ("fault", fault.as_str())], count);
        }
        // Closes the set of the protocol's faults; the door knows no other.
        refused.count(&[("door", DOOR), ("fault", "other")], 0);
        let mut verify = Family::histogram("verify_seconds", "Checking one signature, canonical forms included");
        let histogram = &self.door.verify_seconds;
        verify.distribution(&[], &histogram.buckets(), histogram.count(), histogram.sum());
        let mut requests = Family::histogram("request_seconds", "From the end of a call's header to its answer");
        for (operation, histogram) in self.door.request_seconds() {
            requests.distribution(
                &[("operation", operation.as_str())],
                &histogram.buckets(),
                histogram.count(),
                histogram.sum(),
            );
        }
        let mut flight = Family::gauge("in_flight_bytes", "Octets of calls in work");
        flight.measure(&[], float(self.door.in_flight_bytes()));
        let mut connections = Family::gauge("connections", "Connections open at the door");
        connections.measure(&[], float(self.door.connections()));
        let mut cut_off = Family::counter("calls_cut_off_total", "Calls whose client was too slow");
        for (reason, count) in self.door.cut_off() {
            cut_off.count(&[("reason", reason)], count);
        }
        let mut turned_away = Family::counter("calls_turned_away_total", "Calls answered with 503 for want of room");
        turned_away.count(&[], self.door.turned_away());
        let mut limited = Family::counter(
            "rate_limited_total",
            "Requests refused because their caller makes too many",
        );
        limited.count(&[("by", "participant")], self.door.limited_participants());
        limited.count(&[("by", "address")], self.door.limited_addresses());
        let mut closed = Family::counter(
            "connections_refused_total",
            "Connections closed at once because their address had too many",
        );
        closed.count(&[], self.door.connections_refused());
        vec![
            refused.done(),
            verify.done(),
            requests.done(),
            flight.done(),
            connections.done(),
            cut_off.done(),
            turned_away.done(),
            limited.done(),
            closed.done(),
        ]
    }

    fn upstreams(&self) -> Vec<MetricFamily> {
        let mut forwarded = Family::counter("messages_forwarded_total", "Outcomes of attempts to send upstream");
        let mut received = Family::counter(
            "messages_received_total",
            "Messages pulled from an upstream and accepted",
        );
        let mut up = Family::gauge("upstream_up", "Whether the link works");
        let mut lag = Family::gauge(
            "upstream_lag_seconds",
            "Age of the oldest message not yet accepted upstream",
        );
        for link in self.links.iter() {
            let (name, metrics) = (link.name().as_str(), link.metrics());
            for (outcome, count) in metrics.forwarded {
                forwarded.count(&[("upstream", name), ("outcome", outcome.as_str())], count);
            }
            received.count(&[("upstream", name)], metrics.received);
            up.measure(&[("upstream", name)], f64::from(u8::from(metrics.up)));
            lag.measure(&[("upstream", name)], metrics.lag_seconds);
        }
        vec![forwarded.done(), received.done(), up.done(), lag.done()]
    }

    fn certificates(&self) -> Vec<MetricFamily> {
        let registry = self.engine.registry();
        let mut ends: BTreeMap<String, i64> = BTreeMap::new();
        for certificate in &self.certificates {
            ends.insert(certificate.subject().to_owned(), certificate.not_after());
        }
        for participant in registry.content().participants.values() {
            for reference in &participant.certificates {
                let read = self.engine.blob(&reference.0.to_string()).ok();
                if let Some(certificate) = read.and_then(|der| Certificate::from_der(&der).ok()) {
                    let end = ends.entry(certificate.subject().to_owned()).or_insert(i64::MAX);
                    *end = (*end).min(certificate.not_after());
                }
            }
        }
        if let Some(tls) = &self.tls {
            let certificate = tls.certificate();
            let named = Some(certificate.subject).filter(|subject| !subject.is_empty());
            let end = ends.entry(named.unwrap_or_else(|| TLS.to_owned())).or_insert(i64::MAX);
            *end = (*end).min(certificate.not_after);
        }
        let now = self.engine.now().as_second();
        let mut family = Family::gauge(
            "certificate_expires_seconds",
            "Until the certificate's end; negative after it",
        );
        for (subject, end) in &ends {
            #[expect(clippy::cast_precision_loss, reason = "seconds until a date")]
            family.measure(&[("subject", subject)], (end - now) as f64);
        }
        vec![family.done()]
    }
}

fn shipping(archive: &Archive) -> Vec<MetricFamily> {
    let status = archive.status();
    let mut waiting = Family::gauge(
        "archive_waiting_segments",
        "Sealed journal segments that the archive does not have",
    );
    waiting.measure(&[], float(status.waiting));
    let mut shipped = Family::counter("archive_shipped_total", "Journal segments that the archive took");
    shipped.count(&[], status.shipped);
    let mut failures = Family::counter("archive_failures_total", "Runs of the archive's command that failed");
    failures.count(&[], status.failures);
    vec![waiting.done(), shipped.done(), failures.done()]
}
