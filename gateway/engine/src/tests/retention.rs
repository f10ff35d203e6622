//! Spool space comes back, and what survives stays readable.

use std::path::Path;

use jiff::SignedDuration;

use crate::Engine;
use crate::command::{Acknowledge, Delivery, Take, TakeFrom};
use crate::testing::{Running, evidence, id_at, mnemonic, participant, request};

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

#[tokio::test]
async fn survivors_of_a_mostly_dead_segment_are_copied_forward_and_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.message_ttl = SignedDuration::from_hours(24 * 365);
    running.settings.exchange_ttl = running.settings.grace;
    let engine = running.region().await;
    accept(&engine, 0..60).await;
    // One of ten stays: handed out, never acknowledged.
    let mut kept = Vec::new();
    for n in 0..60 {
        let delivery = take(&engine).await.unwrap();
        if n % 10 == 0 {
            kept.push(delivery);
        } else {
            acknowledge(&engine, &delivery).await;
        }
    }
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
