use std::collections::BTreeMap;

use engine::IncidentStatus;
use engine::event::{Affected, OpenedIncident};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::admin::ready::{Condition, Report};
use crate::doctor::facts::{Node, Seen};
use crate::doctor::probe::{Outcome, Probe, Timing};
use crate::doctor::system::{System, Unit};
use crate::health::{CertificateFact, Health, Of, Queues, Room, StoreFacts, Suspended, Waiting};
use crate::process::Process;
use crate::verification::Status;

const DAY: i64 = 86_400;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn certificate(of: Of, days: i64) -> CertificateFact {
    CertificateFact {
        of,
        subject: "CN=somebody".to_owned(),
        not_before: ago(1000 * DAY).as_second(),
        not_after: now().as_second() + days * DAY + 60,
    }
}

fn store() -> StoreFacts {
    StoreFacts {
        room: Some(Room {
            free_bytes: 50_000_000_000,
            total_bytes: 100_000_000_000,
            reserve_bytes: 1_000_000_000,
            free_inodes: 1_000_000,
            total_inodes: 2_000_000,
            reserve_inodes: 1_000,
        }),
        spool_bytes: 3_000_000,
        spool_needed_bytes: Some(1_000_000),
        journal_bytes: 4_000_000,
        index_bytes: 5_000_000,
        last_seq: Some(1000),
        format: Some("4".to_owned()),
        queues: Queues::default(),
        quarantine: 0,
        quarantine_since: None,
        verification: Status {
            whole_at: Some(ago(DAY)),
            failed: None,
        },
        backup: Some(engine::BackupDone {
            at: ago(DAY),
            through: 900,
        }),
    }
}

fn health() -> Health {
    let condition = |name: &str| Condition {
        name: name.to_owned(),
        ok: true,
        since: ago(7200),
        message: "ok".to_owned(),
        remedy: String::new(),
        message_ru: String::new(),
        remedy_ru: String::new(),
    };
    Health {
        ready: Report {
            ready: true,
            conditions: ["journal", "disk", "upstream/federal"].map(condition).into(),
            test_clock: None,
        },
        version: "1.0.0".to_owned(),
        commit: "abc".to_owned(),
        started: ago(7200),
        process: Process {
            pid: 7,
            open_files: Some(40),
            max_files: Some(1536),
            resident_bytes: Some(50_000_000),
            max_bytes: Some(1_000_000_000),
        },
        store: store(),
        certificates: Vec::new(),
        incidents: Vec::new(),
        metrics: None,
    }
}

/// A gateway at which nothing is wrong.
fn facts() -> Facts {
    Facts {
        at: now(),
        system: System {
            version: "1.0.0",
            commit: "abc",
            sled: "0.34",
            kernel: Some("6.1".to_owned()),
            libc: Some("glibc 2.36".to_owned()),
            distribution: None,
        },
        node: Some(Node {
            mnemonic: "RSMEV73".to_owned(),
            data_dir: "/var/lib/rsmev".to_owned(),
        }),
        gateway: Gateway::Running(Box::new(health())),
        store: Seen::So(store()),
        key: Seen::So(()),
        certificates: vec![
            certificate(Of::Gateway, 200),
            certificate(Of::Door, 90),
            certificate(Of::Upstream, 61),
            certificate(Of::Participant("MUN001".parse().unwrap()), 112),
        ],
        upstreams: vec![answering(0)],
        units: Vec::new(),
        check: Vec::new(),
    }
}

fn answering(ahead: i64) -> Probe {
    Probe {
        name: "federal".to_owned(),
        url: "http://bus/ws".to_owned(),
        outcome: Outcome::Answers(Timing {
            status: 200,
            resolve_ms: 1,
            connect_ms: 2,
            tls_ms: Some(3),
            answer_ms: 4,
            ahead_seconds: Some(ahead),
        }),
    }
}

fn with_store(change: impl FnOnce(&mut StoreFacts)) -> Facts {
    let mut store = store();
    change(&mut store);
    Facts {
        store: Seen::So(store),
        ..facts()
    }
}

/// Whatever is not in order: level, subject, text.
fn wrong(facts: &Facts) -> Vec<(Level, String, String)> {
    let lines = assess(facts).into_iter().filter(|line| line.level != Level::Ok);
    lines.map(|line| (line.level, line.subject, line.text)).collect()
}

/// The one thing that is not in order.
#[track_caller]
fn only(facts: &Facts) -> (Level, String, String) {
    let mut wrong = wrong(facts);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong.remove(0)
}

#[track_caller]
fn is(facts: &Facts, level: Level, subject: &str, text: &str) {
    let found = only(facts);
    assert_eq!((found.0, found.1.as_str()), (level, subject), "{found:?}");
    assert!(found.2.contains(text), "{found:?}");
}

#[test]
fn a_gateway_at_which_nothing_is_wrong_has_all_lines_and_each_is_ok() {
    assert_eq!(wrong(&facts()), []);
    let lines = assess(&facts());
    let subjects: Vec<_> = lines.iter().map(|line| line.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "gateway",
            "ready",
            "incidents",
            "disk",
            "inodes",
            "storage",
            "queues",
            "quarantine",
            "journal",
            "backup",
            "key",
            "certificate of the gateway",
            "certificate of smev3.tls",
            "certificate of upstream",
            "certificates",
            "upstream federal",
            "clock",
            "open files",
            "memory",
            "versions",
            "check",
        ]
    );
    assert!(lines.iter().all(|line| line.remedy.is_empty()));
}

#[test]
fn a_gateway_that_does_not_run_or_does_not_tell_is_trouble() {
    let stopped = Facts {
        gateway: Gateway::Stopped,
        ..facts()
    };
    is(&stopped, Level::Trouble, "gateway", "not running");
    let unusable = Facts { node: None, ..stopped };
    is(&unusable, Level::Trouble, "gateway", "configuration");
    let silent = Facts {
        gateway: Gateway::Silent("no".to_owned()),
        ..facts()
    };
    is(&silent, Level::Trouble, "gateway", "does not tell how it is: no");
}

#[test]
fn a_condition_that_is_not_fulfilled_is_trouble_unless_messages_can_wait() {
    for (at, level) in [(1, Level::Trouble), (2, Level::Warning)] {
        let mut health = health();
        let condition = &mut health.ready.conditions[at];
        condition.ok = false;
        "it hurts".clone_into(&mut condition.message);
        "rest".clone_into(&mut condition.remedy);
        let subject = format!("ready {}", condition.name);
        let facts = Facts {
            gateway: Gateway::Running(Box::new(health)),
            ..facts()
        };
        is(&facts, level, &subject, "it hurts, for 2h 0m");
        assert!(assess(&facts).iter().any(|line| line.remedy == "rest"));
    }
}

#[test]
fn open_incidents_are_told_with_their_severity() {
    for (severity, level) in [
        (Severity::Warning, Level::Warning),
        (Severity::Critical, Level::Trouble),
    ] {
        let mut health = health();
        health.incidents.push(IncidentStatus {
            id: 31,
            opened_at: ago(7200),
            opened: OpenedIncident {
                rule: "upstream_down".to_owned(),
                subject: "federal".to_owned(),
                severity,
                text: "it does not answer".to_owned(),
                affected: Affected::default(),
            },
            closed: None,
            notices: Vec::new(),
        });
        let facts = Facts {
            gateway: Gateway::Running(Box::new(health)),
            ..facts()
        };
        is(
            &facts,
            level,
            "incident",
            "upstream_down (federal), for 2h 0m: it does not answer",
        );
        assert!(
            assess(&facts)
                .iter()
                .any(|line| line.remedy.contains("incidents show 31"))
        );
    }
}

#[test]
fn the_disk_is_judged_by_what_must_stay_free() {
    let free = |bytes, inodes| {
        with_store(|store| {
            let room = store.room.as_mut().unwrap();
            (room.free_bytes, room.free_inodes) = (bytes, inodes);
        })
    };
    is(&free(999_999_999, 9_000), Level::Trouble, "disk", "1000.0 MB");
    is(&free(1_400_000_000, 9_000), Level::Warning, "disk", "1.4 GB");
    assert_eq!(wrong(&free(1_500_000_000, 5_000)), []);
    is(&free(2_000_000_000, 4_999), Level::Warning, "inodes", "4999");
    is(&free(2_000_000_000, 999), Level::Trouble, "inodes", "999");
}

#[test]
fn queues_are_judged_by_their_oldest_message() {
    let queue = |name: &str, hours: i64| Waiting {
        queue: name.to_owned(),
        messages: 3,
        leased: 0,
        bytes: 9,
        oldest: Some(ago(hours * 3600)),
        paused: None,
        suspended: None,
    };
    let of = |queues: Vec<Waiting>| {
        with_store(|store| {
            store.queues = Queues {
                count: queues.len() as u64,
                messages: 9,
                oldest: queues,
            };
        })
    };
    assert_eq!(wrong(&of(vec![queue("A/requests", 3)])), []);
    let mut paused = queue("A/requests", 3);
    paused.paused = Some("by root".to_owned());
    is(&of(vec![paused]), Level::Note, "queue A/requests", "paused by root");
    let mut paused = queue("A/requests", 200);
    paused.paused = Some("by root".to_owned());
    is(&of(vec![paused]), Level::Warning, "queue A/requests", "8d 8h");
    let suspended = ["A/requests", "A/responses"].map(|name| Waiting {
        suspended: Some(Suspended {
            participant: "A".parse().unwrap(),
            halt: "by root".to_owned(),
        }),
        ..queue(name, 200)
    });
    let suspended = of(suspended.into());
    is(
        &suspended,
        Level::Warning,
        "participant A",
        "by root; 6 messages wait, the oldest for 8d 8h",
    );
    let lines = assess(&suspended);
    assert!(
        lines
            .iter()
            .any(|line| line.remedy.contains("`rsmev participant resume A`"))
    );
    let old = of(vec![queue("A/requests", 5)]);
    is(&old, Level::Warning, "queue A/requests", "5h 0m");
    let very_old = of(vec![queue("upstream/federal", 200)]);
    is(&very_old, Level::Trouble, "queue upstream/federal", "8d 8h");
    let many = of((0..8).map(|n| queue(&format!("A{n}/requests"), 5)).collect());
    let wrong = wrong(&many);
    assert_eq!(wrong.len(), 6);
    assert!(wrong[5].2.contains("3 more"), "{wrong:?}");
}

#[test]
fn quarantine_verification_and_backups_are_judged_by_their_age() {
    let held = with_store(|store| {
        store.quarantine = 2;
        store.quarantine_since = Some(ago(600));
    });
    is(
        &held,
        Level::Warning,
        "quarantine",
        "2 messages wait for a decision, the oldest for 10m",
    );
    let damaged = with_store(|store| store.verification.failed = Some("record 7".to_owned()));
    is(&damaged, Level::Trouble, "journal", "record 7");
    let never = with_store(|store| store.verification = Status::default());
    is(&never, Level::Note, "journal", "never");
    let old = with_store(|store| store.verification.whole_at = Some(ago(50 * 3600)));
    is(&old, Level::Warning, "journal", "2d 2h ago");
    let none = with_store(|store| store.backup = None);
    is(&none, Level::Note, "backup", "none");
    let old = with_store(|store| store.backup.as_mut().unwrap().at = ago(2 * DAY + 1));
    is(&old, Level::Warning, "backup", "2d 0h ago, 100 records before");
}

#[test]
fn certificates_are_marked_at_60_30_and_7_days() {
    let with = |certificate| Facts {
        certificates: vec![certificate],
        ..facts()
    };
    let participant = || Of::Participant("MUN001".parse().unwrap());
    for (days, own, other) in [
        (59, Level::Note, Level::Note),
        (29, Level::Warning, Level::Warning),
        (6, Level::Trouble, Level::Warning),
        (-3, Level::Trouble, Level::Warning),
    ] {
        for of in [Of::Gateway, Of::Door] {
            assert_eq!(only(&with(certificate(of, days))).0, own, "{days}");
        }
        for of in [Of::Upstream, participant()] {
            assert_eq!(only(&with(certificate(of, days))).0, other, "{days}");
        }
    }
    is(
        &with(certificate(participant(), -3)),
        Level::Warning,
        "certificate of MUN001",
        "expired 2 days ago",
    );
    let mut early = certificate(Of::Gateway, 90);
    early.not_before = now().as_second() + 2 * DAY;
    is(
        &with(early),
        Level::Trouble,
        "certificate of the gateway",
        "not valid yet",
    );
    let many = Facts {
        certificates: (0..14).map(|_| certificate(participant(), 20)).collect(),
        ..facts()
    };
    assert_eq!(wrong(&many).len(), 11, "ten by name, and a word of the rest");
}

#[test]
fn a_key_that_does_not_fit_is_trouble_and_one_that_may_not_be_read_is_not() {
    let with = |key, gateway| Facts {
        key,
        gateway,
        ..facts()
    };
    let running = || Gateway::Running(Box::new(health()));
    let wrong_key = with(Seen::Wrong("another key".to_owned()), running());
    is(&wrong_key, Level::Trouble, "key", "could not start again: another key");
    assert_eq!(wrong(&with(Seen::NotAllowed("denied".to_owned()), running())), []);
}

#[test]
fn an_upstream_that_does_not_answer_and_a_clock_that_is_wrong_are_told() {
    let down = Facts {
        upstreams: vec![Probe {
            outcome: Outcome::Fails("refused".to_owned()),
            ..answering(0)
        }],
        ..facts()
    };
    let found = wrong(&down);
    assert_eq!((found[0].0, found[0].1.as_str()), (Level::Trouble, "upstream federal"));
    assert_eq!((found[1].0, found[1].1.as_str()), (Level::Note, "clock"));
    let clock = |ahead| Facts {
        upstreams: vec![answering(ahead)],
        ..facts()
    };
    assert_eq!(wrong(&clock(-5)), []);
    is(&clock(6), Level::Warning, "clock", "6s (6 s) ahead of");
    is(&clock(-7200), Level::Trouble, "clock", "2h 0m (7200 s) behind");
}

#[test]
fn limits_units_and_versions_are_judged() {
    let with = |change: fn(&mut Health)| {
        let mut health = health();
        change(&mut health);
        Facts {
            gateway: Gateway::Running(Box::new(health)),
            ..facts()
        }
    };
    let files = with(|health| health.process.open_files = Some(1300));
    is(&files, Level::Warning, "open files", "1300 of 1536");
    let memory = with(|health| health.process.resident_bytes = Some(900_000_000));
    is(&memory, Level::Warning, "memory", "900.0 MB of 1.0 GB");
    let other = with(|health| "0.9.0".clone_into(&mut health.version));
    is(&other, Level::Warning, "versions", "0.9.0");
    let unit = |name: &str, active: &str, state: &str| {
        let properties = [("ActiveState", active), ("UnitFileState", state), ("NRestarts", "0")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Facts {
            units: vec![Unit {
                name: name.to_owned(),
                properties: BTreeMap::from(properties),
            }],
            ..facts()
        }
    };
    assert_eq!(wrong(&unit("rsmev.service", "active", "enabled")), []);
    is(
        &unit("rsmev.service", "failed", "enabled"),
        Level::Trouble,
        "unit rsmev.service",
        "failed",
    );
    let starting = unit("rsmev.service", "activating", "enabled");
    is(&starting, Level::Note, "unit rsmev.service", "activating");
    let lines = assess(&starting);
    assert!(lines.iter().any(|line| line.remedy.starts_with("is being started")));
    let timer = unit("rsmev-backup.timer", "inactive", "disabled");
    is(&timer, Level::Warning, "unit rsmev-backup.timer", "inactive");
}

#[test]
fn what_check_finds_is_told_once() {
    let finding = |level, key: &str, text: &str| check::Finding {
        level,
        place: "gateway.toml:3".to_owned(),
        key: key.to_owned(),
        text: text.to_owned(),
        term: false,
    };
    let with = |finding| Facts {
        check: vec![finding],
        ..facts()
    };
    let unknown = with(finding(check::Level::Error, "smev3.lisen", "is unknown"));
    is(
        &unknown,
        Level::Trouble,
        "check",
        "gateway.toml:3: smev3.lisen: is unknown",
    );
    let warned = with(finding(check::Level::Warning, "smev3.listen", "no TLS"));
    is(&warned, Level::Warning, "check", "no TLS");
    let denied = with(finding(
        check::Level::Error,
        "storage.master_key",
        "Permission denied (os error 13)",
    ));
    is(&denied, Level::Note, "check", "denied");
    let term = check::Finding {
        term: true,
        ..finding(check::Level::Error, "upstream[1].trusted_signers[1]", "expired")
    };
    assert_eq!(wrong(&with(term)), []);
    assert_eq!(
        wrong(&with(finding(check::Level::Error, "keys.certificate", "another key"))),
        []
    );
    assert_eq!(
        wrong(&with(finding(check::Level::Warning, "limits.disk_reserve", "low"))),
        []
    );
}
