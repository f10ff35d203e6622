//! What a running gateway is doing, in one bounded answer: counters, gauges and the tails of lists, nothing that grows with
//! what waits.

use forward::Forwarded;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::build;
use crate::metrics::Sources;

/// Queues in an answer at most: the deepest and the oldest.
const QUEUES: usize = 200;
/// Upstreams in an answer at most.
const UPSTREAMS: usize = 32;
/// Octets of a text in an answer at most.
const TEXT: usize = 300;

/// The gateway at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Overview {
    /// When, by the gateway's time.
    pub(crate) at: Timestamp,
    /// Its version.
    pub(crate) version: String,
    /// Whether it can keep its promises.
    pub(crate) ready: bool,
    /// What is not in order.
    pub(crate) troubles: Vec<Trouble>,
    /// Since the start of the process.
    pub(crate) counters: Counters,
    /// As things are now.
    pub(crate) gauges: Gauges,
    /// The deepest queues, and those whose first message is oldest.
    pub(crate) queues: Vec<QueueRow>,
    /// How many queues hold something.
    pub(crate) queues_in_use: u64,
    /// The links.
    pub(crate) upstreams: Vec<UpstreamRow>,
    /// The last refusals of recognised participants, newest first.
    pub(crate) refusals: Vec<RefusalRow>,
    /// Refused calls by fault, those that happened.
    pub(crate) faults: Vec<Counted>,
    /// Incidents by kind, those that happened.
    pub(crate) incidents: Vec<Counted>,
}

/// What only rises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Messages made durable and answered positively.
    pub(crate) accepted: u64,
    /// Messages handed out, redeliveries included.
    pub(crate) delivered: u64,
    /// Messages that upstreams have.
    pub(crate) forwarded: u64,
    /// Messages from upstreams.
    pub(crate) received: u64,
    /// Calls answered with a fault.
    pub(crate) refused: u64,
}

/// What rises and falls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gauges {
    /// Messages in all queues, handed-out ones included.
    pub(crate) waiting: u64,
    /// Messages handed out and not yet acknowledged.
    pub(crate) leases: u64,
    /// Messages that a person must decide about.
    pub(crate) quarantine: u64,
    /// Octets of calls in work.
    pub(crate) in_flight_bytes: u64,
    /// Connections open at the door.
    pub(crate) connections: u64,
    /// Free octets on the disk.
    pub(crate) disk_free_bytes: u64,
    /// With fewer nothing new is accepted.
    pub(crate) disk_reserve_bytes: u64,
    /// Octets of the journal.
    pub(crate) journal_bytes: u64,
    /// Octets of the spool.
    pub(crate) spool_bytes: u64,
    /// Octets of the index.
    pub(crate) index_bytes: u64,
}

/// A condition of `/ready` that is not in order; links are [`UpstreamRow`]s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Which.
    pub(crate) name: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What is so.
    pub(crate) message: String,
}

/// A queue that holds something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueRow {
    /// Its name.
    pub(crate) name: String,
    /// Messages in it.
    pub(crate) messages: u64,
    /// Of these handed out.
    pub(crate) leased: u64,
    /// Octets.
    pub(crate) bytes: u64,
    /// Acceptance of the first.
    pub(crate) oldest: Option<Timestamp>,
    /// What a person brought to a halt: the queue is `paused`, its owner `suspended`.
    pub(crate) halted: Option<String>,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UpstreamRow {
    /// Its name.
    pub(crate) name: String,
    /// Whether it works.
    pub(crate) up: bool,
    /// Since when it does, or does not.
    pub(crate) since: Timestamp,
    /// What is wrong, such as what opened its breaker; empty when nothing is.
    pub(crate) message: String,
    /// Age in seconds of the oldest message that it has not yet accepted.
    pub(crate) lag_seconds: u64,
    /// Messages that it has.
    pub(crate) forwarded: u64,
    /// Attempts that are repeated.
    pub(crate) retried: u64,
    /// Messages from it.
    pub(crate) received: u64,
}

/// A call that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusalRow {
    /// When.
    pub(crate) at: Timestamp,
    /// Whose.
    pub(crate) participant: String,
    /// What it wanted.
    pub(crate) operation: String,
    /// What it was answered.
    pub(crate) fault: String,
    /// Why (docs/refusals.md).
    pub(crate) reason: String,
}

/// How often something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// What.
    pub(crate) name: String,
    /// How often since the start.
    pub(crate) count: u64,
}

impl Overview {
    /// As things are now.
    pub(crate) fn of(sources: &Sources) -> Self {
        let engine = &sources.engine;
        let report = sources.readiness.report();
        let not_in_order =
            |condition: &&crate::admin::ready::Condition| !condition.ok && !condition.name.starts_with("upstream/");
        let troubles = report.conditions.iter().filter(not_in_order).map(|condition| Trouble {
            name: condition.name.clone(),
            since: condition.since,
            message: bounded(&condition.message),
        });
        let upstreams: Vec<_> = sources.links.iter().take(UPSTREAMS).map(upstream).collect();
        let all = engine.gauges();
        let metrics = engine.metrics();
        let faults: Vec<_> = sources
            .door
            .refused()
            .map(|(fault, count)| (fault.as_str(), count))
            .collect();
        let refusals = sources.door.lately().into_iter().map(|refused| RefusalRow {
            at: refused.at,
            participant: refused.participant.to_string(),
            operation: refused.operation.to_owned(),
            fault: refused.fault.to_owned(),
            reason: refused.reason.to_owned(),
        });
        Self {
            at: engine.now(),
            version: build::VERSION.to_owned(),
            ready: report.ready,
            troubles: troubles.collect(),
            counters: Counters {
                accepted: metrics.accepted().iter().map(|(_, count)| count).sum(),
                delivered: metrics.delivered().iter().map(|(_, count)| count).sum(),
                forwarded: upstreams.iter().map(|link| link.forwarded).sum(),
                received: upstreams.iter().map(|link| link.received).sum(),
                refused: faults.iter().map(|(_, count)| count).sum(),
            },
            gauges: Gauges {
                waiting: all.queues.iter().map(|queue| queue.messages).sum(),
                leases: all.leases,
                quarantine: all.quarantine,
                in_flight_bytes: sources.door.in_flight_bytes(),
                connections: sources.door.connections(),
                disk_free_bytes: all.disk_free_bytes,
                disk_reserve_bytes: all.disk_reserve_bytes,
                journal_bytes: all.journal_bytes,
                spool_bytes: all.spool_bytes,
                index_bytes: all.index_bytes,
            },
            queues_in_use: all.queues.iter().filter(|queue| queue.messages > 0).count() as u64,
            queues: foremost(all.queues.iter().filter(|queue| queue.messages > 0).map(row).collect()),
            upstreams,
            refusals: refusals.collect(),
            faults: happened(faults),
            incidents: happened(engine.incidents()),
        }
    }
}

fn upstream(link: &forward::Link) -> UpstreamRow {
    let (status, metrics) = (link.status(), link.metrics());
    let counted = |wanted: &[Forwarded]| -> u64 {
        let counts = metrics.forwarded.iter();
        let counts = counts.filter(|(outcome, _)| wanted.contains(outcome));
        counts.map(|(_, count)| count).sum()
    };
    UpstreamRow {
        name: status.name.to_string(),
        up: status.up,
        since: status.since,
        message: bounded(&status.message),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole seconds, not negative"
        )]
        lag_seconds: metrics.lag_seconds as u64,
        forwarded: counted(&[Forwarded::Accepted, Forwarded::AlreadySent]),
        retried: counted(&[Forwarded::Retry, Forwarded::SlowDown]),
        received: metrics.received,
    }
}

fn row(queue: &engine::command::QueueStatus) -> QueueRow {
    QueueRow {
        name: queue.queue.to_string(),
        messages: queue.messages,
        leased: queue.leased,
        bytes: queue.bytes,
        oldest: queue.oldest,
        halted: match (&queue.paused, &queue.suspended) {
            (Some(_), _) => Some("paused".to_owned()),
            (None, Some(_)) => Some("suspended".to_owned()),
            (None, None) => None,
        },
    }
}

/// Half of what fits are the deepest, the others those that have waited longest.
fn foremost(mut queues: Vec<QueueRow>) -> Vec<QueueRow> {
    queues.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.name.cmp(&b.name)));
    if queues.len() > QUEUES {
        // Those of which all is handed out have no oldest.
        queues[QUEUES / 2..].sort_by_key(|queue| (queue.oldest.unwrap_or(Timestamp::MAX), queue.name.clone()));
        queues.truncate(QUEUES);
    }
    queues
}

fn happened(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<Counted> {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    counts
        .map(|(name, count)| Counted {
            name: name.to_owned(),
            count,
        })
        .collect()
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_deepest_queues_and_those_that_have_waited_longest() {
        let queues = (0..1_000_i64).map(|number| QueueRow {
            name: format!("MUN{number:03}/requests"),
            messages: number.unsigned_abs() + 1,
            leased: 0,
            bytes: 0,
            oldest: Some(Timestamp::from_second(number).unwrap()),
            halted: None,
        });
        let foremost = foremost(queues.collect());
        assert_eq!(foremost.len(), QUEUES);
        assert_eq!(foremost[0].messages, 1000);
        assert_eq!(foremost[QUEUES / 2 - 1].messages, 901);
        assert_eq!(foremost[QUEUES / 2].name, "MUN000/requests");
    }
}
