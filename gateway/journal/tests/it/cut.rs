//! What a start makes of a journal that lacks what is known to have been durable.

use std::path::{Path, PathBuf};

use journal::{Cut, OpenError, Opened, Position};
use testdisk::Loss;

use crate::basics::{accept, at};
use crate::disk::{MemDisk, OpenStore as _, small};

fn open(disk: &MemDisk, known: Position) -> Result<Opened, OpenError> {
    let opening = journal::begin(Path::new("/data"), small(), disk.shared())?;
    opening.expecting(known, at(0)).finish()
}

/// Where a file lies that was put aside.
fn aside(cut: &Cut, path: &Path) -> PathBuf {
    let folder = cut.aside.as_ref().expect("something was put aside");
    Path::new("/data").join(folder).join(path.file_name().unwrap())
}

/// A disk whose journal is an old one, the position that it lacks, and the files with octets behind its end.
fn restored() -> (MemDisk, Position, Vec<PathBuf>) {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 3000).unwrap();
    let live = disk.paths(".journal").remove(0);
    let old = disk.read(&live);
    for number in 2..8 {
        accept(&mut store, number, 9000).unwrap();
    }
    let known = store.position();
    drop(store);
    assert_eq!(disk.paths(".journal").remove(0), live, "the same segment");
    disk.write(&live, old);
    let spool = disk.paths(".spool");
    assert!(spool.len() > 2, "{spool:?}");
    (disk, known, spool)
}

#[test]
fn an_old_journal_over_a_newer_spool_costs_nothing_of_it() {
    let (disk, known, spool) = restored();
    let whole = disk.after_kill();
    let opened = open(&disk, known).unwrap();
    let [cut] = &opened.recovery.cuts[..] else {
        panic!("one cut")
    };
    assert_eq!((cut.known, cut.end), (known, opened.store.position()));
    for path in spool {
        assert_eq!(disk.read(&aside(cut, &path)), whole.read(&path), "{path:?}");
    }
    // The note stays until the journal tells of it.
    let cuts = opened.recovery.cuts.clone();
    drop(opened);
    let crashed = disk.after_crash();
    let opened = crashed.open_store().unwrap();
    assert_eq!(opened.recovery.cuts, cuts);
    opened.store.forget_cuts().unwrap();
    drop(opened);
    assert!(crashed.after_crash().open_store().unwrap().recovery.cuts.is_empty());
}

#[test]
fn a_last_batch_that_was_durable_is_put_aside_before_it_is_cut_off() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=3 {
        accept(&mut store, number, 500).unwrap();
    }
    let known = store.position();
    drop(store);
    let live = disk.paths(".journal").remove(0);
    let mut octets = disk.read(&live);
    let last = octets.iter().rposition(|octet| *octet != 0).unwrap();
    octets[last] ^= 1;
    disk.write(&live, octets.clone());
    let opened = open(&disk, known).unwrap();
    assert_eq!(opened.recovery.last_seq, 2);
    assert_eq!(disk.read(&aside(&opened.recovery.cuts[0], &live)), octets);
}

#[test]
fn nothing_is_noted_of_a_journal_that_has_what_is_known() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 500).unwrap();
    let known = store.position();
    accept(&mut store, 2, 500).unwrap();
    drop(store);
    let opened = open(&disk, known).unwrap();
    assert!(opened.recovery.cuts.is_empty() && opened.store.last_seq() == 2);
    drop(opened);
    let other = Position {
        digest: [1; 32],
        ..known
    };
    let opened = open(&disk, other).unwrap();
    assert_eq!(opened.recovery.cuts[0].aside, None, "nothing was taken away");
}

#[test]
fn a_crash_while_files_are_put_aside_loses_none() {
    let (disk, known, spool) = restored();
    let whole = disk.after(Loss::Nothing);
    for operations in 0.. {
        let disk = whole.after_kill();
        disk.stop_after(Some(operations));
        let done = open(&disk, known).is_ok();
        let crashed = disk.after_crash();
        let opened = open(&crashed, known).unwrap();
        let [cut] = &opened.recovery.cuts[..] else {
            panic!("one cut after {operations} operations")
        };
        for path in &spool {
            assert_eq!(
                crashed.read(&aside(cut, path)),
                whole.read(path),
                "{operations} {path:?}"
            );
        }
        if done {
            return;
        }
    }
}
