//! What a running engine does when the machine fails it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use journal::disk::{RealDisk, Space};
use testdisk::MemDisk;

use super::running::until;
use super::{copy, rows};
use crate::command::{Acknowledge, ForwardOutcome, QuarantineDecision, Refusal, Take, TakeFrom};
use crate::event::Event;
use crate::names::MessageId;
use crate::testing::{Running, TellingDisk, evidence, id_at, mnemonic, participant, request, scratch, upstream};
use crate::{Engine, Unreadable, Worker};

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

pub(super) fn kinds(running: &Running) -> Vec<String> {
    incidents(running).into_iter().map(|(kind, _)| kind).collect()
}

/// The rows, but for the position: that goes on with every start.
fn rows_of_messages(data_dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = rows(data_dir);
    rows.retain(|key, _| key != b"\0position");
    rows
}

/// The message of a condition that is not fulfilled.
pub(super) fn complaint(engine: &Engine, name: &str) -> Option<String> {
    let condition = engine.conditions().into_iter().find(|condition| condition.name == name);
    condition
        .filter(|condition| !condition.ok)
        .map(|condition| condition.message)
}

pub(super) async fn accept(engine: &Engine, number: u32, kind: &str) -> Result<MessageId, Refusal> {
    let id = id_at(engine.now(), number);
    engine.accept(request(participant("CITY"), id, kind)).await.map(|_| id)
}

/// A local message is handed out and acknowledged.
pub(super) async fn deliver(engine: &Engine) -> MessageId {
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
pub(super) async fn forward(engine: &Engine) -> MessageId {
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
    assert_eq!(engine.incidents()[..2], [("disk_low", 2), ("disk_recovered", 2)]);
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
    assert_eq!(engine.incidents()[..2], [("disk_low", 20), ("disk_recovered", 20)]);
}

#[tokio::test]
async fn a_disk_full_in_the_middle_of_a_write_is_survived_and_intake_resumes() {
    let dir = scratch();
    let mut running = Running::new(dir.path());
    let disk = MemDisk::below(dir.path());
    running.disk = disk.shared();
    running.settings.store.journal_segment_bytes = 32 << 10;
    let engine = running.region().await;
    let mut accepted = 0;
    // Segments roll over now and then, and there is no room for the next one.
    for number in 0..400 {
        disk.set_space(Some(disk.used() + 8_000));
        match accept(&engine, number, "plan").await {
            Ok(_) => accepted += 1,
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
                assert!(complaint(&engine, "disk").is_some());
                disk.set_space(None);
                engine.tick().await;
                assert_eq!(complaint(&engine, "disk"), None);
                accept(&engine, number, "plan").await.unwrap();
                accepted += 1;
            }
        }
    }
    assert_eq!(accepted, 400);
    let refused = engine.incidents()[0];
    assert!(refused.1 > 1, "{refused:?}");
    engine.shutdown().await;
    let engine = Running {
        disk: disk.after_kill().shared(),
        ..running
    }
    .start()
    .unwrap();
    assert_eq!(engine.gauges().queues[0].messages, 400);
    engine.shutdown().await;
}

#[tokio::test]
async fn after_a_failed_write_or_sync_nothing_is_promised_and_the_next_start_checks_the_end() {
    for part in [".journal", ".spool"] {
        for sync in [false, true] {
            let dir = scratch();
            let mut running = Running::new(dir.path());
            let disk = MemDisk::below(dir.path());
            running.disk = disk.shared();
            let engine = running.region().await;
            let kept = accept(&engine, 1, "plan").await.unwrap();
            if sync {
                disk.fail_sync_of(Some(part));
            } else {
                disk.fail_write_to(Some(part));
            }
            let refusal = accept(&engine, 2, "plan").await.unwrap_err();
            assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
            let why = engine.failed().await;
            let doing = if sync { "syncing" } else { "writing" };
            assert!(
                why.contains(doing) && why.contains(part) && why.contains("os error 5"),
                "{why}"
            );
            assert!(accept(&engine, 3, "plan").await.is_err(), "it is over");
            drop(engine);

            running.disk = disk.after_crash().shared();
            let engine = running.start().unwrap();
            engine.tick().await;
            assert_eq!(engine.trace(kept).unwrap().len(), 1);
            accept(&engine, 4, "plan").await.unwrap();
            assert_eq!(deliver(&engine).await, kept);
            let told = engine.incidents();
            assert!(told.contains(&("unclean_end", 1)), "{told:?}");
            engine.shutdown().await;
        }
    }
}

#[tokio::test]
async fn on_a_file_system_that_turned_read_only_nothing_is_promised_and_nothing_is_lost() {
    let dir = scratch();
    let mut running = Running::new(dir.path());
    let disk = MemDisk::below(dir.path());
    running.disk = disk.shared();
    let engine = running.region().await;
    let kept = accept(&engine, 1, "plan").await.unwrap();
    disk.set_read_only(true);
    let refusal = accept(&engine, 2, "plan").await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
    let why = engine.failed().await;
    assert!(why.contains("os error 30"), "{why}");
    drop(engine);
    // As long as it stays so, no start.
    let refused = running.start().err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains("os error 30"), "{refused}");

    running.disk = disk.after_crash().shared();
    let engine = running.start().unwrap();
    assert_eq!(deliver(&engine).await, kept);
    accept(&engine, 2, "plan").await.unwrap();
    engine.tick().await;
    let told = engine.incidents();
    assert!(told.contains(&("unclean_end", 1)), "{told:?}");
    engine.shutdown().await;
}

#[tokio::test]
async fn an_index_that_a_power_loss_left_behind_is_never_trusted() {
    let dir = scratch();
    let mut running = Running::new(dir.path());
    let disk = TellingDisk::default();
    running.disk = disk.shared();
    let index = dir.path().join("index");
    let images = [1, 2].map(|number| dir.path().join(format!("image-{number}")));
    let mut number = 0;
    let mut engine = running.region().await;
    for image in &images {
        for _ in 0..200 {
            number += 1;
            accept(&engine, number, "plan").await.unwrap();
            deliver(&engine).await;
        }
        engine.shutdown().await;
        copy(&index, image);
        engine = running.start().unwrap();
    }
    for _ in 0..50 {
        number += 1;
        accept(&engine, number, "plan").await.unwrap();
    }
    engine.shutdown().await;
    let expected = rows_of_messages(dir.path());
    let [older, newer] = &images;
    let mixed = dir.path().join("mixed");
    copy(newer, &mixed);
    for entry in std::fs::read_dir(older).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            std::fs::copy(entry.path(), mixed.join(entry.file_name())).unwrap();
        }
    }
    let session = std::fs::read(dir.path().join("SESSION")).unwrap();
    for image in [older, newer, &mixed] {
        // After an orderly end, and after a power loss in the session after it.
        for power_loss in [false, true] {
            std::fs::remove_dir_all(&index).unwrap();
            copy(image, &index);
            if power_loss {
                let running_on = String::from_utf8(session.clone())
                    .unwrap()
                    .replace("\"clean\":true", "\"clean\":false");
                std::fs::write(dir.path().join("SESSION"), running_on).unwrap();
                disk.boot();
            }
            let engine = running.start().unwrap();
            assert_eq!(engine.gauges().queues[0].messages, 50, "{}", image.display());
            assert!(
                engine.incidents().contains(&("index_rebuilt", 1)),
                "{:?}",
                engine.incidents()
            );
            engine.shutdown().await;
            let told = incidents(&running);
            assert_eq!(told.last().unwrap().0, "index_rebuilt");
            assert_eq!(rows_of_messages(dir.path()), expected, "{}", image.display());
        }
    }
}

/// Changes an octet of what the spool holds of a message; and changes it back when it is called again.
fn flip_body(dir: &Path, id: MessageId) {
    let spool = dir.join("spool");
    for entry in std::fs::read_dir(spool).unwrap() {
        let path = entry.unwrap().path();
        let mut octets = std::fs::read(&path).unwrap();
        let name = *id.uuid().as_bytes();
        if let Some(at) = octets.windows(16).position(|window| window == name) {
            // Behind the head of the record.
            octets[at + 40] ^= 1;
            std::fs::write(path, octets).unwrap();
            return;
        }
    }
    panic!("the spool has no record of {id}");
}

#[tokio::test]
async fn damage_in_the_spool_puts_exactly_the_messages_hit_aside() {
    let dir = scratch();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(accept(&engine, number, "plan").await.unwrap());
    }
    flip_body(dir.path(), ids[0]);
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    let taken = engine.take(take).await.unwrap().unwrap();
    let place = taken.parts[0];
    let read = engine.body_of(taken.seq, place).await;
    assert!(matches!(read, Err(Unreadable::Quarantined(_))), "{read:?}");
    let read = engine.body_of(taken.seq + 1, place).await;
    assert!(
        matches!(read, Err(Unreadable::Now(_))),
        "it is no message of this place: {read:?}"
    );
    let held = engine.quarantine();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].message_id, ids[0]);
    assert!(held[0].cause.contains("is damaged at offset"), "{}", held[0].cause);
    assert_eq!(deliver(&engine).await, ids[1]);
    assert_eq!(deliver(&engine).await, ids[2]);

    // Restored from a backup, it goes its way.
    flip_body(dir.path(), ids[0]);
    engine
        .decide_quarantine(taken.seq, QuarantineDecision::Retry, "root")
        .await
        .unwrap();
    engine.body_of(taken.seq, place).await.unwrap();
    assert_eq!(deliver(&engine).await, ids[0]);
    engine.shutdown().await;
    assert_eq!(kinds(&running), ["spool_damaged"]);
    let expected = rows(dir.path());
    crate::rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert_eq!(rows(dir.path()), expected);
}

#[tokio::test]
async fn a_helper_that_panics_is_counted_and_told_and_has_its_turn_again() {
    let dir = scratch();
    let mut running = Running::new(dir.path());
    let disk = TellingDisk::default();
    running.disk = disk.shared();
    running.settings.snapshot_every = 10;
    let engine = running.region().await;
    disk.panic_on("snapshot/");
    for number in 1..=20 {
        accept(&engine, number, "plan").await.unwrap();
    }
    let panicked = || {
        engine
            .worker_panics()
            .iter()
            .any(|(worker, count)| *worker == "snapshot" && *count > 0)
    };
    until(&engine, "a panic", panicked).await;
    disk.panic_on("nothing");
    for number in 21..=60 {
        accept(&engine, number, "plan").await.unwrap();
    }
    let made = || {
        let files = std::fs::read_dir(dir.path().join("snapshot")).unwrap();
        files
            .flatten()
            .any(|file| file.file_name().to_string_lossy().ends_with(".snapshot"))
    };
    until(&engine, "a snapshot", made).await;
    engine.worker_panicked(Worker::Lane, "a test");
    engine.shutdown().await;
    let told = incidents(&running);
    assert_eq!(told[0].0, "worker_panicked");
    assert!(
        told[0].1.contains("(snapshot) panicked while writing a snapshot"),
        "{}",
        told[0].1
    );
}

#[tokio::test]
async fn a_panic_of_the_writer_ends_the_engine_and_a_start_goes_on() {
    let dir = scratch();
    let mut running = Running::new(dir.path());
    let disk = TellingDisk::default();
    running.disk = disk.shared();
    let engine = running.region().await;
    let id = accept(&engine, 1, "plan").await.unwrap();
    disk.panic_on("space");
    engine.tick().await;
    assert_eq!(engine.failed().await, "the thread writer panicked");
    assert!(matches!(accept(&engine, 2, "plan").await, Err(Refusal::Unavailable(_))));
    drop(engine);
    disk.panic_on("nothing");
    let engine = running.start().unwrap();
    engine.tick().await;
    assert_eq!(deliver(&engine).await, id);
    engine.shutdown().await;
    assert_eq!(kinds(&running), ["unclean_end"]);
}
