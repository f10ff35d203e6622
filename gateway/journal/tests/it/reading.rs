//! Verification and reading of a journal without a store.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use journal::read::{Filter, records};
use journal::verify::{Range, Report, verify};
use journal::{Damage, ReadError};

use crate::basics::{accept, at};
use crate::disk::{MemDisk, OpenStore as _};

const DIR: &str = "/data/journal";

/// A disk with 200 records in several sealed segments and a live one.
fn history() -> MemDisk {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=200 {
        accept(&mut store, number, 10).unwrap();
    }
    drop(store);
    assert!(disk.paths(".jsonl.zst").len() >= 2);
    disk
}

fn check(disk: &MemDisk, range: Range) -> Result<Report, ReadError> {
    verify(&disk.shared(), Path::new(DIR), range, &mut |_| Ok(()))
}

fn fault(disk: &MemDisk) -> Damage {
    match check(disk, Range::default()) {
        Err(ReadError::Damaged(damage)) => damage,
        other => panic!("not found: {other:?}"),
    }
}

fn seqs(disk: &MemDisk, filter: Filter) -> Vec<u64> {
    records(disk.shared(), Path::new(DIR), filter)
        .unwrap()
        .map(|record| record.unwrap().seq)
        .collect()
}

/// Replaces the lines of a sealed segment, its summary left as it is.
fn rewrite(disk: &MemDisk, path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let octets = disk.read(path);
    let text = String::from_utf8(zstd::decode_all(&octets[..]).unwrap()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let packed = zstd::encode_all((lines.join("\n") + "\n").as_bytes(), 3).unwrap();
    let mut made = octets[..168].to_vec();
    made.extend_from_slice(&packed);
    let len = made.len() as u64;
    made[128..136].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c(&made[20..168]);
    made[16..20].copy_from_slice(&crc.to_le_bytes());
    disk.write(path, made);
}

fn first_seq(path: &Path) -> u64 {
    path.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap()
}

#[test]
fn a_sealed_segment_is_zstd_over_lines_of_json() {
    let disk = history();
    let mut seq = 0;
    for path in disk.paths(".jsonl.zst") {
        let octets = disk.read(&path);
        let mut text = String::new();
        zstd::Decoder::new(&octets[..])
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        for line in text.lines() {
            seq += 1;
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["seq"], seq);
            assert_eq!(value["event"]["accepted"], seq);
            assert_eq!(value.as_object().unwrap().keys().count(), 4);
        }
    }
    assert_eq!(seq + 1, first_seq(&disk.paths(".journal")[0]));
}

#[test]
fn an_untouched_journal_verifies() {
    let disk = history();
    let mut seen = Vec::new();
    let report = verify(&disk.shared(), Path::new(DIR), Range::default(), &mut |record| {
        seen.push(record.seq);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
    let expected = disk.open_store().unwrap().store.last_digest();
    assert_eq!((report.first_seq, report.last_seq, report.records), (1, 200, 200));
    assert_eq!(
        (report.prev, report.last_digest, report.torn_tail),
        ([0; 32], expected, None)
    );
    assert_eq!(report.segments as usize, disk.paths(".jsonl.zst").len() + 1);

    let part = check(
        &disk,
        Range {
            from: Some(50),
            to: Some(60),
        },
    )
    .unwrap();
    assert_eq!((part.first_seq, part.last_seq, part.records), (50, 60, 11));
    assert!(part.segments < report.segments);
}

#[test]
fn what_the_caller_finds_wrong_is_reported_with_its_place() {
    let disk = history();
    let result = verify(&disk.shared(), Path::new(DIR), Range::default(), &mut |record| {
        if record.seq == 7 {
            Err("the checkpoint's signature is wrong".to_owned())
        } else {
            Ok(())
        }
    });
    let Err(ReadError::Damaged(damage)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(
        (damage.seq, damage.what.as_str()),
        (7, "the checkpoint's signature is wrong")
    );
}

#[test]
fn altered_removed_and_reordered_records_are_found() {
    let disk = history();
    let path = disk.paths(".jsonl.zst").remove(1);
    let first = first_seq(&path);
    type Change<'a> = &'a dyn Fn(&mut Vec<String>);
    let cases: [(&str, u64, Change<'_>); 6] = [
        // An altered record shows in the record after it.
        ("altered", first + 4, &|lines| {
            lines[3] = lines[3].replace("accepted", "rejected");
        }),
        ("removed", first + 3, &|lines| drop(lines.remove(3))),
        ("reordered", first + 3, &|lines| lines.swap(3, 4)),
        ("doubled", first + 4, &|lines| lines.insert(3, lines[3].clone())),
        ("not a record", first + 3, &|lines| lines[3] = "{}".to_owned()),
        ("cut", first + 3, &|lines| lines.truncate(3)),
    ];
    for (name, seq, change) in cases {
        let disk = disk.after_kill();
        rewrite(&disk, &path, change);
        let damage = fault(&disk);
        assert_eq!(
            (damage.file.clone(), damage.seq),
            (path.clone(), seq),
            "{name}: {damage}"
        );
    }
}

#[test]
fn a_rewritten_segment_does_not_fit_what_follows() {
    let disk = history();
    let paths = disk.paths(".jsonl.zst");
    rewrite(&disk, &paths[0], |lines| {
        let last = lines.last_mut().unwrap();
        *last = last.replace("accepted", "rejected");
    });
    let damage = fault(&disk);
    assert_eq!((damage.file, damage.seq), (paths[1].clone(), first_seq(&paths[1])));
}

#[test]
fn any_flipped_octet_of_a_sealed_segment_is_found_unless_it_changes_no_record() {
    let disk = history();
    let path = disk.paths(".jsonl.zst").remove(1);
    let whole = disk.read(&path);
    let seqs = first_seq(&path)..=200;
    let good = check(&disk, Range::default()).unwrap();
    let mut harmless = Vec::new();
    for flipped in 0..whole.len() {
        let disk = disk.after_kill();
        let mut octets = whole.clone();
        octets[flipped] ^= 0x04;
        disk.write(&path, octets);
        let mut replay = records(disk.shared(), Path::new(DIR), Filter::default()).unwrap();
        match check(&disk, Range::default()) {
            Err(ReadError::Damaged(damage)) => {
                assert_eq!(damage.file, path, "flipped {flipped}");
                assert!(seqs.contains(&damage.seq), "flipped {flipped}: {damage}");
                assert!(replay.any(|record| record.is_err()), "flipped {flipped}");
            }
            // A few bits of zstd's headers mean nothing here, such as a window larger than necessary.
            other => {
                assert_eq!(other.unwrap(), good, "flipped {flipped}");
                harmless.push(flipped);
            }
        }
    }
    assert!(harmless.len() <= 4, "{harmless:?} of {}", whole.len());
}

#[test]
fn a_missing_segment_is_found_and_an_archived_one_is_said_to_be() {
    let disk = history();
    let paths = disk.paths(".jsonl.zst");
    let broken = disk.after_kill();
    broken.delete(&paths[1]);
    let damage = fault(&broken);
    assert_eq!(damage.seq, first_seq(&paths[1]));
    assert!(damage.what.contains("missing"), "{damage}");

    disk.delete(&paths[0]);
    assert!(check(&disk, Range::default()).is_ok());
    let first = first_seq(&paths[1]);
    let error = check(
        &disk,
        Range {
            from: Some(1),
            to: None,
        },
    )
    .unwrap_err();
    assert!(
        matches!(error, ReadError::Archived { wanted: 1, first: found } if found == first),
        "{error}"
    );
    let store = disk.open_store().unwrap().store;
    assert!(matches!(store.events(1).next(), Some(Err(ReadError::Archived { .. }))));
    assert_eq!(store.events(first).count() as u64, 200 - first + 1);
}

#[test]
fn a_folder_of_archived_segments_verifies_by_itself() {
    let disk = history();
    let archive = MemDisk::default();
    for path in disk.paths(".jsonl.zst") {
        archive.write(
            &PathBuf::from("/archive").join(path.file_name().unwrap()),
            disk.read(&path),
        );
    }
    let report = verify(&archive.shared(), Path::new("/archive"), Range::default(), &mut |_| {
        Ok(())
    })
    .unwrap();
    assert_eq!(report.last_seq + 1, first_seq(&disk.paths(".journal")[0]));
}

#[test]
fn a_foreign_segment_with_the_last_of_all_numbers_is_no_trouble() {
    let disk = history();
    let made = disk.paths(".jsonl.zst").remove(0);
    rewrite(&disk, &made, |lines| {
        lines.truncate(1);
        lines[0] = lines[0].replace("\"seq\":1,", &format!("\"seq\":{},", u64::MAX));
    });
    let mut octets = disk.read(&made);
    octets[24..40].fill(0xFF);
    let crc = crc32c::crc32c(&octets[20..168]);
    octets[16..20].copy_from_slice(&crc.to_le_bytes());
    let foreign = MemDisk::default();
    foreign.write(&PathBuf::from(format!("{DIR}/{}.jsonl.zst", u64::MAX)), octets);
    let report = check(&foreign, Range::default()).unwrap();
    assert_eq!(
        (report.first_seq, report.last_seq, report.records),
        (u64::MAX, u64::MAX, 1)
    );
}

#[test]
fn an_unfinished_batch_ends_the_reading_and_is_told() {
    let disk = history();
    let path = disk.paths(".journal").remove(0);
    let mut octets = disk.read(&path);
    let last = octets.iter().rposition(|octet| *octet != 0).unwrap();
    octets[last - 5] ^= 1;
    disk.write(&path, octets);
    let report = check(&disk, Range::default()).unwrap();
    assert_eq!((report.last_seq, report.torn_tail.unwrap().seq), (199, 200));
    assert_eq!(seqs(&disk, Filter::default()).last(), Some(&199));
}

#[test]
fn reading_beside_the_writer_sees_the_last_whole_batch() {
    let disk = MemDisk::default();
    let mut store = disk.open_store().unwrap().store;
    for number in 1..=90 {
        accept(&mut store, number, 10).unwrap();
        assert_eq!(seqs(&disk, Filter::default()), (1..=number).collect::<Vec<_>>());
        assert_eq!(check(&disk, Range::default()).unwrap().records, number);
    }
}

#[test]
fn filters_pick_by_number_time_and_text() {
    let disk = history();
    let by = |filter| seqs(&disk, filter);
    assert_eq!(
        by(Filter {
            from_seq: Some(70),
            to_seq: Some(73),
            ..Filter::default()
        }),
        [70, 71, 72, 73]
    );
    assert_eq!(
        by(Filter {
            from: Some(at(5)),
            to: Some(at(7)),
            ..Filter::default()
        }),
        [5, 6, 7]
    );
    assert_eq!(
        by(Filter {
            from: Some(at(199)),
            ..Filter::default()
        }),
        [199, 200]
    );
    assert_eq!(
        by(Filter {
            contains: Some("\"accepted\":12,".to_owned()),
            ..Filter::default()
        }),
        [12]
    );
    assert_eq!(
        by(Filter {
            contains: Some("nowhere".to_owned()),
            ..Filter::default()
        }),
        Vec::<u64>::new()
    );
    assert_eq!(
        by(Filter {
            from_seq: Some(300),
            ..Filter::default()
        }),
        Vec::<u64>::new()
    );
}

#[test]
fn segments_outside_of_the_times_are_not_decompressed() {
    let disk = history();
    let path = disk.paths(".jsonl.zst").remove(1);
    rewrite(&disk, &path, |lines| lines.truncate(1));
    let first = first_seq(&path);
    assert_eq!(
        seqs(
            &disk,
            Filter {
                to: Some(at(first - 1)),
                ..Filter::default()
            }
        ),
        (1..first).collect::<Vec<_>>()
    );
    assert_eq!(
        seqs(
            &disk,
            Filter {
                from: Some(at(198)),
                ..Filter::default()
            }
        ),
        [198, 199, 200]
    );
    let through = Filter {
        from: Some(at(first)),
        ..Filter::default()
    };
    assert!(
        records(disk.shared(), Path::new(DIR), through)
            .unwrap()
            .any(|record| record.is_err())
    );
}
