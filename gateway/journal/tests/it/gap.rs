//! Damage that a person accepts: what can be read stays, what cannot is told of, and nothing else is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journal::read::{Filter, records};
use journal::verify::{Range, Report, verify};
use journal::{Damage, Gap, OpenError, Opened, ReadError};

use crate::basics::{accept, at};
use crate::disk::{DIR, MemDisk, OpenStore as _, small};

const LAST: u64 = 200;

/// A disk with several sealed segments and a live one, and the octets of all records.
fn history() -> (MemDisk, BTreeMap<u64, Vec<u8>>) {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=LAST {
        accept(&mut store, number, 10).unwrap();
    }
    store.close().unwrap();
    assert!(disk.paths(".jsonl.zst").len() >= 2);
    let all = all(&disk);
    (disk, all)
}

fn all(disk: &MemDisk) -> BTreeMap<u64, Vec<u8>> {
    let records = records(disk.shared(), &journal_dir(), Filter::default()).unwrap();
    let records = records.map(|record| record.unwrap());
    records.map(|record| (record.seq, record.octets().to_vec())).collect()
}

fn journal_dir() -> PathBuf {
    Path::new(DIR).join("journal")
}

fn check(disk: &MemDisk) -> Result<Report, ReadError> {
    verify(&disk.shared(), &journal_dir(), Range::default(), &mut |_| Ok(()))
}

fn fault(disk: &MemDisk) -> Option<Damage> {
    match check(disk) {
        Err(ReadError::Damaged(damage)) => Some(damage),
        Ok(_) => None,
        Err(other) => panic!("{other}"),
    }
}

fn accepting(disk: &MemDisk, named: &[u64]) -> Result<Opened, OpenError> {
    let opening = journal::begin(Path::new(DIR), small(), disk.shared())?;
    opening.accepting(named.to_vec(), at(1000)).finish()
}

fn files(disk: &MemDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = disk.paths("").into_iter();
    paths.map(|path| (path.clone(), disk.read(&path))).collect()
}

fn journal_files(disk: &MemDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files(disk);
    files.retain(|path, _| path.starts_with(journal_dir()) && path.extension().is_some_and(|end| end != "tmp"));
    files
}

fn assert_same(found: &BTreeMap<PathBuf, Vec<u8>>, expected: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, octets) in found {
        let differs = octets.iter().zip(&expected[path]).position(|(one, other)| one != other);
        assert_eq!(
            (octets.len(), differs),
            (expected[path].len(), None),
            "{}",
            path.display()
        );
    }
}

/// Accepts the damage that verification names, and checks what is left: all records but those of the gaps, octet by octet.
fn passes_over(disk: &MemDisk, damage: &Damage, all: &BTreeMap<u64, Vec<u8>>) -> Vec<Gap> {
    let before = journal_files(disk);
    // Another name accepts nothing.
    drop(accepting(disk, &[damage.seq + 1, damage.seq.saturating_sub(1)]));
    assert_same(&journal_files(disk), &before);
    assert_eq!(fault(disk).as_ref(), Some(damage));

    let opened = accepting(disk, &[damage.seq]).unwrap();
    let gaps = opened.recovery.gaps.clone();
    assert_eq!(opened.recovery.last_seq, LAST, "{damage}");
    let mut left = all.clone();
    for gap in &gaps {
        left.retain(|seq, _| *seq < gap.first || *seq > gap.last);
        assert_eq!(gap.named, damage.seq);
    }
    assert!(self::all(disk) == left, "{damage} {gaps:?}");
    let mut store = opened.store;
    accept(&mut store, LAST + 1, 10).unwrap();
    store.close().unwrap();
    let report = check(disk).unwrap();
    assert_eq!((&report.gaps, report.last_seq), (&gaps, LAST + 1));
    // Nobody needs to accept it again, and nothing that was named before is accepted now.
    let settled = journal_files(disk);
    assert_eq!(accepting(disk, &[damage.seq]).unwrap().recovery.gaps, gaps);
    assert_same(&journal_files(disk), &settled);
    gaps
}

fn first_seq(path: &Path) -> u64 {
    path.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap()
}

#[test]
fn whatever_octet_of_a_sealed_segment_was_flipped_its_records_before_stay() {
    let (disk, all) = history();
    let path = disk.paths(".jsonl.zst").remove(1);
    let whole = disk.read(&path);
    let next = first_seq(&disk.paths(".journal")[0]);
    let mut lossless = 0;
    for flipped in (0..whole.len()).filter(|at| *at < 200 || at % 37 == 0) {
        let disk = disk.after_kill();
        let mut octets = whole.clone();
        octets[flipped] ^= 0x04;
        disk.write(&path, octets.clone());
        let Some(damage) = fault(&disk) else { continue };
        let gaps = passes_over(&disk, &damage, &all);
        let [gap] = &gaps[..] else {
            lossless += 1;
            assert!(gaps.is_empty(), "flipped {flipped}: {gaps:?}");
            continue;
        };
        assert!(gap.first >= first_seq(&path) && gap.last == next - 1, "{gap:?}");
        assert!(damage.seq - gap.first <= 1, "{gap:?} {damage}");
        let aside = Path::new(DIR).join(gap.aside.as_ref().unwrap());
        assert!(disk.read(&aside.join(path.file_name().unwrap())) == octets);
    }
    assert!(lossless > 0, "a summary that is lost costs no record");
}

#[test]
fn a_batch_of_the_live_segment_that_cannot_be_read_costs_that_batch_alone() {
    let (disk, all) = history();
    let path = disk.paths(".journal").remove(0);
    let whole = disk.read(&path);
    let end = whole.iter().rposition(|octet| *octet != 0).unwrap();
    for flipped in (0..end).step_by(53) {
        for clean in [true, false] {
            let disk = disk.after_kill();
            if !clean {
                disk.delete(Path::new("/data/SESSION"));
            }
            let mut octets = whole.clone();
            octets[flipped] ^= 0x10;
            disk.write(&path, octets);
            let Some(damage) = fault(&disk) else { continue };
            let refused = disk.open_store().map(|_| ());
            assert!(
                matches!(&refused, Err(OpenError::Damaged(found)) if *found == damage),
                "{refused:?}"
            );
            match &passes_over(&disk, &damage, &all)[..] {
                [] => assert!(flipped < 128, "only the header can be made anew"),
                gaps => assert!(matches!(gaps, [gap] if gap.first == gap.last && gap.first == damage.seq)),
            }
        }
    }
}

#[test]
fn a_missing_and_a_truncated_segment_are_passed_over() {
    let (disk, all) = history();
    let path = disk.paths(".jsonl.zst").remove(1);
    let next = first_seq(&disk.paths(".journal")[0]);
    for (broken, aside) in [
        (None, false),
        (Some(100), true),
        (Some(disk.read(&path).len() / 2), true),
    ] {
        let disk = disk.after_kill();
        match broken {
            None => disk.delete(&path),
            Some(len) => disk.write(&path, disk.read(&path)[..len].to_vec()),
        }
        let damage = fault(&disk).unwrap();
        let gaps = passes_over(&disk, &damage, &all);
        assert_eq!((gaps[0].last, gaps[0].aside.is_some()), (next - 1, aside));
        if !aside {
            assert_eq!(gaps[0].first, first_seq(&path));
        }
    }
}

#[test]
fn faults_are_accepted_one_by_one() {
    let (disk, all) = history();
    let live = disk.paths(".journal").remove(0);
    let sealed = disk.paths(".jsonl.zst").pop().unwrap();
    let mut octets = disk.read(&live);
    let end = octets.iter().rposition(|octet| *octet != 0).unwrap();
    octets[end / 2] ^= 1;
    octets[128 + 60] ^= 1;
    disk.write(&live, octets);
    disk.delete(&sealed);
    let mut named = Vec::new();
    while let Some(damage) = fault(&disk) {
        assert!(!named.contains(&damage.seq), "{damage}");
        named.push(damage.seq);
        let opened = accepting(&disk, &[damage.seq]);
        assert_eq!(opened.is_ok(), fault(&disk).is_none());
    }
    assert_eq!(named.len(), 3, "{named:?}");
    let gaps = check(&disk).unwrap().gaps;
    let ranges: Vec<_> = gaps.iter().map(|gap| (gap.first, gap.last)).collect();
    assert_eq!(ranges[0], (first_seq(&sealed), first_seq(&live) - 1));
    assert_eq!(ranges[1], (first_seq(&live), first_seq(&live)));
    assert_eq!(gaps.iter().map(|gap| gap.named).collect::<Vec<_>>(), named);
    let mut left = all;
    left.retain(|seq, _| gaps.iter().all(|gap| *seq < gap.first || *seq > gap.last));
    assert!(self::all(&disk) == left);
}

#[test]
fn an_end_that_is_lost_after_an_orderly_close_is_accepted_as_a_cut() {
    let (disk, all) = history();
    let live = disk.paths(".journal").remove(0);
    let mut octets = disk.read(&live);
    let end = octets.iter().rposition(|octet| *octet != 0).unwrap();
    octets[end] ^= 1;
    disk.write(&live, octets.clone());
    assert!(matches!(disk.open_store(), Err(OpenError::Damaged(damage)) if damage.seq == LAST));
    assert!(matches!(accepting(&disk, &[LAST - 1]), Err(OpenError::Damaged(_))));
    assert!(disk.read(&live) == octets);
    let opened = accepting(&disk, &[LAST]).unwrap();
    let [cut] = &opened.recovery.cuts[..] else {
        panic!("one cut")
    };
    assert_eq!((cut.known.seq, cut.end.seq, cut.named), (LAST, LAST - 1, Some(LAST)));
    let aside = Path::new(DIR).join(cut.aside.as_ref().unwrap());
    assert!(disk.read(&aside.join(live.file_name().unwrap())) == octets);
    assert_eq!(self::all(&disk).len() as u64, all.len() as u64 - 1);
}

#[test]
fn whatever_interrupts_the_work_it_is_done_again_under_the_same_name() {
    let (disk, all) = history();
    let live = disk.paths(".journal").remove(0);
    let sealed = disk.paths(".jsonl.zst").remove(1);
    for (path, at) in [(live, 4000), (sealed, 1000)] {
        let broken = disk.after_kill();
        let mut octets = broken.read(&path);
        octets[at] ^= 1;
        broken.write(&path, octets);
        let damage = fault(&broken).unwrap();
        for operations in 0.. {
            let disk = broken.after_kill();
            disk.stop_after(Some(operations));
            let done = accepting(&disk, &[damage.seq]).is_ok();
            for disk in [disk.after_crash(), disk.after_kill()] {
                match fault(&disk) {
                    Some(found) => assert_eq!(
                        (found.seq, found.offset),
                        (damage.seq, damage.offset),
                        "after {operations} operations"
                    ),
                    None => assert_eq!(check(&disk).unwrap().gaps.len(), 1),
                }
                let opened = accepting(&disk, &[damage.seq]).unwrap();
                let [gap] = &opened.recovery.gaps[..] else {
                    panic!("one gap after {operations} operations")
                };
                let mut left = all.clone();
                left.retain(|seq, _| *seq < gap.first || *seq > gap.last);
                assert!(self::all(&disk) == left, "after {operations} operations");
                // What a try began, the next one goes on with.
                let aside = Path::new(DIR).join(gap.aside.as_ref().unwrap());
                let put_aside = [aside.join(path.file_name().unwrap())];
                let mut copies = disk.paths(path.file_name().unwrap().to_str().unwrap());
                copies.retain(|copy| *copy != path);
                assert_eq!(copies, put_aside, "after {operations} operations");
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_gap_that_was_altered_is_damage() {
    let (disk, _) = history();
    let path = disk.paths(".jsonl.zst").remove(1);
    disk.delete(&path);
    drop(accepting(&disk, &[first_seq(&path)]).unwrap());
    let whole = disk.read(&path);
    for flipped in 8..whole.len() {
        let mut octets = whole.clone();
        octets[flipped] ^= 0x04;
        disk.write(&path, octets);
        let report = check(&disk);
        // Some bits of zstd's headers mean nothing here.
        let same = report.as_ref().is_ok_and(|report| report.gaps == disk_gaps(&disk));
        assert!(report.is_err() || (same && flipped >= 168), "flipped {flipped}");
    }
}

fn disk_gaps(disk: &MemDisk) -> Vec<Gap> {
    journal::gaps(&*disk.shared(), &journal_dir()).unwrap()
}
