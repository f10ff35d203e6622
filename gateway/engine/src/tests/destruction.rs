//! What two people agreed to destroy goes, and nothing else; what is left is enough.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use journal::verify::{Range, Report, verify};

use crate::command::{Acknowledge, Refusal, ShippedSegment, Take, TakeFrom};
use crate::destruction::Stage;
use crate::event::{Act, Person};
use crate::testing::{Running, TellingDisk, evidence, id_at, mnemonic, participant, request};
use crate::{CheckpointVerifier, Engine, anchor};

use super::faults::kinds;
use super::running::until;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn person(name: &str, uid: u32) -> Person {
    Person {
        name: name.to_owned(),
        uid,
    }
}

/// A gateway that seals at every tick, with some exchanges of three years ago and one of last year, the sealed segments
/// shipped.
async fn old(dir: &Path) -> (Running, Engine, Timestamp) {
    let mut running = Running::new(dir);
    running.settings.exchange_ttl = running.settings.grace;
    running.settings.seal_after = Some(SignedDuration::ZERO);
    let engine = running.region().await;
    for n in 0..3 {
        exchange(&engine, n).await;
        running.time.pass(DAY);
    }
    running.time.pass(DAY * 400);
    engine.tick().await;
    let before = engine.now();
    engine.tick().await;
    running.time.pass(DAY * 1200);
    exchange(&engine, 9).await;
    until(&engine, "sealing", || engine.sealed_segments(0).unwrap().len() >= 5).await;
    (running, engine, before)
}

async fn exchange(engine: &Engine, n: u32) {
    let id = id_at(engine.now(), n);
    engine.accept(request(participant("CITY"), id, "plan")).await.unwrap();
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take).await.unwrap().unwrap();
    let ack = Acknowledge {
        participant: mnemonic("LAND"),
        target: id,
        accepted: true,
        evidence: evidence(),
    };
    engine.acknowledge(ack).await.unwrap();
    engine.tick().await;
}

fn verified(running: &Running, dir: &Path) -> (Report, Vec<(u64, Act)>) {
    let certificate = |_: &str| Ok(running.certificate.clone());
    let mut checkpoints = CheckpointVerifier::new(&certificate);
    let report = verify(
        &journal::disk::RealDisk::shared(),
        &dir.join("journal"),
        Range::default(),
        &mut |record| checkpoints.check(record),
    );
    (report.unwrap(), checkpoints.acts().to_vec())
}

fn is_done(engine: &Engine) -> bool {
    matches!(engine.destructions().last().unwrap().stage, Stage::Done { .. })
}

fn why<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> String {
    match refused.unwrap_err() {
        Refusal::NotDone(why) => why,
        other => panic!("{other:?}"),
    }
}

async fn propose(engine: &Engine, before: Timestamp, unshipped: bool) -> Result<u64, Refusal> {
    let by = person("ivanova", 1001);
    engine
        .propose_destruction(before, unshipped, by, "term is over".to_owned())
        .await
}

#[tokio::test]
async fn two_people_destroy_what_is_old_and_the_rest_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let (running, engine, before) = old(dir.path()).await;
    let sealed = engine.sealed_segments(0).unwrap();
    let id = propose(&engine, before, true).await.unwrap();
    let refused = engine.approve_destruction(id, person("ivanova", 1001)).await;
    assert!(why(refused).contains("somebody else"));
    let act = engine.approve_destruction(id, person("petrov", 1002)).await.unwrap();
    assert!(act.destroyed.len() >= 3);
    until(&engine, "destruction", || is_done(&engine)).await;
    let left = engine.sealed_segments(0).unwrap();
    assert_eq!(left[0].first_seq, act.destruction.through + 1);
    assert_eq!(
        act.destroyed.len(),
        sealed.iter().filter(|segment| segment.latest < before).count()
    );

    let (report, acts) = verified(&running, dir.path());
    let (found, digest) = anchor(&acts, report.first_seq).unwrap();
    assert_eq!((found, digest), (&act, hex::encode(report.prev).as_str()));
    engine.shutdown().await;
    let rows = super::rows(dir.path());
    crate::rebuild_index(&running.settings, journal::disk::RealDisk::shared()).unwrap();
    assert_eq!(rows, super::rows(dir.path()), "a rebuild needs nothing of what went");
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let engine = running.start().unwrap();
    exchange(&engine, 20).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn what_was_interrupted_is_finished_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (running, engine, before) = old(dir.path()).await;
    let id = propose(&engine, before, true).await.unwrap();
    let act = engine.approve_destruction(id, person("petrov", 1002)).await.unwrap();
    // A crash right after the approval; and one after the first file went, when the snapshot is there.
    let copy = tempfile::tempdir().unwrap();
    super::copy(dir.path(), copy.path());
    until(&engine, "destruction", || is_done(&engine)).await;
    engine.shutdown().await;
    super::copy(&dir.path().join("snapshot"), &copy.path().join("snapshot"));
    let sealed = journal::segments::sealed(&journal::disk::RealDisk, &copy.path().join("journal"), 0).unwrap();
    std::fs::remove_file(&sealed[0].path).unwrap();
    let (report, acts) = verified(&running, copy.path());
    let (_, digest) = anchor(&acts, report.first_seq).unwrap();
    assert_eq!(digest, hex::encode(report.prev), "half way is proven as well");

    let engine = running.start_in(copy.path()).unwrap();
    until(&engine, "destruction", || is_done(&engine)).await;
    assert_eq!(
        engine.sealed_segments(0).unwrap()[0].first_seq,
        act.destruction.through + 1
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_keeps_the_act_open_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut running, engine, before) = old(dir.path()).await;
    engine.shutdown().await;
    let disk = TellingDisk::default();
    running.disk = disk.shared();
    let engine = running.start().unwrap();
    let sealed = engine.sealed_segments(0).unwrap().len();
    let id = propose(&engine, before, true).await.unwrap();
    disk.immutable(Some(".jsonl.zst"));
    engine.approve_destruction(id, person("petrov", 1002)).await.unwrap();
    let told = |engine: &Engine| engine.incidents().contains(&("file_not_removed", 1));
    until(&engine, "a try", || told(&engine)).await;
    exchange(&engine, 20).await;
    assert_eq!(engine.failure(), None);
    assert!(!is_done(&engine) && engine.sealed_segments(0).unwrap().len() >= sealed);
    engine.shutdown().await;
    assert!(kinds(&running).contains(&"file_not_removed".to_owned()));

    let engine = running.start().unwrap();
    until(&engine, "a try", || told(&engine)).await;
    assert_eq!(engine.failure(), None);
    disk.immutable(None);
    running.time.pass(SignedDuration::from_hours(1));
    until(&engine, "destruction", || is_done(&engine)).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn what_is_not_shipped_or_too_young_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (_running, engine, before) = old(dir.path()).await;
    assert!(why(propose(&engine, engine.now() - DAY * 1094, true).await).contains("term"));
    assert!(why(propose(&engine, Timestamp::UNIX_EPOCH, true).await).contains("no sealed segment"));
    assert!(why(propose(&engine, before, false).await).contains("archive"));
    let sealed = engine.sealed_segments(0).unwrap();
    for segment in &sealed {
        let shipped = ShippedSegment {
            first: segment.first_seq,
            last: segment.last_seq,
            digest: engine.segment_digest(segment).unwrap(),
        };
        engine.shipped(shipped).await.unwrap();
    }
    assert_eq!(engine.archived_through(), sealed.last().unwrap().last_seq);
    let first = propose(&engine, before, false).await.unwrap();
    assert!(why(propose(&engine, before, false).await).contains("not settled"));
    let withdrawn = engine
        .close_destruction(first, person("ivanova", 1001), "a mistake".to_owned())
        .await;
    withdrawn.unwrap();
    assert!(why(engine.approve_destruction(first, person("petrov", 1002)).await).contains("closed"));
    assert!(why(engine.approve_destruction(7, person("petrov", 1002)).await).contains("no proposal"));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_message_that_waits_keeps_its_accept_record_however_old() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.message_ttl = DAY * 36_500;
    running.settings.seal_after = Some(SignedDuration::ZERO);
    let engine = running.region().await;
    engine
        .accept(request(participant("CITY"), id_at(engine.now(), 1), "plan"))
        .await
        .unwrap();
    engine.tick().await;
    running.time.pass(DAY * 2000);
    engine.tick().await;
    until(&engine, "sealing", || !engine.sealed_segments(0).unwrap().is_empty()).await;
    let refused = propose(&engine, engine.now() - DAY * 1500, true).await;
    assert!(why(refused).contains("is still kept"));
    engine.shutdown().await;
}
