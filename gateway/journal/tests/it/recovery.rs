//! What a start makes of torn, altered and missing files.

use std::path::{Path, PathBuf};

use journal::{Damage, OpenError};
use serde_json::json;

use crate::basics::{accept, accepted, add, at, body, message};
use crate::disk::{MemDisk, OpenStore as _};

/// Length of a segment's and of a frame's header in the journal.
const SEGMENT: usize = 128;
const FRAME: usize = 56;

/// A disk with three synced batches of one message each, and where the last batch begins and ends in the journal.
fn three() -> (MemDisk, PathBuf, usize, usize) {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let mut ends = Vec::new();
    let path = disk.paths(".journal").remove(0);
    for number in 1..=3 {
        accept(&mut store, number, 500).unwrap();
        let octets = disk.read(&path);
        ends.push(octets.iter().rposition(|octet| *octet != 0).unwrap() + 1);
    }
    drop(store);
    (disk, path, ends[1].next_multiple_of(8), ends[2])
}

fn damage(disk: &MemDisk) -> Damage {
    match disk.open_store() {
        Err(OpenError::Damaged(damage)) => damage,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_torn_last_batch_is_cut_at_whatever_octet_it_was_torn() {
    let (disk, path, start, end) = three();
    let whole = disk.read(&path);
    for torn_at in start..end {
        let disk = disk.after_kill();
        let mut octets = whole.clone();
        octets[torn_at..].fill(0);
        disk.write(&path, octets);
        let mut opened = disk.open_store().unwrap();
        assert_eq!(opened.recovery.last_seq, 2, "torn at {torn_at}");
        match opened.recovery.cut {
            None => assert_eq!(torn_at, start, "only what left no octet goes unreported"),
            Some(cut) => assert_eq!(cut.first_seq, 3),
        }
        // The store goes on in the same place, and nothing of the torn batch shines through.
        accept(&mut opened.store, 33, 10).unwrap();
        let numbers: Vec<_> = accepted(&disk.after_crash().open_store().unwrap().store).unwrap();
        assert_eq!(
            numbers.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [1, 2, 33]
        );
    }
}

#[test]
fn a_last_batch_with_a_lost_beginning_is_cut_too() {
    let (disk, path, start, end) = three();
    let mut octets = disk.read(&path);
    octets[start..end - 100].fill(0);
    disk.write(&path, octets);
    let recovery = disk.open_store().unwrap().recovery;
    assert_eq!((recovery.last_seq, recovery.cut.map(|cut| cut.first_seq)), (2, Some(3)));
}

#[test]
fn a_flipped_octet_in_a_batch_before_the_last_stops_the_start_and_is_named() {
    let (disk, path, last, _) = three();
    let whole = disk.read(&path);
    let first_len = FRAME + u32::from_le_bytes(whole[SEGMENT + 12..SEGMENT + 16].try_into().unwrap()) as usize;
    let second = SEGMENT + first_len.next_multiple_of(8);
    for flipped in (SEGMENT..SEGMENT + first_len).chain(second..second + first_len) {
        let disk = disk.after_kill();
        let mut octets = whole.clone();
        octets[flipped] ^= 0x10;
        disk.write(&path, octets.clone());
        let found = damage(&disk);
        assert_eq!(found.file, path);
        let (offset, seq) = if flipped < second { (SEGMENT, 1) } else { (second, 2) };
        assert_eq!(
            (found.offset, found.seq),
            (offset as u64, seq),
            "flipped {flipped}: {found}"
        );
        assert_eq!(disk.read(&path), octets, "nothing was repaired");
    }
    assert!(last > second);
}

#[test]
fn a_flipped_octet_in_the_header_of_the_live_segment_stops_the_start() {
    let (disk, path, ..) = three();
    for flipped in 0..96 {
        let disk = disk.after_kill();
        let mut octets = disk.read(&path);
        octets[flipped] ^= 0x10;
        disk.write(&path, octets);
        assert_eq!((damage(&disk).file, damage(&disk).offset), (path.clone(), 0));
    }
}

#[test]
fn an_event_without_its_body_is_cut_with_its_batch() {
    let (disk, ..) = three();
    let spool = disk.paths(".spool").remove(0);
    let whole = disk.read(&spool);
    let third = 64 + 2 * (28 + 500);
    for lost in [
        third,
        third + 4,
        third + 20,
        third + 27,
        third + 28,
        third + 300,
        third + 527,
    ] {
        let disk = disk.after_kill();
        let mut octets = whole.clone();
        octets[lost] ^= 0xFF;
        disk.write(&spool, octets);
        let mut opened = disk.open_store().unwrap();
        let cut = opened.recovery.cut.expect("reported");
        assert_eq!(
            (cut.first_seq, cut.records, opened.recovery.last_seq),
            (3, Some(1), 2),
            "{}",
            cut.why
        );
        let location = accept(&mut opened.store, 3, 40).unwrap();
        assert_eq!(
            location.offset as usize, third,
            "the place of the lost body is used again"
        );
        let opened = disk.after_crash().open_store().unwrap();
        assert_eq!(opened.recovery.cut, None);
        assert_eq!(opened.bodies.read(&location, message(3), 0).unwrap(), body(3, 40));
    }
}

#[test]
fn a_body_lost_before_a_segment_of_the_spool_ended_is_noticed() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    let mut batch = store.begin();
    for number in 2..=4 {
        add(&mut batch, number, 7000);
    }
    batch.commit().unwrap();
    drop(store);
    assert_eq!(disk.paths(".spool").len(), 2);
    for (segment, from) in [
        (0, 64 + 128),
        (0, 64 + 128 + 7028),
        (0, 64 + 128 + 2 * 7028),
        (1, 64),
        (1, 0),
    ] {
        let disk = disk.after_kill();
        let path = disk.paths(".spool").remove(segment);
        let mut octets = disk.read(&path);
        octets[from..].fill(0);
        disk.write(&path, octets);
        let recovery = disk.open_store().unwrap().recovery;
        assert_eq!(
            recovery.cut.unwrap().first_seq,
            2,
            "segment {segment} zeroed from {from}"
        );
        assert_eq!(
            disk.paths(".spool").len(),
            1,
            "the segment that the batch began is gone with it"
        );
    }
}

#[test]
fn old_spool_damage_is_not_noticed_at_a_start() {
    let (disk, ..) = three();
    let spool = disk.paths(".spool").remove(0);
    let mut octets = disk.read(&spool);
    octets[64 + 30] ^= 1;
    disk.write(&spool, octets);
    let opened = disk.open_store().unwrap();
    assert_eq!((opened.recovery.last_seq, opened.recovery.cut), (3, None));
    let list = accepted(&opened.store).unwrap();
    assert!(opened.bodies.read(&list[0].1, message(1), 0).is_err());
    assert!(opened.bodies.read(&list[1].1, message(2), 0).is_ok());
}

#[test]
fn relaxed_batches_lost_out_of_order_are_cut_from_the_first_lost_one() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 10).unwrap();
    let path = disk.paths(".journal").remove(0);
    let start = disk.read(&path).iter().rposition(|octet| *octet != 0).unwrap() + 1;
    for number in 2..=4 {
        let mut batch = store.begin();
        batch.append(at(number), &json!({"refused": number})).unwrap();
        batch.commit_relaxed().unwrap();
    }
    let disk = disk.after_kill();
    let mut octets = disk.read(&path);
    octets[start.next_multiple_of(8) + 20] ^= 1;
    disk.write(&path, octets);
    let recovery = disk.open_store().unwrap().recovery;
    assert_eq!((recovery.last_seq, recovery.cut.unwrap().first_seq), (1, 2));
    assert_eq!(
        disk.after_crash().open_store().unwrap().recovery.cut,
        None,
        "cut for good"
    );
}

#[test]
fn what_a_start_found_is_durable_before_it_is_built_on() {
    let (disk, ..) = three();
    let killed = disk.after_kill();
    killed.take_syncs();
    drop(killed.open_store().unwrap());
    let synced = killed.take_syncs();
    for suffix in [".journal", ".spool"] {
        assert!(synced.contains(&killed.paths(suffix)[0]), "{synced:?}");
    }
}

#[test]
fn after_an_orderly_end_nothing_may_be_missing() {
    let (disk, path, start, _) = three();
    disk.open_store().unwrap().store.close().unwrap();
    let mut octets = disk.read(&path);
    let whole = octets.clone();
    octets[start..].fill(0);
    disk.write(&path, octets.clone());
    assert!(damage(&disk).what.contains("closed in order at record 3, it ends at 2"));
    octets[start] = 1;
    disk.write(&path, octets);
    assert!(damage(&disk).what.contains("closed in order"));
    disk.write(&path, whole);
    assert!(disk.open_store().unwrap().recovery.clean_close);
}

#[test]
fn missing_segments_stop_the_start() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=200 {
        accept(&mut store, number, 10).unwrap();
    }
    store.close().unwrap();
    let sealed = disk.paths(".jsonl.zst");
    assert!(sealed.len() >= 2);
    for path in [
        sealed[1].clone(),
        disk.paths(".journal").remove(0),
        disk.paths(".spool").pop().unwrap(),
    ] {
        let disk = disk.after_kill();
        disk.delete(&path);
        assert!(damage(&disk).what.contains("missing"), "{}", path.display());
    }
    let disk = disk.after_kill();
    disk.delete(&sealed[0]);
    assert!(disk.open_store().is_ok(), "the oldest segments may be archived away");
}

#[test]
fn a_truncated_or_foreign_sealed_segment_stops_the_start() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=200 {
        accept(&mut store, number, 10).unwrap();
    }
    drop(store);
    let path = disk.paths(".jsonl.zst").remove(1);
    let whole = disk.read(&path);
    let first = disk.read(&disk.paths(".jsonl.zst")[0]);
    for octets in [whole[..whole.len() - 1].to_vec(), whole[..100].to_vec(), first] {
        let disk = disk.after_kill();
        disk.write(&path, octets);
        assert_eq!(damage(&disk).file, path);
    }
}

#[test]
fn sealing_that_was_interrupted_is_done_again() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=20 {
        accept(&mut store, number, 10).unwrap();
    }
    let live = disk.paths(".journal").remove(0);
    let raw = disk.read(&live);
    store.seal().unwrap();
    drop(store);
    let sealed = disk.paths(".jsonl.zst").remove(0);
    let whole = disk.read(&sealed);
    for sealed_octets in [None, Some(whole[..50].to_vec()), Some(whole.clone())] {
        let disk = disk.after_kill();
        disk.write(&live, raw.clone());
        match sealed_octets {
            Some(octets) => disk.write(&sealed, octets),
            None => disk.delete(&sealed),
        }
        let opened = disk.open_store().unwrap();
        assert_eq!(accepted(&opened.store).unwrap().len(), 20);
        drop(opened);
        assert_eq!(disk.paths(".journal").len(), 1);
        assert_eq!(disk.read(&sealed), whole);
    }
}

#[test]
fn setting_up_that_was_interrupted_is_done_again_but_never_over_data() {
    let disk = MemDisk::default();
    drop(disk.open_store().unwrap());
    let format = Path::new("/data/FORMAT");
    disk.delete(format);
    let mut opened = disk.open_store().unwrap();
    assert!(opened.recovery.created);
    accept(&mut opened.store, 1, 10).unwrap();
    drop(opened);
    disk.delete(format);
    assert!(damage(&disk).what.contains("storage header is missing"));
}

#[test]
fn removing_a_spool_segment_never_makes_a_start_doubt_what_was_committed() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let mut last = accept(&mut store, 1, 9000).unwrap();
    for number in 2..=12 {
        last = accept(&mut store, number, 9000).unwrap();
        if number % 3 == 0 {
            let mut batch = store.begin();
            batch
                .append(at(number), &json!({"accepted": number, "body": last}))
                .unwrap();
            batch.commit_relaxed().unwrap();
        }
        store.remove_spool_segment(last.segment - 1).unwrap();
        for disk in [disk.after_crash(), disk.after_kill()] {
            let mut opened = disk.open_store().unwrap();
            assert_eq!(opened.recovery.cut, None);
            assert_eq!(opened.store.last_seq(), store.last_seq());
            // Right after a start as well.
            accept(&mut opened.store, 100, 9000).unwrap();
            drop(opened);
            let mut opened = disk.open_store().unwrap();
            opened.store.remove_spool_segment(last.segment).unwrap();
            let last_seq = opened.store.last_seq();
            assert_eq!(disk.after_crash().open_store().unwrap().recovery.last_seq, last_seq);
        }
    }
    assert_eq!(last.segment, 12);
}

#[test]
fn a_segment_without_records_is_never_closed() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=3 {
        accept(&mut store, number, 9000).unwrap();
    }
    store.seal().unwrap();
    store.close().unwrap();
    // An empty batch is all that the live segment holds after this.
    let mut opened = disk.open_store().unwrap();
    opened.store.remove_spool_segment(1).unwrap();
    let live = disk.paths(".journal");
    opened.store.seal().unwrap();
    assert_eq!(disk.paths(".journal"), live);
    let mut batch = opened.store.begin();
    let location = batch.put_body(message(4), 0, 0, &body(4, 100)).unwrap();
    batch.commit().unwrap();
    // So large that it fits only into a segment that holds nothing else.
    let mut batch = opened.store.begin();
    let largest = (0..16 << 10)
        .rev()
        .find(|len| batch.append(at(4), &"x".repeat(*len)).is_ok());
    assert!(largest.is_some());
    batch.commit().unwrap();
    accept(&mut opened.store, 5, 100).unwrap();
    drop(opened);
    for disk in [disk.after_crash(), disk.after_kill()] {
        let opened = disk.open_store().unwrap();
        assert_eq!((opened.recovery.last_seq, opened.recovery.cut), (5, None));
        assert!(opened.store.events(1).map(|record| record.unwrap().seq).eq(1..=5));
        assert_eq!(opened.bodies.read(&location, message(4), 0).unwrap(), body(4, 100));
    }
}

#[test]
fn the_name_of_the_live_segment_is_durable_before_anything_is_promised() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    // The session ends between renaming the next segment and making its name durable.
    disk.fail_sync_of(Some("/data/journal/."));
    assert!(store.seal().is_err());
    drop(store);
    disk.fail_sync_of(None);
    // Without space for it nothing is sealed, which would make the name durable by the way.
    disk.set_space(Some(disk.used() + 80));
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 2, 100).unwrap();
    assert_eq!(disk.after_crash().open_store().unwrap().recovery.last_seq, 2);
}

#[test]
fn a_new_data_directory_is_durable_itself() {
    let disk = MemDisk::default();
    drop(disk.open_store().unwrap());
    assert!(disk.take_syncs().contains(&PathBuf::from("/")));
}
