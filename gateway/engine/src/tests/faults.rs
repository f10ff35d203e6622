//! What a running engine does when the machine fails it.

use jiff::SignedDuration;
use journal::disk::{RealDisk, Space};

use crate::Engine;
use crate::command::{Acknowledge, ForwardOutcome, Refusal, Take, TakeFrom};
use crate::event::Event;
use crate::names::MessageId;
use crate::testing::{Running, TellingDisk, evidence, id_at, mnemonic, participant, request, upstream};

const GB: u64 = 1_000_000_000;

/// The incidents in the journal: kinds and texts.
fn incidents(running: &Running) -> Vec<(String, String)> {
    let filter = journal::read::Filter {
        contains: Some("\"incident\"".to_owned()),
        ..Default::default()
    };
    let journal = running.settings.data_dir.join("journal");
    let records = journal::read::records(RealDisk::shared(), &journal, filter).unwrap();
    let incident = |record: journal::Record| match serde_json::from_str(record.event.get()).unwrap() {
        Event::Incident { kind, text } => Some((kind, text)),
        _ => None,
    };
    records.filter_map(|record| incident(record.unwrap())).collect()
}

fn kinds(running: &Running) -> Vec<String> {
    incidents(running).into_iter().map(|(kind, _)| kind).collect()
}

/// The message of a condition that is not fulfilled.
fn complaint(engine: &Engine, name: &str) -> Option<String> {
    let condition = engine.conditions().into_iter().find(|condition| condition.name == name);
    condition
        .filter(|condition| !condition.ok)
        .map(|condition| condition.message)
}

async fn accept(engine: &Engine, number: u32, kind: &str) -> Result<MessageId, Refusal> {
    let id = id_at(engine.now(), number);
    engine.accept(request(participant("CITY"), id, kind)).await.map(|_| id)
}

/// A local message is handed out and acknowledged.
async fn deliver(engine: &Engine) -> MessageId {
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    let taken = engine.take(take).await.unwrap().expect("a message waits");
    let target = taken.message_id;
    let ack = Acknowledge {
        participant: mnemonic("LAND"),
        target,
        accepted: true,
        evidence: evidence(),
    };
    engine.acknowledge(ack).await.unwrap();
    target
}

/// A message is forwarded.
async fn forward(engine: &Engine) -> MessageId {
    let lane = engine.lanes(&upstream()).remove(0);
    let head = engine.lane_head(&lane).unwrap().expect("a message waits").message;
    engine.forward_started(head.seq, head.message_id).await.unwrap();
    engine
        .forward_outcome(head.seq, ForwardOutcome::Accepted)
        .await
        .unwrap();
    head.message_id
}

#[tokio::test]
async fn with_little_room_intake_stops_delivery_goes_on_and_intake_resumes_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    let disk = TellingDisk::default();
    running.disk = disk.shared();
    running.settings.disk_reserve = None;
    let room = |free_bytes, free_files| Space {
        free_bytes,
        free_files,
        total_bytes: 5 * GB,
        total_files: 5_000,
    };
    let plenty = room(GB, 2_000);
    disk.tell(plenty);
    let engine = running.region().await;
    engine.tick().await;
    assert_eq!(engine.gauges().disk_reserve_bytes, GB / 2);
    for (lack, word) in [
        (room(GB / 2 - 1, 2_000), "limits.disk_reserve"),
        (room(GB, 499), "limits.inode_reserve"),
    ] {
        let local = accept(&engine, 1, "plan").await.unwrap();
        let north = accept(&engine, 2, "pass").await.unwrap();
        disk.tell(lack);
        engine.tick().await;
        assert!(matches!(accept(&engine, 3, "plan").await, Err(Refusal::Unavailable(_))));
        let complaint = complaint(&engine, "disk").expect("the disk is not in order");
        assert!(complaint.contains(word), "{complaint}");
        assert_eq!((deliver(&engine).await, forward(&engine).await), (local, north));
        assert_eq!(engine.gauges().disk_free_bytes, lack.free_bytes);

        disk.tell(plenty);
        engine.tick().await;
        accept(&engine, 3, "plan").await.unwrap();
        deliver(&engine).await;
        running.time.pass(SignedDuration::from_mins(10));
    }
    engine.shutdown().await;
    let expected = ["disk_low", "disk_recovered", "disk_low", "disk_recovered"];
    assert_eq!(kinds(&running), expected);
    assert_eq!(engine.incidents(), [("disk_low", 2), ("disk_recovered", 2)]);
}

#[tokio::test]
async fn a_disk_at_its_limit_does_not_fill_the_journal_with_incidents() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    let disk = TellingDisk::default();
    running.disk = disk.shared();
    running.settings.disk_reserve = Some(GB);
    let engine = running.region().await;
    for _ in 0..20 {
        for free_bytes in [GB - 1, 2 * GB] {
            disk.tell(Space {
                free_bytes,
                ..Space::default()
            });
            engine.tick().await;
            running.time.pass(SignedDuration::from_secs(1));
        }
    }
    engine.shutdown().await;
    assert_eq!(kinds(&running), ["disk_low", "disk_recovered"]);
    assert_eq!(engine.incidents(), [("disk_low", 20), ("disk_recovered", 20)]);
}
