//! What is known of the newest backup.

use std::path::Path;

use jiff::SignedDuration;

use crate::testing::Running;
use crate::{BackupDone, BackupMade, Engine, View, rebuild_index};

use super::{remove_files, rows};

async fn back_up(engine: &Engine) -> u64 {
    let mark = engine.begin_backup().await.unwrap();
    let made = BackupMade {
        through: mark.through,
        manifest: "0".repeat(64),
        files: 1,
        bytes: 1,
    };
    engine.vouch_for_backup(mark.hold, made, "operator").await.unwrap();
    engine.end_backup(mark.hold);
    mark.through
}

fn looked(running: &Running) -> Option<BackupDone> {
    let view = View::open(&running.settings, running.disk.clone()).unwrap().unwrap();
    view.last_backup().unwrap()
}

fn without_index(dir: &Path) {
    std::fs::remove_dir_all(dir.join("index")).unwrap();
}

#[tokio::test]
async fn the_newest_backup_is_known_after_a_restart_and_when_the_index_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    assert_eq!(engine.last_backup(), None);
    back_up(&engine).await;
    running.time.pass(SignedDuration::from_hours(30));
    engine.tick().await;
    let (at, through) = (engine.now(), back_up(&engine).await);
    let known = Some(BackupDone { at, through });
    assert_eq!(engine.last_backup(), known);
    running.time.pass(SignedDuration::from_hours(1));
    engine.shutdown().await;
    assert_eq!(looked(&running), known);

    let before = rows(dir.path());
    rebuild_index(&running.settings, running.disk.clone()).unwrap();
    assert_eq!(rows(dir.path()), before, "from the snapshot, if there is one");
    let snapshots = dir.path().join("snapshot");
    if snapshots.is_dir() {
        remove_files(&snapshots);
    }
    without_index(dir.path());
    let engine = running.start().unwrap();
    assert_eq!(engine.last_backup(), known, "from the journal alone");
    engine.shutdown().await;
}
