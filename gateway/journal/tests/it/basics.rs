//! A batch and what becomes of it while nothing goes wrong; on the real disk where the system matters.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use journal::disk::RealDisk;
use journal::{Batch, BodyError, CommitError, Location, OpenError, ReadError, RemoveError, Store};
use serde_json::json;

use crate::disk::{MemDisk, OpenStore as _, small};

pub(crate) fn at(second: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_790_000_000 + second as i64).unwrap()
}

pub(crate) fn message(number: u64) -> [u8; 16] {
    let mut id = [0x5A; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

pub(crate) fn body(number: u64, len: usize) -> Vec<u8> {
    (0..len).map(|index| (number as usize * 31 + index * 7) as u8).collect()
}

/// Adds a message to a batch: a body and the event that names it.
pub(crate) fn add(batch: &mut Batch<'_>, number: u64, len: usize) -> Location {
    let location = batch.put_body(message(number), 0, 7, &body(number, len)).unwrap();
    batch
        .append(at(number), &json!({"accepted": number, "body": location}))
        .unwrap();
    location
}

/// Commits a batch of one message.
pub(crate) fn accept(store: &mut Store, number: u64, len: usize) -> Result<Location, CommitError> {
    let mut batch = store.begin();
    let location = add(&mut batch, number, len);
    batch.commit()?;
    Ok(location)
}

/// The numbers of the accepted messages, as the journal tells them, with their locations.
pub(crate) fn accepted(store: &Store) -> Result<Vec<(u64, Location)>, ReadError> {
    let mut list = Vec::new();
    for record in store.events(1) {
        let event: serde_json::Value = serde_json::from_str(record?.event.get()).unwrap();
        list.push((
            event["accepted"].as_u64().unwrap(),
            serde_json::from_value(event["body"].clone()).unwrap(),
        ));
    }
    Ok(list)
}

#[test]
fn what_was_committed_reads_back_after_a_restart() {
    let disk = MemDisk::default();
    let opened = disk.open_store().unwrap();
    assert!(opened.recovery.created);
    assert_eq!(opened.recovery.last_seq, 0);
    let mut store = opened.store;
    let location = accept(&mut store, 1, 2000).unwrap();
    assert_eq!(opened.bodies.read(&location, message(1), 0).unwrap(), body(1, 2000));
    let position = store.position();
    store.close().unwrap();

    let opened = disk.open_store().unwrap();
    let recovery = opened.recovery;
    assert!(!recovery.created && recovery.clean_close && recovery.same_boot && recovery.cut.is_none());
    assert_eq!((recovery.last_seq, recovery.last_at), (1, Some(at(1))));
    assert_eq!(opened.store.position(), position);
    assert_eq!(accepted(&opened.store).unwrap(), [(1, location)]);
    let found = opened.bodies.read_record(&location).unwrap();
    assert_eq!(
        (found.message, found.part, found.flags, found.octets),
        (message(1), 0, 7, body(1, 2000))
    );
}

#[test]
fn a_session_that_came_to_nothing_leaves_the_mark_of_the_one_before() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    store.close().unwrap();
    disk.open_store().unwrap().store.withdraw().unwrap();
    let opened = disk.open_store().unwrap();
    assert!(opened.recovery.clean_close, "as if it had not been there");
    let mut store = opened.store;
    accept(&mut store, 2, 100).unwrap();
    store.withdraw().unwrap();
    assert!(!disk.open_store().unwrap().recovery.clean_close, "it wrote something");
}

#[test]
fn after_a_machine_crash_a_start_that_does_not_settle_is_none_of_this_boot() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    let disk = disk.after_crash();
    let opened = disk.open_store().unwrap();
    assert!(!opened.recovery.same_boot);
    drop(opened);
    let disk = disk.after_kill();
    let mut opened = disk.open_store().unwrap();
    assert!(!opened.recovery.same_boot, "killed before what it derives was whole");
    opened.store.settle().unwrap();
    drop(opened);
    assert!(disk.after_kill().open_store().unwrap().recovery.same_boot);
}

#[test]
fn a_commit_syncs_both_files_before_it_returns_and_a_relaxed_one_none() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    disk.take_syncs();
    let mut batch = store.begin();
    batch.append(at(1), &json!({"refused": 1})).unwrap();
    batch.commit_relaxed().unwrap();
    assert_eq!(disk.take_syncs().len(), 0);
    accept(&mut store, 2, 100).unwrap();
    let mut synced = disk.take_syncs();
    synced.sort();
    let names: Vec<_> = synced
        .iter()
        .map(|path| path.extension().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["journal", "spool"]);
    assert_eq!(disk.after_crash().open_store().unwrap().recovery.last_seq, 2);
}

#[test]
fn relaxed_records_may_be_lost_in_a_crash_until_the_next_sync() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    accept(&mut store, 1, 100).unwrap();
    let mut batch = store.begin();
    batch.append(at(2), &json!({"refused": 1})).unwrap();
    batch.commit_relaxed().unwrap();
    let lost = disk.after_crash().open_store().unwrap().recovery;
    assert_eq!((lost.last_seq, lost.cut, lost.same_boot), (1, None, false));
    assert_eq!(disk.after_kill().open_store().unwrap().recovery.last_seq, 2);
    store.begin().commit().unwrap();
    assert_eq!(disk.after_crash().open_store().unwrap().recovery.last_seq, 2);
}

#[test]
fn a_dropped_batch_leaves_no_trace() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let before = store.position();
    disk.take_writes();
    add(&mut store.begin(), 1, 100);
    assert_eq!(disk.take_writes().len(), 0);
    assert_eq!(store.position(), before);
    assert_eq!(accept(&mut store, 2, 100).unwrap().offset, 64);
    assert_eq!(store.last_seq(), 1);
}

#[test]
fn what_fits_into_no_segment_is_refused_and_the_batch_goes_on() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let mut batch = store.begin();
    assert!(matches!(
        batch.put_body(message(1), 0, 0, &[0; 16 << 10]),
        Err(CommitError::TooLarge { .. })
    ));
    assert!(matches!(
        batch.append(at(1), &"x".repeat(16 << 10)),
        Err(CommitError::TooLarge { .. })
    ));
    let broken = serde_json::value::RawValue::from_string("{\n}".to_owned()).unwrap();
    assert!(matches!(batch.append(at(1), &broken), Err(CommitError::Event(_))));
    let largest = (16 << 10) - 64 - 28 - 28;
    assert!(matches!(
        batch.put_body(message(1), 0, 0, &vec![0; largest + 1]),
        Err(CommitError::TooLarge { .. })
    ));
    let location = batch.put_body(message(1), 0, 0, &body(1, largest)).unwrap();
    assert_eq!(
        batch.append(at(1), &json!({"accepted": 1, "body": location})).unwrap(),
        1
    );
    batch.commit().unwrap();
    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!(opened.bodies.read(&location, message(1), 0).unwrap(), body(1, largest));
}

#[test]
fn a_body_is_only_given_to_whom_it_belongs() {
    let disk = MemDisk::default();
    let opened = disk.open_store().unwrap();
    let mut store = opened.store;
    let location = accept(&mut store, 1, 100).unwrap();
    for (location, message, part) in [
        (location, message(2), 0),
        (location, message(1), 1),
        (Location { len: 99, ..location }, message(1), 0),
        (Location { offset: 65, ..location }, message(1), 0),
        (
            Location {
                offset: 1 << 20,
                ..location
            },
            message(1),
            0,
        ),
    ] {
        assert!(matches!(
            opened.bodies.read(&location, message, part),
            Err(BodyError::Damaged(_))
        ));
    }
    let elsewhere = Location { segment: 9, ..location };
    assert!(matches!(
        opened.bodies.read(&elsewhere, message(1), 0),
        Err(BodyError::Gone(9))
    ));
}

#[test]
fn both_kinds_of_segments_roll_over_in_the_middle_of_the_stream() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    let mut expected = Vec::new();
    for round in 0..40 {
        let mut batch = store.begin();
        for number in round * 5 + 1..=round * 5 + 5 {
            expected.push((number, add(&mut batch, number, 700 + 97 * (number as usize % 50))));
        }
        batch.commit().unwrap();
    }
    let killed = disk.after_kill().open_store().unwrap();
    assert_eq!(accepted(&killed.store).unwrap(), expected);
    drop(store);
    assert!(disk.paths(".spool").len() > 20);
    assert!(disk.paths(".jsonl.zst").len() > 1);
    assert_eq!(disk.paths(".journal").len(), 1);

    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!(accepted(&opened.store).unwrap(), expected);
    for (number, location) in expected {
        let octets = opened.bodies.read(&location, message(number), 0).unwrap();
        assert_eq!(octets, body(number, 700 + 97 * (number as usize % 50)));
    }
}

#[test]
fn the_store_says_when_a_checkpoint_is_due_and_seals() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    store.seal().unwrap();
    assert_eq!(disk.paths(".journal").len(), 1, "an empty segment is not closed");
    let mut number = 0;
    while !store.checkpoint_due() {
        number += 1;
        accept(&mut store, number, 10).unwrap();
        assert_eq!(disk.paths(".journal").len(), 1, "room is left for a checkpoint");
    }
    accept(&mut store, number + 1, 10).unwrap();
    store.seal().unwrap();
    assert!(!store.checkpoint_due());
    drop(store);
    let names: Vec<_> = disk
        .paths("")
        .iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .collect();
    assert!(
        names.contains(&"00000000000000000001.jsonl.zst".to_owned()),
        "{names:?}"
    );
    assert!(names.contains(&format!("{:020}.journal", number + 2)), "{names:?}");
    let recovery = disk.open_store().unwrap().recovery;
    assert_eq!(
        (recovery.last_seq, recovery.last_at),
        (number + 1, Some(at(number + 1)))
    );
}

#[test]
fn a_spool_segment_is_removed_whole_while_its_readers_finish() {
    let disk = MemDisk::default();
    let opened = disk.open_store().unwrap();
    let mut store = opened.store;
    let first = accept(&mut store, 1, 9000).unwrap();
    let second = accept(&mut store, 2, 9000).unwrap();
    assert_eq!((first.segment, second.segment), (1, 2));
    let before = store.sizes();
    assert!(matches!(store.remove_spool_segment(2), Err(RemoveError::Live(2))));
    assert!(matches!(store.remove_spool_segment(3), Err(RemoveError::Unknown(3))));
    let listed = store.spool_segments();
    assert_eq!(
        listed
            .iter()
            .map(|segment| (segment.segment, segment.live))
            .collect::<Vec<_>>(),
        [(1, false), (2, true)]
    );
    let freed = store.remove_spool_segment(1).unwrap();
    assert_eq!(freed, listed[0].bytes);
    assert_eq!(store.sizes().spool_bytes, before.spool_bytes - freed);
    assert!(matches!(
        opened.bodies.read(&first, message(1), 0),
        Err(BodyError::Gone(1))
    ));
    let opened = disk.after_crash().open_store().unwrap();
    assert_eq!(opened.recovery.cut, None);
    assert_eq!(opened.bodies.read(&second, message(2), 0).unwrap(), body(2, 9000));
}

#[test]
fn sizes_are_those_of_the_files() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..60 {
        accept(&mut store, number, 3000).unwrap();
    }
    store.seal().unwrap();
    let sizes = store.sizes();
    drop(store);
    // Sealing has finished; a start counts the files.
    let opened = disk.open_store().unwrap();
    let again = opened.store.sizes();
    assert_eq!(again.spool_bytes, sizes.spool_bytes);
    let files = |suffix| {
        disk.paths(suffix)
            .iter()
            .map(|path| disk.read(path).len() as u64)
            .sum::<u64>()
    };
    assert_eq!(again.journal_bytes, files(".journal") + files(".jsonl.zst"));
    assert_eq!(again.spool_bytes, files(".spool"));
}

#[test]
fn the_real_disk_keeps_files_private_and_locks_out_a_second_writer() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let opened = journal::open(&root, small(), RealDisk::shared()).unwrap();
    let error = journal::open(&root, small(), RealDisk::shared()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(
        error.to_string().contains(&format!("process {}", std::process::id())),
        "{error}"
    );

    let mut store = opened.store;
    for number in 1..=100 {
        accept(&mut store, number, 2000).unwrap();
    }
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let mut files = 0;
    for folder in ["", "journal", "spool", "snapshot"] {
        let folder = root.join(folder);
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in folder
            .read_dir()
            .unwrap()
            .map(Result::unwrap)
            .filter(|entry| entry.path().is_file())
        {
            assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 10);
    store.close().unwrap();
    let opened = journal::open(&root, small(), RealDisk::shared()).unwrap();
    assert!(opened.recovery.clean_close && opened.recovery.same_boot);
    let list = accepted(&opened.store).unwrap();
    assert_eq!(list.len(), 100);
    for (number, location) in list {
        assert_eq!(
            opened.bodies.read(&location, message(number), 0).unwrap(),
            body(number, 2000)
        );
    }
    assert!(opened.store.sizes().space.is_some_and(|space| space.free_bytes > 0));
}

#[test]
fn another_format_is_refused_and_named() {
    let disk = MemDisk::default();
    drop(disk.open_store().unwrap());
    disk.write(Path::new("/data/FORMAT"), b"rsmev storage, format 6\n".to_vec());
    assert!(matches!(
        disk.open_store(),
        Err(OpenError::NewerFormat { found: 6, known: 5, .. })
    ));
    disk.write(Path::new("/data/FORMAT"), b"something else".to_vec());
    assert!(matches!(disk.open_store(), Err(OpenError::Damaged(_))));
    disk.write(Path::new("/data/FORMAT"), b"rsmev storage, format 3\n".to_vec());
    assert!(matches!(
        disk.open_store(),
        Err(OpenError::OlderFormat {
            found: 3,
            oldest: 4,
            ..
        })
    ));
    disk.write(Path::new("/data/FORMAT"), b"rsmev storage, format 4\n".to_vec());
    let looked = journal::begin(Path::new("/data"), small(), disk.shared()).unwrap();
    drop(looked);
    assert_eq!(disk.read(Path::new("/data/FORMAT")), b"rsmev storage, format 4\n");
    assert_eq!(disk.open_store().unwrap().recovery.raised_from, Some(4));
    assert_eq!(disk.read(Path::new("/data/FORMAT")), b"rsmev storage, format 5\n");
    assert_eq!(disk.open_store().unwrap().recovery.raised_from, None);
}

#[test]
fn a_header_that_is_junk_newer_or_missing_beside_data_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let check = || journal::check_header(&RealDisk, dir);
    assert_eq!(check().unwrap(), None, "nothing was ever stored");
    assert!(journal::view(dir, RealDisk::shared()).unwrap().is_none());
    let mut store = journal::open(dir, small(), RealDisk::shared()).unwrap().store;
    accept(&mut store, 1, 10).unwrap();
    store.close().unwrap();
    assert_eq!(check().unwrap(), Some(5));
    let header = dir.join("FORMAT");
    std::fs::write(&header, "rsmev storage, format 6\n").unwrap();
    assert!(matches!(check(), Err(OpenError::NewerFormat { found: 6, .. })));
    std::fs::write(&header, "junk").unwrap();
    assert!(check().unwrap_err().to_string().contains("not readable"));
    std::fs::remove_file(&header).unwrap();
    assert!(
        check()
            .unwrap_err()
            .to_string()
            .contains("missing although there is data")
    );
}

#[test]
fn a_view_ends_where_a_start_would_and_leaves_a_torn_end_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut store = journal::open(dir, small(), RealDisk::shared()).unwrap().store;
    for number in 1..=3 {
        accept(&mut store, number, 10).unwrap();
    }
    drop(store);
    let live = dir.join("journal").join(format!("{:020}.journal", 1));
    let mut octets = std::fs::read(&live).unwrap();
    let last = octets
        .windows(12)
        .rposition(|window| window == b"\"accepted\":3")
        .unwrap();
    octets[last..].fill(0);
    std::fs::write(&live, &octets).unwrap();

    let view = journal::view(dir, RealDisk::shared()).unwrap().unwrap();
    assert_eq!(view.position().seq, 2);
    assert_eq!(view.recovery().cut.as_ref().map(|cut| cut.first_seq), Some(3));
    let seqs: Vec<u64> = view.events(1).map(|record| record.unwrap().seq).collect();
    assert_eq!(seqs, [1, 2]);
    let held = journal::open(dir, small(), RealDisk::shared());
    assert!(matches!(held, Err(OpenError::Locked { .. })));
    drop(view);
    assert!(std::fs::read(&live).unwrap() == octets);
    let opened = journal::open(dir, small(), RealDisk::shared()).unwrap();
    assert_eq!(opened.store.last_seq(), 2);
}
