//! Spool space comes back, and what survives stays readable.

use std::path::Path;

use jiff::SignedDuration;

use crate::Engine;
use crate::command::{Acknowledge, Delivery, Take, TakeFrom};
use crate::testing::{Running, TellingDisk, evidence, id_at, mnemonic, participant, request};

use super::faults::kinds;
use super::running::until;

fn segments(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("spool")).unwrap().count()
}

/// Accepts messages of 8 KB; the spool segments of these tests hold seven.
async fn accept(engine: &Engine, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let mut incoming = request(participant("CITY"), id_at(engine.now(), n), "plan");
        incoming.parts[0].octets = body(n);
        engine.accept(incoming).await.unwrap();
    }
}

fn body(n: u32) -> Vec<u8> {
    format!("{n:08}").into_bytes().repeat(1024)
}

async fn take(engine: &Engine) -> Option<Delivery> {
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take).await.unwrap()
}

async fn acknowledge(engine: &Engine, delivery: &Delivery) {
    let target = delivery.message_id;
    let ack = Acknowledge {
        participant: mnemonic("LAND"),
        target,
        accepted: true,
        evidence: evidence(),
    };
    engine.acknowledge(ack).await.unwrap();
}

#[tokio::test]
async fn segments_that_nobody_needs_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.exchange_ttl = running.settings.grace;
    let engine = running.region().await;
    accept(&engine, 0..60).await;
    while let Some(delivery) = take(&engine).await {
        acknowledge(&engine, &delivery).await;
    }
    let full = segments(dir.path());
    engine.tick().await;
    assert_eq!(segments(dir.path()), full, "within retention.bodies nothing goes");
    running.time.pass(SignedDuration::from_hours(24 * 31));
    engine.tick().await;
    until(&engine, "removal", || segments(dir.path()) <= 2).await;
    assert!(full > 6);
    engine.shutdown().await;
    // What was removed is not missed.
    running.start().unwrap().shutdown().await;
}

/// Octets of the files in a folder whose names end so.
fn octets(dir: &Path, suffix: &str) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let of_kind = files.filter(|file| file.file_name().to_string_lossy().ends_with(suffix));
    // One that vanishes meanwhile takes nothing.
    of_kind
        .map(|file| file.metadata().map_or(0, |metadata| metadata.len()))
        .sum()
}

#[tokio::test]
async fn a_drained_queue_leaves_what_is_needed_on_the_disk_and_little_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.retention_bodies = SignedDuration::ZERO;
    let engine = running.region().await;
    accept(&engine, 0..60).await;
    let (spool, journal) = (dir.path().join("spool"), dir.path().join("journal"));
    assert!(octets(&spool, "") > 60 * 8192);
    while let Some(delivery) = take(&engine).await {
        acknowledge(&engine, &delivery).await;
    }
    let store = &running.settings.store;
    let little = |segment: u64| segment / 8;
    until(&engine, "the disk is given back", || {
        octets(&spool, "") <= engine.gauges().spool_needed_bytes + little(store.spool_segment_bytes)
    })
    .await;
    assert!(engine.gauges().spool_needed_bytes < 60 * 500, "notes of the exchanges");
    until(&engine, "the journal is as long as its records", || {
        let live = octets(&journal, ".journal");
        octets(&journal, ".tmp") == 0 && live < store.journal_segment_bytes && live == engine.gauges().journal_bytes
    })
    .await;
    accept(&engine, 60..100).await;
    engine.shutdown().await;
    let engine = running.start().unwrap();
    for n in 60..100 {
        let delivery = take(&engine).await.unwrap();
        assert_eq!(engine.body(delivery.parts[0]).await.unwrap(), body(n));
        acknowledge(&engine, &delivery).await;
    }
    assert!(take(&engine).await.is_none());
    engine.shutdown().await;
}

/// Of sixty messages one of ten stays: handed out, never acknowledged.
async fn one_of_ten_stays(engine: &Engine) -> Vec<Delivery> {
    let mut kept = Vec::new();
    for n in 0..60 {
        let delivery = take(engine).await.unwrap();
        if n % 10 == 0 {
            kept.push(delivery);
        } else {
            acknowledge(engine, &delivery).await;
        }
    }
    kept
}

#[tokio::test]
async fn survivors_of_a_mostly_dead_segment_are_copied_forward_and_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.message_ttl = SignedDuration::from_hours(24 * 365);
    running.settings.exchange_ttl = running.settings.grace;
    let engine = running.region().await;
    accept(&engine, 0..60).await;
    let kept = one_of_ten_stays(&engine).await;
    let full = segments(dir.path());
    running.time.pass(SignedDuration::from_hours(24 * 31));
    engine.tick().await;
    until(&engine, "copying", || segments(dir.path()) <= full / 2).await;
    for (n, old) in (0..60).step_by(10).zip(&kept) {
        let read = engine.body(old.parts[0]).await.unwrap();
        assert_eq!(read, body(n), "who knows the old place looks once more");
        let delivery = take(&engine).await.unwrap();
        assert_eq!(delivery.message_id, old.message_id, "in the old order");
        assert_eq!(engine.body(delivery.parts[0]).await.unwrap(), body(n));
        assert_eq!(
            engine.body(delivery.exchange_note.unwrap()).await.unwrap(),
            b"transaction"
        );
    }
    engine.shutdown().await;
    let before = super::rows(dir.path());
    crate::rebuild_index(&running.settings, journal::disk::RealDisk::shared()).unwrap();
    assert_eq!(before, super::rows(dir.path()), "relocations are part of the journal");
}

/// A gateway with spool segments in each of which one message of ten waits, a month later.
async fn mostly_dead(dir: &Path, disk: &TellingDisk) -> (Running, Engine, Vec<Delivery>) {
    let mut running = Running::new(dir);
    running.disk = disk.shared();
    running.settings.store.open_segments = 1;
    running.settings.message_ttl = SignedDuration::from_hours(24 * 365);
    running.settings.exchange_ttl = running.settings.grace;
    let engine = running.region().await;
    accept(&engine, 0..60).await;
    let kept = one_of_ten_stays(&engine).await;
    running.time.pass(SignedDuration::from_hours(24 * 31));
    (running, engine, kept)
}

fn spool_is_in_order(engine: &Engine) -> bool {
    let conditions = engine.conditions();
    conditions
        .iter()
        .any(|condition| condition.name == "spool" && condition.ok)
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_for_a_while_is_copied_forward_when_it_can_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TellingDisk::default();
    let (running, engine, kept) = mostly_dead(dir.path(), &disk).await;
    let full = segments(dir.path());
    disk.unreadable(Some("spool"));
    until(&engine, "a stuck segment", || !spool_is_in_order(&engine)).await;
    disk.unreadable(None);
    for _ in 0..50 {
        engine.tick().await;
    }
    assert!(!spool_is_in_order(&engine), "within an hour it is left alone");
    running.time.pass(SignedDuration::from_hours(1));
    until(&engine, "copying", || {
        spool_is_in_order(&engine) && segments(dir.path()) <= full / 2
    })
    .await;
    for (n, old) in (0..60).step_by(10).zip(&kept) {
        assert_eq!(engine.body(old.parts[0]).await.unwrap(), body(n));
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_is_told_of_and_tried_again_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TellingDisk::default();
    let mut running = Running::new(dir.path());
    running.disk = disk.shared();
    running.settings.exchange_ttl = running.settings.grace;
    let engine = running.region().await;
    accept(&engine, 0..60).await;
    while let Some(delivery) = take(&engine).await {
        acknowledge(&engine, &delivery).await;
    }
    running.time.pass(SignedDuration::from_hours(24 * 31));
    let full = segments(dir.path());
    disk.immutable(Some(".spool"));
    for _ in 0..5 {
        engine.tick().await;
    }
    assert_eq!(segments(dir.path()), full);
    accept(&engine, 60..61).await;
    engine.shutdown().await;
    let told = kinds(&running).into_iter().filter(|kind| kind == "file_not_removed");
    assert_eq!(told.count(), 1);

    // A start goes on over it, and an hour later what can go goes.
    let engine = running.start().unwrap();
    engine.tick().await;
    assert_eq!(engine.failure(), None);
    disk.immutable(None);
    running.time.pass(SignedDuration::from_hours(1));
    until(&engine, "removal", || segments(dir.path()) <= 3).await;
    assert_eq!(take(&engine).await.unwrap().parts.len(), 1);
    engine.shutdown().await;
}
