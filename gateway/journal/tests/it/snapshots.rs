//! Snapshots: written whole or not at all, and the newest whole one is read.

use journal::{Position, SnapshotError, SnapshotReader, Snapshots};

use crate::basics::accept;
use crate::disk::{MemDisk, OpenStore as _};

fn position(seq: u64) -> Position {
    Position {
        seq,
        digest: [seq as u8; 32],
    }
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows(seq: u64) -> Rows {
    let row = |number: u64| {
        (
            format!("q/{number:06}").into_bytes(),
            vec![(seq + number) as u8; number as usize % 400],
        )
    };
    (0..2000).map(row).collect()
}

fn save(snapshots: &Snapshots, seq: u64) -> Result<[u8; 32], SnapshotError> {
    let mut writer = snapshots.create(position(seq))?;
    for (key, value) in rows(seq) {
        writer.put(&key, &value)?;
    }
    writer.finish()
}

fn load(reader: SnapshotReader) -> Rows {
    reader.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_snapshot_reads_back() {
    let disk = MemDisk::default();
    let snapshots = disk.open_store().unwrap().store.snapshots();
    assert!(snapshots.latest(u64::MAX, &|_| Ok(true)).unwrap().is_none());
    let digest = save(&snapshots, 7).unwrap();
    let crashed = disk.after_crash();
    let store = crashed.open_store().unwrap().store;
    let reader = store.snapshots().latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap();
    assert_eq!(
        (reader.position(), reader.rows(), reader.digest()),
        (position(7), 2000, digest)
    );
    assert!(reader.passed_over().is_empty());
    assert_eq!(load(reader), rows(7));
    assert!(store.sizes().snapshot_bytes > 0);
}

#[test]
fn a_snapshot_of_nothing_reads_back() {
    let disk = MemDisk::default();
    let snapshots = disk.open_store().unwrap().store.snapshots();
    snapshots.create(position(0)).unwrap().finish().unwrap();
    assert_eq!(snapshots.latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap().count(), 0);
}

#[test]
fn any_damage_lets_the_one_before_be_taken() {
    let disk = MemDisk::default();
    let snapshots = disk.open_store().unwrap().store.snapshots();
    save(&snapshots, 7).unwrap();
    save(&snapshots, 9).unwrap();
    let path = disk.paths(".snapshot").remove(1);
    let whole = disk.read(&path);
    let len = whole.len();
    let flips = (0..120).chain(len - 60..len).chain((120..len - 60).step_by(211));
    let damaged = flips.map(|index| {
        let mut octets = whole.clone();
        octets[index] ^= 1;
        octets
    });
    for octets in damaged.chain([whole[..len - 1].to_vec(), whole[..20].to_vec(), Vec::new()]) {
        disk.write(&path, octets);
        let reader = snapshots.latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap();
        assert_eq!(reader.position(), position(7));
        assert_eq!(reader.passed_over().len(), 1);
        assert_eq!(load(reader), rows(7));
    }
}

#[test]
fn two_are_kept() {
    let disk = MemDisk::default();
    let snapshots = disk.open_store().unwrap().store.snapshots();
    for seq in [3, 5, 8, 13] {
        save(&snapshots, seq).unwrap();
    }
    assert_eq!(disk.paths(".snapshot").len(), 2);
    assert_eq!(
        snapshots.latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap().position(),
        position(13)
    );
}

#[test]
fn an_older_one_goes_only_if_they_are_large_and_the_journal_is_whole() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 10).unwrap();
    store.seal().unwrap();
    let there = || disk.paths(".snapshot").len();
    let save_two = |snapshots: &Snapshots| {
        for seq in [5, 8] {
            save(snapshots, seq).unwrap();
        }
        assert_eq!(there(), 2);
    };
    save_two(&store.snapshots());
    let together = store.sizes().snapshot_bytes;
    assert_eq!(store.remove_older_snapshots(8, together).unwrap(), 0);
    let given_back = store.remove_older_snapshots(8, together - 1).unwrap();
    assert_eq!((there(), together - store.sizes().snapshot_bytes), (1, given_back));
    assert!(given_back > 0);
    let left = store.snapshots().latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap();
    assert_eq!(left.position(), position(8));

    // The segment is sealed for certain when the store has been closed.
    drop(store);
    let mut store = disk.open_store().unwrap().store;
    assert!(store.remove_oldest_segment(1).unwrap().is_some());
    save_two(&store.snapshots());
    assert_eq!(
        store.remove_older_snapshots(8, 0).unwrap(),
        0,
        "nothing else tells of what is gone"
    );
    drop(store);
    let store = disk.open_store().unwrap().store;
    assert_eq!((store.remove_older_snapshots(8, 0).unwrap(), there()), (0, 2));
}

#[test]
fn one_of_another_journal_neither_counts_nor_is_taken() {
    let disk = MemDisk::default();
    let opened = disk.open_store().unwrap();
    let snapshots = opened.store.snapshots();
    for seq in [20, 3, 5, 8] {
        save(&snapshots, seq).unwrap();
    }
    assert_eq!(disk.paths(".snapshot").len(), 3);
    let reader = snapshots
        .latest(u64::MAX, &|position| Ok(position.seq < 20))
        .unwrap()
        .unwrap();
    assert_eq!((reader.position(), reader.passed_over().len()), (position(8), 1));
    // The journal is empty, so that none belongs to it.
    assert!(opened.store.snapshot(u64::MAX).unwrap().is_none());
    assert_eq!(opened.store.remove_foreign_snapshots().unwrap().len(), 3);
    assert!(disk.paths(".snapshot").is_empty());
}

#[test]
fn an_unfinished_snapshot_leaves_nothing() {
    let disk = MemDisk::default();
    let store = disk.open_store().unwrap().store;
    let snapshots = store.snapshots();
    let mut writer = snapshots.create(position(3)).unwrap();
    writer.put(b"key", b"value").unwrap();
    drop(writer);
    assert_eq!(disk.paths(".tmp").len(), 0);
    let mut writer = snapshots.create(position(4)).unwrap();
    writer.put(b"key", b"value").unwrap();
    assert!(matches!(
        writer.put(&vec![0; (16 << 20) + 1], b""),
        Err(SnapshotError::TooLarge(_))
    ));
    let killed = disk.after_kill();
    assert_eq!(killed.paths(".tmp").len(), 1);
    assert!(
        killed
            .open_store()
            .unwrap()
            .store
            .snapshots()
            .latest(u64::MAX, &|_| Ok(true))
            .unwrap()
            .is_none()
    );
    assert_eq!(killed.paths(".tmp").len(), 0);
    writer.finish().unwrap();
    assert_eq!(
        load(snapshots.latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap()),
        [(b"key".to_vec(), b"value".to_vec())]
    );
}

#[test]
fn without_space_the_one_before_stays() {
    let disk = MemDisk::default();
    let store = disk.open_store().unwrap().store;
    let snapshots = store.snapshots();
    save(&snapshots, 3).unwrap();
    disk.set_space(Some(disk.used() + 1000));
    assert!(matches!(save(&snapshots, 5), Err(SnapshotError::NoSpace { .. })));
    assert_eq!(disk.paths(".tmp").len(), 0);
    assert_eq!(store.failure(), None);
    disk.set_space(None);
    assert_eq!(
        snapshots.latest(u64::MAX, &|_| Ok(true)).unwrap().unwrap().position(),
        position(3)
    );
}

#[test]
fn a_failed_sync_closes_the_store() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    disk.fail_sync_of(Some("/snapshot/"));
    assert!(matches!(save(&store.snapshots(), 3), Err(SnapshotError::Io { .. })));
    assert!(store.failure().is_some());
    assert!(store.sync().is_err());
}
