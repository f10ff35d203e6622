//! What follows a journal from whose middle records are lost, when a person accepts that.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use journal::OpenError;
use journal::disk::RealDisk;

use super::restart::{acknowledgement, journal_is_in_order, journaled, take};
use super::running::until;
use super::{copy, rows};
use crate::command::Refusal;
use crate::event::Person;
use crate::settings::Acceptance;
use crate::testing::{Running, id_at, participant, request, start_time, upstream};
use crate::{Engine, StartError, gap_accepted};

const MESSAGES: u32 = 100;

fn operator() -> Person {
    Person {
        name: "operator".to_owned(),
        uid: 1000,
    }
}

/// The sealed segments.
fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    found.sort();
    found
}

/// Whether there is a whole snapshot.
fn has_snapshot(dir: &Path) -> bool {
    let mut files = dir.join("snapshot").read_dir().unwrap();
    files.any(|file| file.unwrap().path().extension().is_some_and(|end| end == "snapshot"))
}

fn first_seq(path: &Path) -> u64 {
    path.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap()
}

/// A stopped gateway with messages to the upstream in several segments of its journal.
async fn several_segments(dir: &Path) -> Running {
    several_segments_of(dir, MESSAGES, "pass").await
}

async fn several_segments_of(dir: &Path, messages: u32, kind: &str) -> Running {
    let mut running = Running::new(dir);
    running.settings.store.journal_segment_bytes = 16 << 10;
    running.settings.store.spool_segment_bytes = (4 << 10) + 200;
    let engine = running.region().await;
    for n in 0..messages {
        let id = id_at(engine.now(), n);
        engine.accept(request(participant("CITY"), id, kind)).await.unwrap();
    }
    engine.shutdown().await;
    assert!(sealed(dir).len() >= 4, "{:?}", sealed(dir));
    running
}

/// The record under which a start names the damage.
fn refused(running: &Running) -> u64 {
    match running.start() {
        Err(StartError::Store(OpenError::Damaged(damage))) => damage.seq,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("started over damage"),
    }
}

fn accepting(running: &Running, gaps: &[u64]) -> Running {
    let mut running = running.clone();
    running.settings.accepted = Acceptance {
        gaps: gaps.to_vec(),
        by: Some(operator()),
    };
    running
}

fn waiting(engine: &Engine) -> u64 {
    engine.queues().iter().map(|queue| queue.messages).sum()
}

#[tokio::test]
async fn a_gap_that_the_index_covers_costs_nothing_of_the_state_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let running = several_segments(dir.path()).await;
    let lost = sealed(dir.path()).remove(1);
    std::fs::remove_file(&lost).unwrap();
    let named = refused(&running);
    assert_eq!(named, first_seq(&lost));
    // Another name, as one left in a unit file, accepts nothing.
    assert_eq!(refused(&accepting(&running, &[named + 1, 1])), named);

    let engine = accepting(&running, &[named]).start().unwrap();
    assert!(journal_is_in_order(&engine) && !engine.is_held());
    assert_eq!(waiting(&engine), u64::from(MESSAGES));
    let twin = id_at(start_time(), 20);
    let again = engine.accept(request(participant("CITY"), twin, "pass")).await;
    assert_eq!(again, Err(Refusal::AlreadySent(twin)));
    engine.tick().await;
    until(&engine, "a snapshot", || has_snapshot(dir.path())).await;
    engine.shutdown().await;
    assert_eq!(
        ["gap_accepted", "gap_passed"].map(|event| journaled(dir.path(), event)),
        [1, 0]
    );
    let journal = dir.path().join("journal");
    let gap = journal::gaps(&RealDisk, &journal).unwrap().remove(0);
    let accepted = gap_accepted(&RealDisk::shared(), &journal, &gap).unwrap().unwrap();
    assert_eq!((accepted.by, gap.named), (operator(), named));

    // Nobody needs to accept it again; the snapshot is enough for an index that is lost later.
    let before = rows(dir.path());
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    running.start().unwrap().shutdown().await;
    assert_eq!(rows(dir.path()), before);
    assert_eq!(journaled(dir.path(), "gap_accepted"), 1);
}

#[tokio::test]
async fn a_state_built_over_a_gap_sends_nothing_and_says_so_until_a_person_decides() {
    let dir = tempfile::tempdir().unwrap();
    let running = several_segments(dir.path()).await;
    let lost = sealed(dir.path()).remove(1);
    let after = first_seq(&sealed(dir.path())[2]);
    std::fs::remove_file(&lost).unwrap();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let named = refused(&running);

    let engine = accepting(&running, &[named]).start().unwrap();
    let gone = after - named;
    assert!(gone > 5 && waiting(&engine) < u64::from(MESSAGES) && waiting(&engine) > 0);
    assert!(engine.is_held() && engine.lanes(&upstream()).is_empty());
    assert_eq!(engine.upstream_hold().unwrap().gap, Some(after - 1));
    let condition = engine.conditions().into_iter().find(|condition| !condition.ok).unwrap();
    let range = format!("records {named} to {} of the journal are missing", after - 1);
    assert!(condition.message.contains(&range), "{}", condition.message);
    engine.shutdown().await;

    // It stays so, whatever becomes of the index, and nothing is told twice.
    for _ in 0..2 {
        let before = rows(dir.path());
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        let engine = running.start().unwrap();
        assert!(engine.is_held() && !journal_is_in_order(&engine));
        engine.shutdown().await;
        assert_eq!(rows(dir.path()), before);
    }
    assert_eq!(
        ["gap_accepted", "gap_passed"].map(|event| journaled(dir.path(), event)),
        [1, 1]
    );

    // A message whose acceptance is lost may come again; it goes under its own identifier, as it may have gone before.
    let engine = running.start().unwrap();
    let known: Vec<_> = engine.queue(&"upstream/federal".parse().unwrap(), 100);
    let lost = (0..MESSAGES).map(|n| id_at(start_time(), n));
    let lost = lost
        .filter(|id| known.iter().all(|message| message.message_id != *id))
        .collect::<Vec<_>>();
    assert_eq!(lost.len() + known.len(), MESSAGES as usize);
    engine
        .accept(request(participant("CITY"), lost[0], "pass"))
        .await
        .unwrap();
    engine.acknowledge_journal_cut("operator", "a test").await.unwrap();
    assert!(journal_is_in_order(&engine));
    let doubtful = engine
        .resume_upstream(engine.now(), &operator(), "a test".to_owned())
        .await
        .unwrap();
    assert_eq!(doubtful, 0, "all are young, so that their identifiers are known");
    assert!(!engine.is_held() && !engine.lanes(&upstream()).is_empty());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_alone_has_what_is_lost_is_made_by_whichever_session_comes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = several_segments(dir.path()).await;
    std::fs::remove_file(sealed(dir.path()).remove(1)).unwrap();
    // Neither this session nor the next one lives long enough.
    let named = refused(&running);
    accepting(&running, &[named]).start().unwrap().shutdown().await;
    running.start().unwrap().shutdown().await;
    assert!(!has_snapshot(dir.path()));
    let engine = running.start().unwrap();
    engine.tick().await;
    until(&engine, "a snapshot", || has_snapshot(dir.path())).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let engine = running.start().unwrap();
    assert!(!engine.is_held());
    engine.shutdown().await;
    assert_eq!(rows(dir.path()), before);
}

#[tokio::test]
async fn records_that_come_back_become_a_part_of_the_state_again() {
    let dir = tempfile::tempdir().unwrap();
    let running = several_segments(dir.path()).await;
    let lost = sealed(dir.path()).remove(1);
    let octets = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let named = refused(&running);
    let engine = accepting(&running, &[named]).start().unwrap();
    let left = waiting(&engine);
    assert!(left < u64::from(MESSAGES));
    engine.tick().await;
    until(&engine, "a snapshot", || has_snapshot(dir.path())).await;
    engine.shutdown().await;
    running.start().unwrap().shutdown().await;

    // The gap has the name of the segment that it stands for.
    assert!(lost.exists());
    let with_gap = tempfile::tempdir().unwrap();
    copy(dir.path(), with_gap.path());
    std::fs::write(&lost, &octets).unwrap();
    for index in [true, false] {
        if !index {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let engine = running.start().unwrap();
        assert_eq!(waiting(&engine), u64::from(MESSAGES), "with an index: {index}");
        assert!(engine.is_held(), "until a person decides");
        engine.shutdown().await;
    }
    // As long as they are not there nothing changes.
    let other = Running {
        settings: crate::settings::Settings {
            data_dir: with_gap.path().to_owned(),
            ..running.settings.clone()
        },
        ..running
    };
    let engine = other.start().unwrap();
    assert_eq!(waiting(&engine), left);
    engine.shutdown().await;
}

#[tokio::test]
async fn spool_segments_stay_as_long_as_nobody_has_taken_note_of_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = several_segments_of(dir.path(), 200, "plan").await;
    std::fs::remove_file(sealed(dir.path()).remove(1)).unwrap();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    running.settings.retention_bodies = SignedDuration::ZERO;
    let engine = accepting(&running, &[refused(&running)]).start().unwrap();
    let segments = || dir.path().join("spool").read_dir().unwrap().count();
    let before = segments();
    assert!(before > 2);
    while let Some(delivery) = take(&engine).await {
        engine.acknowledge(acknowledgement(delivery.message_id)).await.unwrap();
    }
    // Nothing that is known needs them any more.
    engine.tick().await;
    engine.tick().await;
    assert!(segments() >= before);
    engine.acknowledge_journal_cut("operator", "a test").await.unwrap();
    until(&engine, "space is given back", || segments() < before).await;
    engine.shutdown().await;
}

#[tokio::test]
async fn a_gap_that_nobody_accepted_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let running = several_segments(dir.path()).await;
    let forged = tempfile::tempdir().unwrap();
    copy(dir.path(), forged.path());
    let lost = sealed(dir.path()).remove(1);
    std::fs::remove_file(&lost).unwrap();
    let named = refused(&running);
    accepting(&running, &[named]).start().unwrap().shutdown().await;
    // The gap of the one in the place of the records of the other.
    std::fs::copy(&lost, sealed(forged.path()).remove(1)).unwrap();
    let other = Running {
        settings: crate::settings::Settings {
            data_dir: forged.path().to_owned(),
            ..running.settings.clone()
        },
        ..running
    };
    assert_eq!(refused(&other), named);
}
