//! Restarts, crashes, and the index coming back from the journal.

use std::path::Path;

use crate::command::{Acknowledge, Refusal, Take, TakeFrom};
use crate::testing::{Running, evidence, id_at, mnemonic, participant, request, start_time};
use crate::{Engine, rebuild_index};
use journal::disk::RealDisk;

use super::{copy, rows};

async fn accept(engine: &Engine, numbers: std::ops::Range<u32>) {
    for n in numbers {
        engine
            .accept(request(participant("CITY"), id_at(engine.now(), n), "plan"))
            .await
            .unwrap();
    }
}

async fn take(engine: &Engine) -> Option<crate::command::Delivery> {
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take).await.unwrap()
}

/// Some life: waiting, handed out, acknowledged.
async fn live(engine: &Engine) {
    accept(engine, 0..20).await;
    for acknowledged in [true, false, true] {
        let delivery = take(engine).await.unwrap();
        if acknowledged {
            let target = delivery.message_id;
            let ack = Acknowledge {
                participant: mnemonic("LAND"),
                target,
                accepted: true,
                evidence: evidence(),
            };
            engine.acknowledge(ack).await.unwrap();
        }
    }
}

/// A stopped engine after some life; what is done to its files; whether all is as before afterwards.
async fn survives(harm: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    live(&engine).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    harm(dir.path());
    let engine = running.start().unwrap();
    let twin = id_at(start_time(), 0);
    assert_eq!(
        engine.accept(request(participant("CITY"), twin, "plan")).await,
        Err(Refusal::AlreadySent(twin))
    );
    assert!(
        engine.registry().participant(&mnemonic("LAND")).is_some(),
        "the registry is back"
    );
    engine.shutdown().await;
    assert_eq!(before, rows(dir.path()));
}

#[tokio::test]
async fn an_orderly_restart_changes_nothing() {
    survives(|_| {}).await;
}

#[tokio::test]
async fn a_missing_index_comes_back_from_the_journal() {
    survives(|dir| std::fs::remove_dir_all(dir.join("index")).unwrap()).await;
}

#[tokio::test]
async fn an_index_full_of_garbage_comes_back_from_the_journal() {
    survives(|dir| {
        for entry in std::fs::read_dir(dir.join("index")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let len = std::fs::metadata(&path).unwrap().len();
                std::fs::write(&path, vec![0xa5; usize::try_from(len.max(64)).unwrap()]).unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_index_that_is_a_file_comes_back_from_the_journal() {
    survives(|dir| {
        std::fs::remove_dir_all(dir.join("index")).unwrap();
        std::fs::write(dir.join("index"), "not a folder").unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_index_ahead_of_the_journal_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    accept(&engine, 0..5).await;
    engine.shutdown().await;
    let earlier = dir.path().with_extension("earlier");
    copy(dir.path(), &earlier);
    let engine = running.start().unwrap();
    accept(&engine, 5..15).await;
    engine.shutdown().await;
    // The old journal with the new index, as after a restore from a backup that left the index alone.
    std::fs::remove_dir_all(earlier.join("index")).unwrap();
    copy(&dir.path().join("index"), &earlier.join("index"));
    let engine = running.start_in(&earlier).unwrap();
    assert_eq!(engine.queues()[0].messages, 5);
    engine.shutdown().await;
    std::fs::remove_dir_all(earlier).unwrap();
}

#[tokio::test]
async fn everything_acknowledged_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    live(&engine).await;
    copy(dir.path(), crashed.path());
    engine.shutdown().await;

    let engine = running.start_in(crashed.path()).unwrap();
    let queue = &engine.queues()[0];
    assert_eq!((queue.messages, queue.leased), (18, 1), "the lease survives as well");
    assert_eq!(
        take(&engine).await.unwrap().message_id,
        id_at(start_time(), 3),
        "in the same order"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_makes_the_rebuild_independent_of_history() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.snapshot_every = 10;
    let engine = running.region().await;
    live(&engine).await;
    engine.tick().await;
    let snapshots = dir.path().join("snapshot");
    super::running::until(&engine, "a snapshot", || {
        std::fs::read_dir(&snapshots)
            .is_ok_and(|mut entries| entries.any(|e| !e.unwrap().file_name().to_string_lossy().contains("tmp")))
    })
    .await;
    accept(&engine, 20..30).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    let last = rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert!(last > 30);
    assert_eq!(before, rows(dir.path()), "from the snapshot and what follows it");
    super::remove_files(&snapshots);
    rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert_eq!(before, rows(dir.path()), "from the journal alone");
}

#[tokio::test]
async fn an_index_that_is_mostly_air_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    let engine = running.region().await;
    live(&engine).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    let draft = dir.path().join("index.new");
    std::fs::create_dir(&draft).unwrap();
    std::fs::write(draft.join("leftover"), "of an interrupted attempt").unwrap();
    running.settings.index_compact_above = 0;
    running.start().unwrap().shutdown().await;
    assert_eq!(before, rows(dir.path()));
    assert!(!draft.exists() && !dir.path().join("index.old").exists());
}
