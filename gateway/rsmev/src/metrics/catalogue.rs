//! Every metric of `/metrics`: `docs/metrics.md` is written from this, and a scrape is made from it.
//!
//! The names in DESIGN §11 are a contract; what is not in it may change with a version, and CHANGELOG says so.

use engine::{IncidentKind, Worker};
use forward::Forwarded;
use smev3::envelope::Operation;
use smev3::fault::FaultName;

use crate::incidents::rule::Rule;
use crate::notify::OUTCOMES;

use super::entry::{Entry, Label, Row, Values};

/// What is there with an upstream alone.
const WITH_UPSTREAM: &str = "with an `[[upstream]]`";
/// Who names participants and kinds.
const REGISTRY: &str = "the registry";
/// What is there with an archive alone.
const WITH_ARCHIVE: &str = "with `[archive]`";

/// What is there with a channel of notifications alone.
const WITH_CHANNEL: &str = "with `[notify.mail]` or `[[notify.webhook]]`";

/// The label `door` of what participants send, and of what links pull.
pub(super) const DOORS: [&str; 2] = ["smev3", "upstream"];
/// Values of the label `type`.
pub(super) const TYPES: [&str; 3] = ["request", "response", "status"];
/// What calls are cut off for, in the order of the door's own count.
const SLOW: [&str; 3] = ["slow_head", "slow_body", "slow_answer"];
/// What may be limited: calls by their sender, calls by their address.
pub(super) const LIMITED: [&str; 2] = ["participant", "address"];
/// The conditions of `/ready` that are there in every gateway.
pub(super) const CONDITIONS: [&str; 6] = ["journal", "spool", "index", "disk", "key", "clock"];
/// What is in no closed set.
pub(super) const OTHER: &str = "other";

const DOOR: Label = closed("door", || DOORS.into());
const TYPE: Label = closed("type", || TYPES.into());
const FAULT: Label = closed("fault", || {
    let faults = FaultName::ALL.iter().map(|fault| fault.as_str());
    faults.chain([OTHER]).collect()
});
const OUTCOME: Label = closed("outcome", || {
    Forwarded::ALL.iter().map(|outcome| outcome.as_str()).collect()
});
const OPERATION: Label = closed("operation", || {
    Operation::ALL.iter().map(|operation| operation.as_str()).collect()
});
const INCIDENT: Label = closed("kind", || IncidentKind::ALL.iter().map(|kind| kind.as_str()).collect());
const WORKER: Label = closed("worker", || Worker::ALL.iter().map(|worker| worker.as_str()).collect());
const RULE: Label = closed("rule", || Rule::ALL.iter().map(|rule| rule.as_str()).collect());
const NOTICE_OUTCOME: Label = closed("outcome", || OUTCOMES.into());
const CHANNEL: Label = named(
    "channel",
    "the configuration",
    "1 with `[notify.mail]` + `[[notify.webhook]]`",
);
const REASON: Label = closed("reason", || SLOW.into());
const BY: Label = closed("by", || LIMITED.into());
const CONDITION: Label = closed("condition", || CONDITIONS.into());
const KIND: Label = named("kind", REGISTRY, "kinds in the registry + 1 (`other`)");
const PARTICIPANT: Label = named("participant", REGISTRY, "participants in the registry");
const QUEUE: Label = named(
    "queue",
    "the registry and the configuration",
    "3 × participants in the registry + upstreams",
);
const UPSTREAM: Label = named("upstream", "the configuration", "upstreams in the configuration");
const SUBJECT: Label = named(
    "subject",
    "certificates that operators installed",
    "1 + certificates of participants in the registry + `trusted_signers` + 1 with `[smev3.tls]`",
);
const VERSION: Label = named("version", "the build", "1");
const COMMIT: Label = named("commit", "the build", "1");

const fn closed(name: &'static str, values: fn() -> Vec<&'static str>) -> Label {
    Label {
        name,
        values: Values::Closed(values),
    }
}

const fn named(name: &'static str, by: &'static str, bound: &'static str) -> Label {
    Label {
        name,
        values: Values::Named { by, bound },
    }
}

pub(super) const READY: Entry = Entry::gauge("rsmev_ready", "0 or 1", [])
    .help("Whether the gateway can keep its promises: what /ready answers")
    .act("0: `rsmev_condition_ok` tells the condition, `/ready` the cause and the remedy.");
pub(super) const CONDITION_OK: Entry<1> = Entry::gauge("rsmev_condition_ok", "0 or 1", [CONDITION])
    .help("Whether a condition of /ready is fulfilled")
    .act("0: read message and remedy of the condition in `/ready`.");

pub(super) const MESSAGES_ACCEPTED: Entry<3> =
    Entry::counter("rsmev_messages_accepted_total", "messages", [DOOR, TYPE, KIND])
        .help("Messages made durable and answered positively")
        .act("The traffic. A kind that falls silent at its usual hours: ask its senders.")
        .contract();
pub(super) const MESSAGES_REFUSED: Entry<2> = Entry::counter("rsmev_messages_refused_total", "calls", [DOOR, FAULT])
    .help("Calls that were answered with a fault")
    .act("`rsmev journal export --type refused` names the callers and the reasons (docs/refusals.md).")
    .contract();
pub(super) const MESSAGES_DELIVERED: Entry<1> =
    Entry::counter("rsmev_messages_delivered_total", "messages", [PARTICIPANT])
        .help("Messages handed out, redeliveries included")
        .act("Much more than what is acknowledged: the participant takes messages and does not send Ack.")
        .contract();
pub(super) const MESSAGES_FORWARDED: Entry<2> = Entry::counter(
    "rsmev_messages_forwarded_total",
    "attempts",
    [UPSTREAM, OUTCOME],
)
.help("Outcomes of attempts to send upstream")
.act("`retry` that rises with nothing accepted: the upstream or the way to it. `quarantined`: `rsmev quarantine list`.")
.contract()
.appears(WITH_UPSTREAM);
pub(super) const MESSAGES_RECEIVED: Entry<1> = Entry::counter("rsmev_messages_received_total", "messages", [UPSTREAM])
    .help("Messages pulled from an upstream and accepted")
    .act("The traffic from above.")
    .contract()
    .appears(WITH_UPSTREAM);

pub(super) const QUEUE_DEPTH: Entry<1> = Entry::gauge("rsmev_queue_depth", "messages", [QUEUE])
    .help("Messages waiting, handed-out ones included")
    .act("Near `limits.queue_messages`: senders will be refused with DestinationOverflow. `rsmev queue show QUEUE`.")
    .contract();
pub(super) const QUEUE_OLDEST: Entry<1> = Entry::gauge("rsmev_queue_oldest_seconds", "seconds", [QUEUE])
    .help("Age of the oldest message")
    .act("The participant does not take its messages: ask its operator. After `smev3.message_ttl` they are given back.")
    .contract();
pub(super) const LEASES: Entry = Entry::gauge("rsmev_leases", "messages", [])
    .help("Messages handed out and not yet acknowledged")
    .act("Stays high: somebody takes and does not acknowledge; they come again after `smev3.redelivery`.")
    .contract();
pub(super) const QUARANTINE_DEPTH: Entry = Entry::gauge("rsmev_quarantine_depth", "messages", [])
    .help("Messages that a person must decide about")
    .act("Above 0: `rsmev quarantine list`, then `retry` or `reject`.")
    .contract();
pub(super) const QUEUE_PAUSED: Entry<1> = Entry::gauge("rsmev_queue_paused", "0 or 1", [QUEUE])
    .help("Whether an operator has paused the queue; of a participant's node queues one is enough")
    .act("1: nothing goes out of it until `rsmev queue resume QUEUE`; `rsmev queue list` tells who, when and why.");
pub(super) const PARTICIPANT_SUSPENDED: Entry<1> = Entry::gauge("rsmev_participant_suspended", "0 or 1", [PARTICIPANT])
    .help("Whether an operator has suspended the participant")
    .act(
        "1: its calls are refused until `rsmev participant resume`; `rsmev participant list` tells who, when and why.",
    );

pub(super) const COMMIT_SECONDS: Entry = Entry::histogram("rsmev_commit_seconds", "seconds", [])
    .help("From the beginning of a batch until it was durable")
    .act("Above 0.1 s: the disk is slow or shared.")
    .contract();
pub(super) const COMMIT_BATCH_SIZE: Entry = Entry::histogram("rsmev_commit_batch_size", "commands", [])
    .help("Commands in a batch")
    .act("Grows with the load: one sync carries more messages.")
    .contract();
pub(super) const VERIFY_SECONDS: Entry = Entry::histogram("rsmev_verify_seconds", "seconds", [])
    .help("Checking one signature, canonical forms included")
    .act("Rises with large payloads, or when the processors are busy.")
    .contract();
pub(super) const REQUEST_SECONDS: Entry<1> = Entry::histogram("rsmev_request_seconds", "seconds", [OPERATION])
    .help("From the end of a call's header to its answer")
    .act("What callers wait for; compare it with `rsmev_commit_seconds` and `rsmev_verify_seconds`.")
    .contract();

pub(super) const UPSTREAM_UP: Entry<1> = Entry::gauge("rsmev_upstream_up", "0 or 1", [UPSTREAM])
    .help("Whether the link works")
    .act("0: `/ready` names the cause. Messages wait meanwhile; nothing is lost.")
    .contract()
    .appears(WITH_UPSTREAM);
pub(super) const UPSTREAM_LAG: Entry<1> = Entry::gauge("rsmev_upstream_lag_seconds", "seconds", [UPSTREAM])
    .help("Age of the oldest message not yet accepted upstream")
    .act("Rises while the link is up: the upstream is slow or refuses; look at `rsmev_messages_forwarded_total`.")
    .contract()
    .appears(WITH_UPSTREAM);
pub(super) const UPSTREAM_HELD: Entry = Entry::gauge("rsmev_upstream_held", "0 or 1", [])
    .help("1 while nothing goes to upstreams after a restoration")
    .act("Make sure that the old gateway does not run, then `rsmev backup resume-upstream` (docs/backup.md).");

pub(super) const SPOOL_BYTES: Entry = Entry::gauge("rsmev_spool_bytes", "octets", [])
    .help("Octets of the spool on disk")
    .act("Message bodies; kept as long as `[retention]` says.")
    .contract();
pub(super) const SPOOL_NEEDED_BYTES: Entry = Entry::gauge("rsmev_spool_needed_bytes", "octets", [])
    .help("Octets of the spool that are still needed")
    .act("Stays far below `rsmev_spool_bytes` for days: report it.")
    .contract();
pub(super) const INDEX_BYTES: Entry = Entry::gauge("rsmev_index_bytes", "octets", [])
    .help("Octets of the index on disk")
    .act("Written anew by itself when it is much more than its rows.");
pub(super) const INDEX_ROW_BYTES: Entry = Entry::gauge("rsmev_index_row_bytes", "octets", [])
    .help("Octets of the rows in the index")
    .act("Grows with what waits and with what ended lately.");
pub(super) const JOURNAL_BYTES: Entry = Entry::gauge("rsmev_journal_bytes", "octets", [])
    .help("Octets of the journal on disk")
    .act("Kept for `retention.journal`; plan the disk by its growth (docs/retention.md).")
    .contract();
pub(super) const JOURNAL_LAST_SEQ: Entry = Entry::gauge("rsmev_journal_last_seq", "records", [])
    .help("Sequence number of the last record")
    .act("Only rises. A fall: the data directory is an older copy.")
    .contract();
pub(super) const JOURNAL_CUT: Entry = Entry::gauge("rsmev_journal_cut", "0 or 1", [])
    .help("1 while a cut of the journal waits for a person to take note of it")
    .act("1: look for the records in backups, then `rsmev journal acknowledge` (docs/recovery.md).");
pub(super) const JOURNAL_VERIFIED: Entry = Entry::gauge("rsmev_journal_verified_timestamp_seconds", "Unix time", [])
    .help("When the whole journal was last verified and found whole; 0 before the first time")
    .act("Older than two days: is rsmev-verify.timer enabled? `systemctl status rsmev-verify.service`.");
pub(super) const JOURNAL_VERIFICATION_FAILED: Entry = Entry::gauge("rsmev_journal_verification_failed", "0 or 1", [])
    .help("1 if the last verification of the whole journal found it damaged")
    .act("1: `rsmev journal verify` names the place; docs/recovery.md, A damaged journal.");

pub(super) const BACKUP_LAST: Entry = Entry::gauge("rsmev_backup_last_timestamp_seconds", "Unix time", [])
    .help("When the newest backup was complete; 0 before the first one")
    .act(
        "Older than two days: is rsmev-backup.timer enabled? `systemctl status rsmev-backup.service` (docs/backup.md).",
    );

pub(super) const DISK_FREE_BYTES: Entry = Entry::gauge("rsmev_disk_free_bytes", "octets", [])
    .help("Free octets on the disk of data_dir")
    .act("Below `rsmev_disk_reserve_bytes` nothing new is accepted: make room before that.")
    .contract();
pub(super) const DISK_FREE_INODES: Entry = Entry::gauge("rsmev_disk_free_inodes", "inodes", [])
    .help("Free inodes on the disk of data_dir, 0 where it does not count them")
    .act("As of octets; the bound is `limits.inode_reserve`.");
pub(super) const DISK_RESERVE_BYTES: Entry = Entry::gauge("rsmev_disk_reserve_bytes", "octets", [])
    .help("With fewer free octets nothing new is accepted")
    .act("To compare with; `limits.disk_reserve` sets it.");

pub(super) const INCIDENTS: Entry<1> = Entry::counter("rsmev_incidents_total", "incidents", [INCIDENT])
    .help("Incidents of the gateway itself")
    .act("`rsmev journal export --type incident` tells each; docs/recovery.md tells what to do.");
pub(super) const WORKER_PANICS: Entry<1> = Entry::counter("rsmev_worker_panics_total", "panics", [WORKER])
    .help("Panics that were contained")
    .act("A defect of the gateway: report it with the log.");

pub(super) const IN_FLIGHT_BYTES: Entry = Entry::gauge("rsmev_in_flight_bytes", "octets", [])
    .help("Octets of calls in work")
    .act("At `limits.in_flight_bytes` calls are answered with 503.")
    .contract();
pub(super) const CONNECTIONS: Entry = Entry::gauge("rsmev_connections", "connections", [])
    .help("Connections open at the door")
    .act("At `limits.connections` callers wait in the system's queue.");
pub(super) const CALLS_CUT_OFF: Entry<1> = Entry::counter("rsmev_calls_cut_off_total", "calls", [REASON])
    .help("Calls whose client was too slow")
    .act("Many slow heads: somebody holds connections open on purpose, or the network loses packets.");
pub(super) const CALLS_TURNED_AWAY: Entry = Entry::counter("rsmev_calls_turned_away_total", "calls", [])
    .help("Calls answered with 503 for want of room")
    .act("Rises: more comes at once than `limits.in_flight_bytes` admits.");
pub(super) const RATE_LIMITED: Entry<1> = Entry::counter("rsmev_rate_limited_total", "requests", [BY])
    .help("Requests refused because their caller makes too many")
    .act("A participant at its limit polls too often, or the limit is too low.");
pub(super) const CONNECTIONS_REFUSED: Entry = Entry::counter("rsmev_connections_refused_total", "connections", [])
    .help("Connections closed at once because their address had too many")
    .act("Several systems behind one address need a higher `limits.connections_per_address`.");

pub(super) const ARCHIVE_WAITING: Entry = Entry::gauge("rsmev_archive_waiting_segments", "segments", [])
    .help("Sealed journal segments that the archive does not have")
    .act("Stays above 0: the archive's command fails; `/ready` says why.")
    .appears(WITH_ARCHIVE);
pub(super) const ARCHIVE_SHIPPED: Entry = Entry::counter("rsmev_archive_shipped_total", "segments", [])
    .help("Journal segments that the archive took")
    .act("Rises with each sealed segment.")
    .appears(WITH_ARCHIVE);
pub(super) const ARCHIVE_FAILURES: Entry = Entry::counter("rsmev_archive_failures_total", "runs", [])
    .help("Runs of the archive's command that failed")
    .act("Each is tried again; the log has what the command said.")
    .appears(WITH_ARCHIVE);

pub(super) const CERTIFICATE_EXPIRES: Entry<1> =
    Entry::gauge("rsmev_certificate_expires_seconds", "seconds", [SUBJECT])
        .help("Until the earliest end of the subject's certificates; negative after it")
        .act("Order the next one 60 days before; a replaced one goes out of the registry or the configuration.")
        .contract();
pub(super) const BUILD_INFO: Entry<2> = Entry::gauge("rsmev_build_info", "always 1", [VERSION, COMMIT])
    .help("What is running")
    .act("Tells an upgrade in the curves.")
    .contract();

pub(super) const INCIDENTS_OPEN: Entry<1> = Entry::gauge("rsmev_incidents_open", "incidents", [RULE])
    .help("Incidents that a rule opened and that are not over")
    .act("`rsmev incidents` tells what each is about, whom it touches and what to do (docs/incidents.md).");
pub(super) const NOTIFICATIONS: Entry<2> =
    Entry::counter("rsmev_notifications_total", "attempts", [CHANNEL, NOTICE_OUTCOME])
        .help("Attempts to tell of incidents; one mail may tell of many")
        .act("`failed` without `delivered`: `rsmev incidents test-notification` says why.")
        .appears(WITH_CHANNEL);

/// Those of the process, which the client library measures.
const PROCESS: [Entry; 7] = [
    Entry::counter("process_cpu_seconds_total", "seconds", [])
        .help("Total user and system CPU time spent in seconds.")
        .act("Its rate is the number of processors in use."),
    Entry::gauge("process_resident_memory_bytes", "octets", [])
        .help("Resident memory size in bytes.")
        .act("The unit's bound is 1 GB (`MemoryMax`)."),
    Entry::gauge("process_virtual_memory_bytes", "octets", [])
        .help("Virtual memory size in bytes.")
        .act("Of no interest by itself."),
    Entry::gauge("process_open_fds", "descriptors", [])
        .help("Number of open file descriptors.")
        .act("Near `process_max_fds`: raise `LimitNOFILE` or lower `limits.connections`."),
    Entry::gauge("process_max_fds", "descriptors", [])
        .help("Maximum number of open file descriptors.")
        .act("To compare with."),
    Entry::gauge("process_threads", "threads", [])
        .help("Number of OS threads in the process.")
        .act("Bounded by the processors and 16 more."),
    Entry::gauge("process_start_time_seconds", "Unix time", [])
        .help("Start time of the process since unix epoch in seconds.")
        .act("Each change is a restart: `rsmev journal export --type incident` tells whether it was in order."),
];

/// All of it, in the order of the document.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        READY.row(),
        CONDITION_OK.row(),
        MESSAGES_ACCEPTED.row(),
        MESSAGES_REFUSED.row(),
        MESSAGES_DELIVERED.row(),
        MESSAGES_FORWARDED.row(),
        MESSAGES_RECEIVED.row(),
        QUEUE_DEPTH.row(),
        QUEUE_OLDEST.row(),
        LEASES.row(),
        QUARANTINE_DEPTH.row(),
        QUEUE_PAUSED.row(),
        PARTICIPANT_SUSPENDED.row(),
        UPSTREAM_UP.row(),
        UPSTREAM_LAG.row(),
        UPSTREAM_HELD.row(),
        COMMIT_SECONDS.row(),
        COMMIT_BATCH_SIZE.row(),
        VERIFY_SECONDS.row(),
        REQUEST_SECONDS.row(),
        SPOOL_BYTES.row(),
        SPOOL_NEEDED_BYTES.row(),
        INDEX_BYTES.row(),
        INDEX_ROW_BYTES.row(),
        JOURNAL_BYTES.row(),
        JOURNAL_LAST_SEQ.row(),
        JOURNAL_CUT.row(),
        JOURNAL_VERIFIED.row(),
        JOURNAL_VERIFICATION_FAILED.row(),
        BACKUP_LAST.row(),
        DISK_FREE_BYTES.row(),
        DISK_FREE_INODES.row(),
        DISK_RESERVE_BYTES.row(),
        INCIDENTS.row(),
        INCIDENTS_OPEN.row(),
        NOTIFICATIONS.row(),
        WORKER_PANICS.row(),
        IN_FLIGHT_BYTES.row(),
        CONNECTIONS.row(),
        CALLS_CUT_OFF.row(),
        CALLS_TURNED_AWAY.row(),
        RATE_LIMITED.row(),
        CONNECTIONS_REFUSED.row(),
        ARCHIVE_WAITING.row(),
        ARCHIVE_SHIPPED.row(),
        ARCHIVE_FAILURES.row(),
        CERTIFICATE_EXPIRES.row(),
        BUILD_INFO.row(),
    ];
    rows.extend(PROCESS.iter().map(Entry::row));
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::entry::Metric;

    #[test]
    fn every_entry_is_complete_and_named_as_prometheus_wants_it() {
        let rows = rows();
        let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len(), "a name stands for one metric");
        for row in rows {
            assert!(
                !row.help.is_empty() && !row.act.is_empty() && !row.unit.is_empty(),
                "{row:?}"
            );
            assert_eq!(
                row.metric == Metric::Counter,
                row.name.ends_with("_total"),
                "{}",
                row.name
            );
            for label in row.labels {
                assert!(!label.bound.is_empty(), "{} of {}", label.name, row.name);
                let values = label.values.unwrap_or_default();
                let distinct: BTreeSet<_> = values.iter().collect();
                assert_eq!(distinct.len(), values.len(), "{} of {}", label.name, row.name);
            }
        }
    }

    /// DESIGN §11, word for word.
    #[test]
    fn the_contract_is_kept() {
        let promised = [
            "messages_accepted_total{door,type,kind}",
            "messages_refused_total{door,fault}",
            "messages_delivered_total{participant}",
            "messages_forwarded_total{upstream,outcome}",
            "messages_received_total{upstream}",
            "queue_depth{queue}",
            "queue_oldest_seconds{queue}",
            "leases",
            "quarantine_depth",
            "upstream_up{upstream}",
            "upstream_lag_seconds{upstream}",
            "commit_seconds",
            "commit_batch_size",
            "verify_seconds",
            "request_seconds{operation}",
            "spool_bytes",
            "spool_needed_bytes",
            "journal_bytes",
            "journal_last_seq",
            "disk_free_bytes",
            "in_flight_bytes",
            "certificate_expires_seconds{subject}",
            "build_info{version,commit}",
        ];
        let shown = |row: &Row| {
            let labels: Vec<_> = row.labels.iter().map(|label| label.name).collect();
            match labels.is_empty() {
                true => row.name.to_owned(),
                false => format!("{}{{{}}}", row.name, labels.join(",")),
            }
        };
        let kept: Vec<String> = rows().iter().filter(|row| row.contract).map(shown).collect();
        assert_eq!(kept, promised.map(|name| format!("rsmev_{name}")));
    }
}
