//! What follows a journal that lost records which were durable.

use std::path::{Path, PathBuf};

use journal::disk::RealDisk;

use super::restart::{accept, crash_and_cut, journal_is_in_order, journaled, live};
use super::{copy, remove_files, rows};
use crate::testing::Running;
use crate::{known_position, rebuild_index};

/// The names in a folder that begin with something.
fn beginning(dir: &Path, with: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(with))
        .collect();
    found.sort();
    found
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let mut found = beginning(&dir.join("snapshot"), "");
    found.retain(|path| path.extension().is_some_and(|end| end == "snapshot"));
    found
}

/// A stopped gateway on which an old journal was restored: its spool, its index and its snapshot know more.
async fn restored(dir: &Path) -> Running {
    let mut running = Running::new(dir);
    running.settings.snapshot_every = 10;
    running.settings.store.spool_segment_bytes = 8 << 10;
    let engine = running.region().await;
    accept(&engine, 0..3).await;
    engine.shutdown().await;
    let earlier = tempfile::tempdir().unwrap();
    copy(dir, earlier.path());
    let engine = running.start().unwrap();
    accept(&engine, 3..120).await;
    engine.tick().await;
    super::running::until(&engine, "a snapshot", || !snapshots(dir).is_empty()).await;
    engine.shutdown().await;
    remove_files(&dir.join("journal"));
    copy(&earlier.path().join("journal"), &dir.join("journal"));
    std::fs::copy(earlier.path().join("SESSION"), dir.join("SESSION")).unwrap();
    running
}

#[tokio::test]
async fn a_journal_that_grows_past_a_cut_never_meets_the_snapshots_of_the_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = restored(dir.path()).await;
    running.settings.snapshot_every = 1_000_000;
    let lost = snapshots(dir.path());
    let engine = running.start().unwrap();
    assert!(lost.iter().all(|path| !path.exists()), "they are of no use any more");
    accept(&engine, 200..400).await;
    engine.tick().await;
    engine.shutdown().await;
    let before = rows(dir.path());
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    running.start().unwrap().shutdown().await;
    assert_eq!(before, rows(dir.path()));
}

#[tokio::test]
async fn a_foreign_snapshot_gives_way_to_an_older_one_of_this_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.snapshot_every = 10;
    let engine = running.region().await;
    live(&engine).await;
    engine.tick().await;
    super::running::until(&engine, "a snapshot", || !snapshots(dir.path()).is_empty()).await;
    accept(&engine, 20..40).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    let foreign = tempfile::tempdir().unwrap();
    let opened = journal::open(foreign.path(), running.settings.store.clone(), RealDisk::shared()).unwrap();
    let position = journal::Position {
        seq: 40,
        digest: [7; 32],
    };
    opened.store.snapshots().create(position).unwrap().finish().unwrap();
    copy(&foreign.path().join("snapshot"), &dir.path().join("snapshot"));
    assert_eq!(snapshots(dir.path()).len(), 2);
    rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert_eq!(before, rows(dir.path()));
    assert_eq!(snapshots(dir.path()).len(), 1, "the foreign one is gone");
}

#[tokio::test]
async fn what_a_start_takes_away_behind_a_cut_is_put_aside_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let running = restored(dir.path()).await;
    let spool = dir.path().join("spool");
    let before: Vec<_> = beginning(&spool, "")
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    let engine = running.start().unwrap();
    let condition = engine.conditions().into_iter().find(|condition| !condition.ok).unwrap();
    let [aside] = &beginning(dir.path(), "cut-")[..] else {
        panic!("one folder")
    };
    let name = aside.file_name().unwrap().to_string_lossy();
    assert!(condition.remedy.contains(&*name), "{}", condition.remedy);
    let mut moved = 0;
    for (path, octets) in before {
        let there = aside.join(path.file_name().unwrap());
        if there.exists() {
            assert_eq!(std::fs::read(there).unwrap(), octets);
            moved += 1;
        }
    }
    assert!(moved > 1, "the live segment and those after it");
    assert!(!dir.path().join("CUT").exists(), "the journal tells of it now");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_rebuilt_index_does_not_hide_a_cut() {
    for boot in [None, Some("another boot")] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path());
        let engine = running.region().await;
        live(&engine).await;
        engine.shutdown().await;
        crash_and_cut(dir.path(), boot);
        let known = known_position(&running.settings, &RealDisk::shared()).unwrap();
        let rebuilt = rebuild_index(&running.settings, RealDisk::shared()).unwrap();
        assert_eq!(
            rebuilt.cuts.iter().map(|cut| cut.known).collect::<Vec<_>>(),
            [known.unwrap()]
        );
        // As after a start that ended before it came to tell: the index is that of the journal as it is.
        assert_eq!(known_position(&running.settings, &RealDisk::shared()).unwrap(), known);
        let engine = running.start().unwrap();
        assert!(!journal_is_in_order(&engine) && engine.gauges().journal_cut && engine.found_cut());
        engine.shutdown().await;
        let engine = running.start().unwrap();
        assert!(!journal_is_in_order(&engine) && !engine.found_cut());
        engine.shutdown().await;
        assert_eq!(journaled(dir.path(), "journal_cut"), 1);
    }
}
