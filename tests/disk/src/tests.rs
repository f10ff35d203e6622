use std::collections::BTreeSet;
use std::path::Path;

use journal::disk::{Access, Disk as _};

use crate::{Loss, MemDisk, SECTOR};

const SEEDS: u64 = 200;

/// A durable folder with a durable file of these octets.
fn with_file(octets: &[u8]) -> MemDisk {
    let disk = MemDisk::default();
    disk.create_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.create(Path::new("/d/a")).unwrap();
    file.write_at(octets, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk
}

/// What crashes leave of something, over many seeds.
fn over_seeds<T: Ord>(disk: &MemDisk, look: impl Fn(&MemDisk) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(|seed| look(&disk.after(Loss::Some(seed)))).collect()
}

fn names(disk: &MemDisk) -> Vec<String> {
    disk.list(Path::new("/d")).unwrap_or_default()
}

fn words<const N: usize>(all: [&[&str]; N]) -> BTreeSet<Vec<String>> {
    all.iter()
        .map(|words| words.iter().map(|word| (*word).to_owned()).collect())
        .collect()
}

#[test]
fn what_is_synced_survives_every_loss() {
    let disk = with_file(&[7; 2000]);
    let read = |disk: &MemDisk| disk.read(Path::new("/d/a"));
    assert_eq!(over_seeds(&disk, read), BTreeSet::from([vec![7; 2000]]));
    for loss in [Loss::Everything, Loss::Nothing, Loss::Process] {
        assert_eq!(read(&disk.after(loss)), [7; 2000]);
    }
}

#[test]
fn a_name_whose_folder_is_not_synced_is_there_or_not_whatever_was_synced_under_it() {
    let disk = with_file(b"a");
    let file = disk.create(Path::new("/d/b")).unwrap();
    file.write_at(b"b", 0).unwrap();
    file.sync_data().unwrap();
    disk.remove(Path::new("/d/a")).unwrap();
    assert_eq!(over_seeds(&disk, names), words([&["a"], &["b"], &["a", "b"], &[]]));
    assert_eq!(names(&disk.after_crash()), ["a"]);
    assert_eq!(names(&disk.after_kill()), ["b"]);
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(over_seeds(&disk, names), words([&["b"]]));
}

#[test]
fn a_folder_that_is_not_synced_may_be_gone_with_all_that_is_in_it() {
    let disk = MemDisk::default();
    disk.create_dir(Path::new("/d")).unwrap();
    disk.create(Path::new("/d/a")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(over_seeds(&disk, names), words([&["a"], &[]]));
}

#[test]
fn a_renamed_file_is_under_one_of_its_names_at_least() {
    let disk = with_file(b"a");
    disk.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
    assert_eq!(over_seeds(&disk, names), words([&["a"], &["b"], &["a", "b"]]));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one() {
    let disk = with_file(b"old");
    let file = disk.create(Path::new("/d/b")).unwrap();
    file.write_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    disk.rename(Path::new("/d/b"), Path::new("/d/a")).unwrap();
    let read = |disk: &MemDisk| disk.read(Path::new("/d/a"));
    assert_eq!(
        over_seeds(&disk, read),
        BTreeSet::from([b"old".to_vec(), b"new".to_vec()])
    );
}

#[test]
fn sectors_survive_each_by_itself_and_tear_inside() {
    let disk = with_file(&[1; 3 * SECTOR]);
    disk.open(Path::new("/d/a"), Access::Write)
        .unwrap()
        .write_at(&[2; 3 * SECTOR], 0)
        .unwrap();
    let left = over_seeds(&disk, |disk| disk.read(Path::new("/d/a")));
    let kinds = |content: &Vec<u8>| -> Vec<Vec<u8>> {
        let of = |sector: &[u8]| sector.iter().copied().collect::<BTreeSet<u8>>().into_iter().collect();
        content.chunks(SECTOR).map(of).collect()
    };
    let kinds: BTreeSet<_> = left.iter().map(kinds).collect();
    for expected in [[1, 1, 1], [2, 2, 2], [1, 2, 1], [2, 1, 2]] {
        assert!(
            kinds.contains(expected.map(|kind| vec![kind]).as_slice()),
            "{expected:?}"
        );
    }
    assert!(
        kinds.iter().flatten().any(|kind| *kind == [1, 2]),
        "one was torn inside"
    );
}

#[test]
fn lengths_that_are_not_synced_may_be_old() {
    let disk = with_file(&[1; 1000]);
    let file = disk.open(Path::new("/d/a"), Access::Write).unwrap();
    file.truncate(100).unwrap();
    file.preallocate(5000).unwrap();
    let lengths = over_seeds(&disk, |disk| disk.read(Path::new("/d/a")).len());
    assert_eq!(lengths, BTreeSet::from([100, 1000, 5000]));
    file.sync_data().unwrap();
    let left = over_seeds(&disk, |disk| disk.read(Path::new("/d/a")));
    let expected = [vec![1; 100], vec![0; 4900]].concat();
    assert_eq!(left, BTreeSet::from([expected]));
}

#[test]
fn a_replay_to_a_cut_gives_what_the_disk_was_then() {
    let disk = with_file(b"before");
    let cut = disk.position();
    let file = disk.open(Path::new("/d/a"), Access::Write).unwrap();
    file.write_at(b"behind", 0).unwrap();
    let recording = disk.recording();
    assert_eq!(recording.sync_points(), [1, 4, 5, recording.ops().len()]);
    let mut replay = recording.replay();
    replay.go_to(cut);
    assert_eq!(replay.image(Loss::Process).read(Path::new("/d/a")), b"before");
    replay.go_to(cut + 1);
    assert_eq!(replay.image(Loss::Process).read(Path::new("/d/a")), b"behind");
    assert_eq!(replay.image(Loss::Everything).read(Path::new("/d/a")), b"before");
}

#[test]
fn only_a_crash_of_the_machine_is_another_boot() {
    let disk = MemDisk::default();
    let boot = disk.boot_id().unwrap();
    assert_eq!(disk.after(Loss::Process).boot_id().unwrap(), boot);
    assert_ne!(disk.after(Loss::Nothing).boot_id().unwrap(), boot);
}

#[test]
fn what_is_opened_to_be_read_is_not_written() {
    let disk = with_file(b"a");
    let file = disk.open(Path::new("/d/a"), Access::Read).unwrap();
    assert!(file.write_at(b"b", 0).is_err() && file.truncate(0).is_err() && file.preallocate(9).is_err());
    assert_eq!(disk.read(Path::new("/d/a")), b"a");
}

#[test]
fn what_a_killed_process_did_not_sync_is_still_in_doubt() {
    let disk = with_file(b"before");
    let file = disk.open(Path::new("/d/a"), Access::Write).unwrap();
    file.write_at(b"behind", 0).unwrap();
    let killed = disk.after(Loss::Process);
    assert_eq!(killed.read(Path::new("/d/a")), b"behind");
    assert_eq!(killed.after_crash().read(Path::new("/d/a")), b"before");
    killed
        .open(Path::new("/d/a"), Access::Read)
        .unwrap()
        .sync_data()
        .unwrap();
    assert_eq!(killed.after_crash().read(Path::new("/d/a")), b"behind");
}
