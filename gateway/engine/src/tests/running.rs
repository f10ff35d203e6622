//! What a running engine shows and tells.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use journal::disk::{Disk, RealDisk};

use crate::command::{Acknowledge, ForwardOutcome, Refusal, RefusedCall, RegistryChange, Take, TakeFrom};
use crate::names::Queue;
use crate::registry::RegistryContent;
use crate::testing::{Running, content, evidence, id_at, mnemonic, participant, request, upstream};
use crate::{CheckpointVerifier, Engine, RegistryError};

/// Ticks until something that helpers do has happened.
pub(super) async fn until(engine: &Engine, what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not happen");
        engine.tick().await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_story_is_told_from_acceptance_to_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let id = id_at(engine.now(), 1);
    engine.accept(request(participant("CITY"), id, "plan")).await.unwrap();
    engine
        .accept(request(participant("CITY"), id_at(engine.now(), 2), "plan"))
        .await
        .unwrap();
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take.clone()).await.unwrap();
    running.time.pass(SignedDuration::from_mins(20));
    engine.tick().await;
    engine.take(take).await.unwrap();
    let ack = Acknowledge {
        participant: mnemonic("LAND"),
        target: id,
        accepted: true,
        evidence: evidence(),
    };
    engine.acknowledge(ack).await.unwrap();

    let steps = |engine: &Engine| -> Vec<String> {
        let story = engine.trace(id).unwrap();
        story
            .iter()
            .map(|entry| entry.event["type"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected = ["accepted", "handed_out", "lease_expired", "handed_out", "acknowledged"];
    assert_eq!(steps(&engine), expected);
    engine.shutdown().await;
    let story = crate::trace(RealDisk::shared(), dir.path(), id).unwrap();
    assert_eq!(story.len(), expected.len(), "and by a stopped one");
}

#[tokio::test]
async fn queues_lanes_and_statistics_show_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Running::new(dir.path()).region().await;
    let work = engine.upstream_work(&upstream());
    for (n, kind) in [(1, "plan"), (2, "plan"), (3, "pass"), (4, "pass")] {
        engine
            .accept(request(participant("CITY"), id_at(engine.now(), n), kind))
            .await
            .unwrap();
    }
    engine
        .accept(request(participant("TOWN"), id_at(engine.now(), 5), "pass"))
        .await
        .unwrap();
    work.notified().await;
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take).await.unwrap();

    let queues = engine.queues();
    let shown: Vec<_> = queues
        .iter()
        .map(|q| (q.queue.to_string(), q.messages, q.leased))
        .collect();
    let expected = [
        ("LAND/requests".to_owned(), 2, 1),
        ("upstream/federal".to_owned(), 3, 0),
    ];
    assert_eq!(shown, expected);
    let listed = engine.queue(&Queue::Requests(mnemonic("LAND")), 10);
    assert_eq!(
        listed.iter().map(|m| m.leased_until.is_some()).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(
        engine.statistics(&mnemonic("LAND"), None)[0],
        ("LAND/requests".to_owned(), 1)
    );

    let lanes = engine.lanes(&upstream());
    assert_eq!(
        lanes.iter().map(|lane| lane.sender.as_str()).collect::<Vec<_>>(),
        ["CITY", "TOWN"]
    );
    let head = engine.lane_head(&lanes[0]).unwrap().unwrap();
    assert_eq!((head.message.message_id, head.attempts), (id_at(engine.now(), 3), 0));
    engine
        .forward_started(head.message.seq, head.message.message_id)
        .await
        .unwrap();
    engine
        .forward_outcome(head.message.seq, ForwardOutcome::Accepted)
        .await
        .unwrap();
    let head = engine.lane_head(&lanes[0]).unwrap().unwrap();
    assert_eq!(head.message.message_id, id_at(engine.now(), 4));
    assert_eq!(engine.gauges().leases, 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn the_journal_verifies_with_its_checkpoints_and_not_when_it_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    for n in 0..400 {
        engine
            .accept(request(participant("CITY"), id_at(engine.now(), n), "plan"))
            .await
            .unwrap();
    }
    engine.shutdown().await;
    let certificate = running.certificate.clone();
    let lookup = |_: &str| Ok(certificate.clone());
    let mut verifier = CheckpointVerifier::new(&lookup);
    let disk = RealDisk::shared();
    let journal = dir.path().join("journal");
    let report = journal::verify::verify(&disk, &journal, journal::verify::Range::default(), &mut |record| {
        verifier.check(record)
    })
    .unwrap();
    assert!(report.segments > 1, "each closed segment ends with a checkpoint");
    assert!(verifier.checked() >= report.segments);
    assert_eq!(verifier.last(), Some(report.last_seq - 1));

    let other = Running::new(dir.path()).certificate;
    let lookup = |_: &str| Ok(other.clone());
    let mut verifier = CheckpointVerifier::new(&lookup);
    let refused = journal::verify::verify(&disk, &journal, journal::verify::Range::default(), &mut |record| {
        verifier.check(record)
    });
    assert!(refused.unwrap_err().to_string().contains("does not verify"));
}

#[tokio::test]
async fn refusals_are_journaled_for_known_participants_within_measure() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let taken = id_at(engine.now(), 1);
    engine
        .accept(request(participant("TOWN"), taken, "pass"))
        .await
        .unwrap();
    let record = |participant: &str, verified, fault, reason| {
        engine.record_refusal(RefusedCall {
            door: "smev3",
            participant: mnemonic(participant),
            verified,
            address: [192, 0, 2, 7].into(),
            operation: "SendRequest",
            fault,
            reason,
            message_id: Some(taken),
        });
    };
    for _ in 0..30 {
        let refusal = engine
            .accept(request(participant("CITY"), taken, "plan"))
            .await
            .unwrap_err();
        record("CITY", true, "InvalidMessageIdFormat", refusal.reason());
    }
    for _ in 0..15 {
        record("TOWN", false, "SignatureVerificationFault", "signature_invalid");
        record("CITY", false, "SignatureVerificationFault", "signature_invalid");
    }
    record("TOWN", true, "SignatureVerificationFault", "timestamp");
    engine.shutdown().await;
    let journaled = |text: &str| -> Vec<String> {
        let filter = journal::read::Filter {
            contains: Some(text.to_owned()),
            ..Default::default()
        };
        let records = journal::read::records(RealDisk::shared(), &dir.path().join("journal"), filter).unwrap();
        records.map(|record| record.unwrap().event.get().to_owned()).collect()
    };
    let refused = journaled("\"refused\"");
    assert_eq!(
        refused.len(),
        41,
        "twenty of CITY, twenty of whoever claims to be one of them, one of TOWN"
    );
    let expected = r#""operation":"SendRequest","fault":"InvalidMessageIdFormat","reason":"foreign_id""#;
    assert!(refused[0].contains(expected), "{}", refused[0]);
    assert!(
        refused[0].contains(r#""verified":true,"address":"192.0.2.7""#),
        "{}",
        refused[0]
    );
    assert!(refused[20].contains(r#""verified":false"#), "{}", refused[20]);
    assert!(
        refused[40].contains("timestamp") && !refused[40].contains("omitted"),
        "{}",
        refused[40]
    );
    assert_eq!(journaled("\"incident\"").len(), 20, "what causes them is limited alike");
}

#[tokio::test]
async fn a_registry_that_contradicts_itself_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Running::new(dir.path()).region().await;
    let mut changes = engine.registry_changed();
    changes.mark_unchanged();
    let mut wrong = RegistryContent {
        routes: content().routes,
        ..RegistryContent::default()
    };
    wrong.routes[0].to = participant("NOBODY");
    let change = RegistryChange {
        content: wrong,
        prune: false,
        blobs: BTreeMap::new(),
    };
    let refused = engine.apply_registry(change, "operator").await.unwrap_err();
    assert!(matches!(refused, RegistryError::Contradiction(found) if found[0].contains("NOBODY")));
    let blobs = BTreeMap::from([("00".repeat(32), b"content".to_vec())]);
    let change = RegistryChange {
        content: content(),
        prune: false,
        blobs,
    };
    assert!(matches!(
        engine.apply_registry(change, "operator").await,
        Err(RegistryError::Digest(_))
    ));
    let same = RegistryChange {
        content: content(),
        prune: true,
        blobs: BTreeMap::new(),
    };
    assert_eq!(
        engine.apply_registry(same, "operator").await.unwrap(),
        crate::command::RegistryDiff::default()
    );
    assert!(!changes.has_changed().unwrap());
    engine.shutdown().await;
}

#[tokio::test]
async fn below_the_disk_reserve_nothing_new_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.disk_reserve = Some(RealDisk.free_space(dir.path()).unwrap() * 2);
    let engine = running.region().await;
    engine.tick().await;
    let refused = engine
        .accept(request(participant("CITY"), id_at(engine.now(), 1), "plan"))
        .await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))));
    let disk = engine
        .conditions()
        .into_iter()
        .find(|condition| condition.name == "disk")
        .unwrap();
    assert!(!disk.ok && disk.message.contains("disk_reserve"));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_clock_behind_the_journal_is_noticed_and_mends_itself() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    running.time.pass(-SignedDuration::from_mins(6));
    let try_one = |n| engine.accept(request(participant("CITY"), id_at(engine.now(), n), "plan"));
    assert!(matches!(try_one(1).await, Err(Refusal::Unavailable(_))));
    engine.tick().await;
    assert!(
        engine
            .conditions()
            .iter()
            .any(|condition| condition.name == "clock" && !condition.ok)
    );
    running.time.pass(SignedDuration::from_mins(6));
    assert!(try_one(2).await.is_ok());
    engine.tick().await;
    assert!(engine.conditions().iter().all(|condition| condition.ok));
    engine.shutdown().await;
}

#[tokio::test]
async fn after_the_end_callers_hear_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Running::new(dir.path()).region().await;
    engine.shutdown().await;
    let refused = engine
        .accept(request(participant("CITY"), id_at(engine.now(), 1), "plan"))
        .await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))));
}
