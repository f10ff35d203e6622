//! Little to write: space that is reserved for nothing is given back, and nothing is lost over it.

use journal::CommitError;

use crate::basics::{accept, accepted, body, message};
use crate::disk::{MemDisk, OpenStore as _, small};

/// What a segment reserves at once when it is not reserved as a whole.
const PIECE: u64 = (16 << 10) / 16;

/// Octets of the files with this end of their names.
fn files(disk: &MemDisk, suffix: &str) -> u64 {
    let lengths = disk.paths(suffix).into_iter().map(|path| disk.read(&path).len() as u64);
    lengths.sum()
}

#[test]
fn what_is_reserved_for_nothing_is_given_back_at_rest() {
    let disk = MemDisk::default();
    let opened = disk.open_store().unwrap();
    let mut store = opened.store;
    // More than half of a segment, so that the next one is made ready.
    let first = accept(&mut store, 1, 9000).unwrap();
    store.rest(u64::MAX).unwrap();
    assert!(disk.paths(".tmp").is_empty(), "nothing is made ready");
    let used = store.mark();
    let sizes = store.sizes();
    assert_eq!((used.spool_segment, files(&disk, ".spool")), (1, sizes.spool_bytes));
    assert_eq!(files(&disk, ".journal"), sizes.journal_bytes);
    assert!(sizes.spool_bytes <= used.spool_bytes + 2 * PIECE, "{sizes:?}");
    assert!(sizes.journal_bytes <= used.live_bytes + 2 * PIECE, "{sizes:?}");

    // It goes on, a piece at a time, into the next segments, and so does a start after a crash.
    let mut all = vec![(1, first, 9000)];
    for number in 2..80 {
        let len = number as usize * 37 % 2000;
        all.push((number, accept(&mut store, number, len).unwrap(), len));
    }
    assert!(store.mark().spool_segment > 2);
    // A closed segment may just be being sealed.
    assert!(disk.paths(".spool.tmp").is_empty() && disk.paths("next.tmp").is_empty());
    assert_eq!(store.sizes().spool_bytes, files(&disk, ".spool"));
    for disk in [disk.clone(), disk.after_crash()] {
        drop(std::mem::replace(
            &mut store,
            MemDisk::default().open_store().unwrap().store,
        ));
        let mut opened = disk.open_store().unwrap();
        assert_eq!(opened.recovery.cut, None);
        let known: Vec<_> = all.iter().map(|(number, place, _)| (*number, *place)).collect();
        assert_eq!(accepted(&opened.store).unwrap(), known);
        for (number, place, len) in &all {
            let read = opened.bodies.read(place, message(*number), 0).unwrap();
            assert_eq!(read, body(*number, *len));
        }
        accept(&mut opened.store, 80, 5000).unwrap();
    }
}

#[test]
fn a_live_spool_segment_that_is_hardly_needed_is_closed_at_rest() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 9000).unwrap();
    store.rest(3000).unwrap();
    assert_eq!(store.mark().spool_segment, 1, "a third of it is needed");
    store.rest(100).unwrap();
    assert_eq!(store.mark().spool_segment, 2);
    store.rest(0).unwrap();
    assert_eq!(store.mark().spool_segment, 2, "there is nothing in it to be given back");
    store.remove_spool_segment(1).unwrap();
    assert!(files(&disk, ".spool") <= 2 * PIECE);
    let second = accept(&mut store, 2, 3000).unwrap();
    assert_eq!(second.segment, 2);
    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!((opened.recovery.last_seq, opened.recovery.cut), (2, None));
    assert_eq!(opened.bodies.read(&second, message(2), 0).unwrap(), body(2, 3000));
}

#[test]
fn without_space_a_segment_stays_open_and_the_store_goes_on() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let first = accept(&mut store, 1, 7000).unwrap();
    disk.set_space(Some(disk.used()));
    assert!(matches!(store.rest(0), Err(CommitError::NoSpace { .. })));
    assert_eq!(store.mark().spool_segment, 1);
    accept(&mut store, 2, 100).unwrap();
    disk.set_space(None);
    store.rest(0).unwrap();
    assert_eq!(store.mark().spool_segment, 2);
    drop(store);
    let opened = disk.open_store().unwrap();
    assert_eq!(opened.bodies.read(&first, message(1), 0).unwrap(), body(1, 7000));
    assert_eq!(opened.recovery.last_seq, 2);
}

#[test]
fn the_next_segment_is_made_ready_only_while_there_is_much_to_write() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let segment = small().journal_segment_bytes;
    store.rest(u64::MAX).unwrap();
    assert!(
        store.sizes().next_journal_bytes > segment,
        "the live one was cut short too"
    );
    let mut numbers = 1..;
    while store.mark().live_bytes * 4 < segment * 3 {
        accept(&mut store, numbers.next().unwrap(), 10).unwrap();
    }
    assert!(store.sizes().next_journal_bytes >= segment);
    store.wake();
    accept(&mut store, numbers.next().unwrap(), 10).unwrap();
    assert!(store.sizes().next_journal_bytes < segment);
}

#[test]
fn on_a_full_disk_what_is_reserved_takes_small_batches_although_a_large_one_was_refused() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    store.rest(u64::MAX).unwrap();
    disk.set_space(Some(disk.used()));
    for number in 2..4 {
        assert!(matches!(accept(&mut store, 9, 9000), Err(CommitError::NoSpace { .. })));
        accept(&mut store, number, 10).unwrap();
    }
    // A little more than it takes, and less than a piece.
    disk.set_space(Some(disk.used() + PIECE as usize / 2));
    let last = (4..)
        .find(|number| accept(&mut store, *number, PIECE as usize / 4).is_err())
        .unwrap();
    assert!(last > 5, "{last}");
    disk.set_space(None);
    accept(&mut store, last, 9000).unwrap();
    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!((opened.recovery.last_seq, opened.recovery.cut), (last, None));
}
