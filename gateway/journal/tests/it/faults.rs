//! A disk that runs full, and a disk that fails.

use journal::{CommitError, Options, RemoveError};
use serde_json::json;

use crate::basics::{accept, accepted, add, at, body, message};
use crate::disk::{MemDisk, OpenStore as _, small};

#[test]
fn without_space_the_batch_is_taken_back_and_the_store_goes_on_when_there_is_space() {
    let disk = MemDisk::default();
    let opened = disk.open_store().unwrap();
    let mut store = opened.store;
    let mut expected = Vec::new();
    let mut refused = 0;
    for number in 1..=60 {
        // Space for what is there and half a segment more: it runs out at each preparation of a segment.
        disk.set_space(Some(disk.used() + 8000));
        let before = store.position();
        match accept(&mut store, number, 1500) {
            Ok(location) => expected.push((number, location)),
            Err(CommitError::NoSpace { .. }) => {
                refused += 1;
                assert_eq!(store.position(), before);
                assert_eq!(accepted(&store).unwrap(), expected);
                disk.set_space(None);
                expected.push((number, accept(&mut store, number, 1500).unwrap()));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 3, "{refused}");
    assert_eq!(store.failure(), None);
    disk.set_space(None);
    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!(opened.recovery.cut, None);
    assert_eq!(accepted(&opened.store).unwrap(), expected);
    for (number, location) in expected {
        assert_eq!(
            opened.bodies.read(&location, message(number), 0).unwrap(),
            body(number, 1500)
        );
    }
}

#[test]
fn a_batch_over_several_spool_segments_is_taken_back_whole() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let first = accept(&mut store, 1, 1000).unwrap();
    let spool = disk.paths(".spool");
    let before = disk.read(&spool[0]);
    // Enough for one more segment, not for two.
    disk.set_space(Some(disk.used() + (20 << 10)));
    let mut batch = store.begin();
    for number in 2..=5 {
        add(&mut batch, number, 9000);
    }
    assert!(matches!(batch.commit(), Err(CommitError::NoSpace { .. })));
    assert_eq!(disk.paths(".spool"), spool);
    assert_eq!(disk.read(&spool[0]), before);
    disk.set_space(None);
    let second = accept(&mut store, 6, 9000).unwrap();
    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!(accepted(&opened.store).unwrap(), [(1, first), (6, second)]);
}

#[test]
fn a_full_disk_lets_the_store_open_and_read() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let first = accept(&mut store, 1, 1000).unwrap();
    drop(store);
    disk.set_space(Some(disk.used() + 200));
    let larger = Options {
        journal_segment_bytes: 64 << 10,
        spool_segment_bytes: 64 << 10,
        ..small()
    };
    let opened = disk.open_with(larger.clone()).unwrap();
    assert_eq!(opened.bodies.read(&first, message(1), 0).unwrap(), body(1, 1000));
    let mut store = opened.store;
    accept(&mut store, 2, 10).unwrap();
    // Beyond what the smaller segments had reserved.
    assert!(matches!(
        accept(&mut store, 3, 20_000),
        Err(CommitError::NoSpace { .. })
    ));
    disk.set_space(None);
    accept(&mut store, 3, 20_000).unwrap();
    drop(store);
    assert_eq!(disk.after_crash().open_with(larger).unwrap().recovery.last_seq, 3);
}

#[test]
fn a_failed_sync_of_either_file_is_final() {
    for part in [".journal", ".spool"] {
        let disk = MemDisk::default();
        let mut store = disk.open_store().unwrap().store;
        accept(&mut store, 1, 100).unwrap();
        disk.fail_sync_of(Some(part));
        assert!(
            matches!(accept(&mut store, 2, 100), Err(CommitError::Fatal(_))),
            "{part}"
        );
        disk.fail_sync_of(None);
        assert!(
            matches!(accept(&mut store, 3, 100), Err(CommitError::Fatal(_))),
            "{part}"
        );
        assert!(matches!(store.begin().commit(), Err(CommitError::Fatal(_))));
        assert!(matches!(store.seal(), Err(CommitError::Fatal(_))));
        assert!(matches!(store.sync(), Err(CommitError::Fatal(_))));
        assert!(matches!(store.remove_spool_segment(1), Err(RemoveError::Fatal(_))));
        assert!(store.failure().is_some_and(|why| why.contains(part)));
        assert!(matches!(store.close(), Err(CommitError::Fatal(_))));
        let recovery = disk.after_crash().open_store().unwrap().recovery;
        assert!(!recovery.clean_close);
        assert_eq!(recovery.last_seq, 1, "{part}");
    }
}

#[test]
fn a_failed_write_is_final() {
    for part in [".journal", ".spool"] {
        let disk = MemDisk::default();
        let mut store = disk.open_store().unwrap().store;
        accept(&mut store, 1, 100).unwrap();
        disk.fail_write_to(Some(part));
        assert!(
            matches!(accept(&mut store, 2, 100), Err(CommitError::Fatal(_))),
            "{part}"
        );
        disk.fail_write_to(None);
        let mut batch = store.begin();
        batch.append(at(1), &json!({"refused": 1})).unwrap();
        assert!(matches!(batch.commit_relaxed(), Err(CommitError::Fatal(_))), "{part}");
        drop(store);
        assert_eq!(disk.after_kill().open_store().unwrap().recovery.last_seq, 1, "{part}");
    }
}

#[test]
fn a_failed_directory_sync_at_a_rollover_is_final() {
    for part in ["/data/journal/.", "/data/spool/."] {
        let disk = MemDisk::default();
        let mut store = disk.open_store().unwrap().store;
        let mut number = 0;
        while disk.paths(".spool").len() == 1 && disk.paths(".journal").len() == 1 && store.failure().is_none() {
            number += 1;
            accept(&mut store, number, 1000).unwrap();
            if number == 5 {
                break;
            }
        }
        disk.fail_sync_of(Some(part));
        assert!(store.failure().is_none());
        let failed = (number + 1..100).find_map(|number| accept(&mut store, number, 1000).err());
        assert!(matches!(failed, Some(CommitError::Fatal(_))), "{part}: {failed:?}");
    }
}

#[test]
fn a_failed_sync_while_sealing_in_the_background_is_final() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    disk.fail_sync_of(Some(".jsonl.zst"));
    store.seal().unwrap();
    let failed = (2..1_000_000).find_map(|number| accept(&mut store, number, 10).err());
    assert!(matches!(failed, Some(CommitError::Fatal(why)) if why.contains(".jsonl.zst")));
    disk.fail_sync_of(None);
    drop(store);
    assert!(disk.after_crash().open_store().unwrap().recovery.last_seq >= 1);
}

#[test]
fn a_segment_that_finds_no_space_to_be_sealed_is_sealed_later() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=10 {
        accept(&mut store, number, 10).unwrap();
    }
    disk.set_space(Some(disk.used() + (16 << 10)));
    store.seal().unwrap();
    drop(store);
    assert_eq!(disk.paths(".journal").len(), 2);
    assert_eq!(disk.paths(".tmp").len(), 0);
    disk.set_space(None);
    let store = disk.open_store().unwrap().store;
    assert_eq!(accepted(&store).unwrap().len(), 10);
    drop(store);
    assert_eq!((disk.paths(".journal").len(), disk.paths(".jsonl.zst").len()), (1, 1));
}
