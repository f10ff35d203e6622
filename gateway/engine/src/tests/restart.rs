//! Restarts, crashes, and the index coming back from the journal.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::command::{Acknowledge, Refusal, Take, TakeFrom};
use crate::names::MessageId;
use crate::testing::{Running, TellingDisk, evidence, id_at, mnemonic, participant, request, scratch, start_time};
use crate::{Engine, rebuild_index};
use journal::disk::RealDisk;
use tokio::time::timeout;

use super::{copy, rows};

pub(super) async fn accept(engine: &Engine, numbers: std::ops::Range<u32>) {
    for n in numbers {
        engine
            .accept(request(participant("CITY"), id_at(engine.now(), n), "plan"))
            .await
            .unwrap();
    }
}

pub(super) async fn take(engine: &Engine) -> Option<crate::command::Delivery> {
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take).await.unwrap()
}

pub(super) fn acknowledgement(target: MessageId) -> Acknowledge {
    Acknowledge {
        participant: mnemonic("LAND"),
        target,
        accepted: true,
        evidence: evidence(),
    }
}

/// Some life: waiting, handed out, acknowledged.
pub(super) async fn live(engine: &Engine) {
    accept(engine, 0..20).await;
    for acknowledged in [true, false, true] {
        let delivery = take(engine).await.unwrap();
        if acknowledged {
            engine.acknowledge(acknowledgement(delivery.message_id)).await.unwrap();
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
async fn an_index_that_a_machine_crash_damaged_comes_back_from_the_journal() {
    survives(|dir| {
        lose_the_mark(dir, Some("another boot"));
        let db = dir.join("index").join("db");
        let mut octets = std::fs::read(&db).unwrap();
        for octet in octets.iter_mut().skip(64).step_by(97) {
            *octet ^= 0x5a;
        }
        std::fs::write(&db, octets).unwrap();
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

/// The mark of the session as a crash in this or another boot of the machine leaves it.
fn lose_the_mark(dir: &Path, boot: Option<&str>) {
    let mark = dir.join("SESSION");
    let mut session = journal::last_session(&RealDisk, dir).unwrap().unwrap();
    session.clean = false;
    session.last_seq = 0;
    if let Some(boot) = boot {
        boot.clone_into(&mut session.boot);
    }
    std::fs::write(mark, serde_json::to_vec(&session).unwrap()).unwrap();
}

/// A stopped engine's files as such a crash leaves them, the end of the journal cut off.
pub(super) fn crash_and_cut(dir: &Path, boot: Option<&str>) {
    lose_the_mark(dir, boot);
    let live = std::fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let live = live
        .filter(|path| path.extension().is_some_and(|end| end == "journal"))
        .max()
        .unwrap();
    let mut octets = std::fs::read(&live).unwrap();
    let acknowledged = octets
        .windows(14)
        .rposition(|window| window == b"\"acknowledged\"")
        .unwrap();
    octets[acknowledged..].fill(0);
    std::fs::write(live, octets).unwrap();
}

pub(super) fn journaled(dir: &Path, event: &str) -> usize {
    let filter = journal::read::Filter {
        contains: Some(format!("\"type\":\"{event}\"")),
        ..Default::default()
    };
    journal::read::records(RealDisk::shared(), &dir.join("journal"), filter)
        .unwrap()
        .count()
}

pub(super) fn journal_is_in_order(engine: &Engine) -> bool {
    engine
        .conditions()
        .iter()
        .any(|condition| condition.name == "journal" && condition.ok)
}

#[tokio::test]
async fn a_journal_that_lost_its_end_is_reported_until_a_person_takes_note() {
    for boot in [None, Some("another boot")] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path());
        let engine = running.region().await;
        live(&engine).await;
        assert!(journal_is_in_order(&engine));
        engine.shutdown().await;
        crash_and_cut(dir.path(), boot);

        let known = crate::known_position(&running.settings, &RealDisk::shared())
            .unwrap()
            .unwrap();
        let engine = running.start().unwrap();
        let condition = engine.conditions().into_iter().find(|condition| !condition.ok).unwrap();
        let lost = format!("to {} of the journal, which were durable, are gone", known.seq);
        assert!(
            condition.name == "journal" && condition.message.contains(&lost),
            "{condition:?}"
        );
        assert!(engine.gauges().journal_cut);
        // What was sent meanwhile, and under which identifier, is not known.
        let hold = engine.upstream_hold().unwrap();
        assert_eq!(hold.gap, Some(known.seq));
        assert!(hold.through < known.seq && hold.made <= engine.now());
        // What is left is served.
        accept(&engine, 20..21).await;
        engine.tick().await;
        assert!(!journal_is_in_order(&engine));
        engine.shutdown().await;

        let engine = running.start().unwrap();
        assert!(!journal_is_in_order(&engine), "a restart does not make it good");
        assert!(engine.is_held());
        let noted = engine.acknowledge_journal_cut("operator", "a test").await.unwrap();
        assert!(noted.known == known.seq && noted.end < known.seq);
        assert!(journal_is_in_order(&engine) && !engine.gauges().journal_cut);
        assert_eq!(
            engine.acknowledge_journal_cut("operator", "again").await,
            Err(Refusal::NoCut)
        );
        engine.shutdown().await;
        assert_eq!(journaled(dir.path(), "journal_cut"), 1);
        assert_eq!(journaled(dir.path(), "journal_cut_acknowledged"), 1);
        let before = rows(dir.path());
        rebuild_index(&running.settings, RealDisk::shared()).unwrap();
        assert_eq!(before, rows(dir.path()));
    }
}

#[tokio::test]
async fn an_index_that_tells_nothing_accuses_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    live(&engine).await;
    engine.shutdown().await;
    crash_and_cut(dir.path(), None);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let engine = running.start().unwrap();
    assert!(journal_is_in_order(&engine));
    engine.shutdown().await;
    assert_eq!(journaled(dir.path(), "journal_cut"), 0);
}

#[tokio::test]
async fn a_look_at_the_store_shows_what_a_start_would_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    live(&engine).await;
    // A copy of a running engine's files: the index may lack what the journal says.
    let crashed = tempfile::tempdir().unwrap();
    copy(dir.path(), crashed.path());
    let (queues, listed) = (engine.queues(), engine.queue(&"LAND/requests".parse().unwrap(), 100));
    engine.shutdown().await;
    let settings = crate::Settings {
        data_dir: crashed.path().to_owned(),
        ..running.settings.clone()
    };
    for without_index in [false, true] {
        if without_index {
            std::fs::remove_dir_all(crashed.path().join("index")).unwrap();
        }
        let view = crate::View::open(&settings, RealDisk::shared()).unwrap().unwrap();
        assert_eq!(serde_json::json!(view.queues().unwrap()), serde_json::json!(queues));
        let shown = view.queue(&"LAND/requests".parse().unwrap(), 100).unwrap();
        assert_eq!(serde_json::json!(shown), serde_json::json!(listed));
        assert!(view.quarantine().unwrap().is_empty() && !view.registry().content().kinds.is_empty());
        let second = crate::View::open(&settings, RealDisk::shared());
        assert!(second.is_err(), "the store is held");
        drop(view);
        assert!(!crashed.path().join("index.view").exists());
    }
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
    let rebuilt = rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert!(rebuilt.last_seq > 30 && rebuilt.cuts.is_empty());
    assert_eq!(before, rows(dir.path()), "from the snapshot and what follows it");
    super::remove_files(&snapshots);
    rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert_eq!(before, rows(dir.path()), "from the journal alone");
}

#[tokio::test]
async fn an_index_that_is_mostly_air_is_written_anew_while_the_engine_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    let engine = running.region().await;
    live(&engine).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    let draft = dir.path().join("index.new");
    std::fs::create_dir(&draft).unwrap();
    std::fs::write(draft.join("leftover"), "of an interrupted attempt").unwrap();
    running.settings.index_renew_above = 0;
    let file = dir.path().join("index").join("db");
    let inode = || std::fs::metadata(&file).map(|file| file.ino());
    let old = inode().unwrap();
    let engine = running.start().unwrap();
    let another = async {
        while !inode().is_ok_and(|new| new != old) {
            engine.tick().await;
        }
    };
    timeout(Duration::from_secs(60), another).await.expect("another index");
    accept(&engine, 100..110).await;
    engine.shutdown().await;
    let after = rows(dir.path());
    assert!(before.len() < after.len());
    rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert_eq!(after, rows(dir.path()), "as the journal has it");
    assert!(!draft.exists() && !dir.path().join("index.old").exists());
}

/// A stopped gateway with a sealed journal segment, and that segment.
async fn with_sealed_segment(running: &Running) -> std::path::PathBuf {
    let engine = running.region().await;
    accept(&engine, 0..100).await;
    engine.shutdown().await;
    let sealed = journal::segments::sealed(&RealDisk, &running.settings.data_dir.join("journal"), 0).unwrap();
    sealed[0].path.clone()
}

#[tokio::test]
async fn a_start_that_is_refused_leaves_the_end_before_it_as_it_was() {
    for (power_loss, told) in [(false, 0), (true, 1)] {
        let dir = scratch();
        let mut running = Running::new(dir.path());
        let disk = TellingDisk::default();
        running.disk = disk.shared();
        running.settings.store.journal_segment_bytes = 16 << 10;
        let sealed = with_sealed_segment(&running).await;
        let whole = std::fs::read(&sealed).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        std::fs::write(&sealed, damaged).unwrap();
        let index = dir.path().join("index");
        if power_loss {
            let mut session = journal::last_session(&RealDisk, dir.path()).unwrap().unwrap();
            session.clean = false;
            std::fs::write(dir.path().join("SESSION"), serde_json::to_vec(&session).unwrap()).unwrap();
            disk.boot();
        } else {
            std::fs::rename(&index, dir.path().join("aside")).unwrap();
        }
        for _ in 0..2 {
            assert!(running.start().is_err(), "what an index is built from is damaged");
        }
        std::fs::write(&sealed, &whole).unwrap();
        if !power_loss {
            std::fs::rename(dir.path().join("aside"), &index).unwrap();
        }
        let engine = running.start().unwrap();
        let counts = engine.incidents();
        assert!(counts.contains(&("unclean_end", told)), "{counts:?}");
        // After a power loss no index is trusted, whatever starts came to nothing in between.
        assert!(counts.contains(&("index_rebuilt", told)), "{counts:?}");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn a_start_without_its_master_key_leaves_an_orderly_end_orderly() {
    let dir = scratch();
    let mut running = Running::new(dir.path());
    let engine = running.region().await;
    accept(&engine, 0..5).await;
    engine.shutdown().await;
    running.at_rest = false;
    assert!(running.start().is_err());
    running.at_rest = true;
    let engine = running.start().unwrap();
    assert!(engine.incidents().contains(&("unclean_end", 0)));
    engine.shutdown().await;
}
