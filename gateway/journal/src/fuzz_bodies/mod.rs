//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

mod octets;

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use streebog::{Digest as _, Streebog256};

use crate::frame::{self, Found};
use crate::health::Health;
use crate::layout::{MAX_RECORD, raw_path, sealed_path, snapshot_path};
use crate::octets::{put, u32_at, u64_at};
use crate::record::{Line, Record};
use crate::sealed::SUMMARY;
use crate::snapshot::{HEADER as SNAPSHOT_HEADER, LONGEST, Snapshots, TRAILER};
use crate::spool::{RECORD, RecordHeader};
use crate::verify::{Range, Report, verify};
use octets::{Octets, OneFile};

/// Rows of a snapshot that are read.
const ROWS: usize = 10_000;

/// A record as somebody else's JSON parser reads it.
#[derive(Deserialize)]
struct Elsewhere<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    seq: u64,
    prev: String,
}

/// What is taken for a record says the same to any parser of JSON, and its digest is over all of it.
///
/// # Panics
/// When it does not.
pub fn record(octets: &[u8]) {
    let line = Line::parse(octets);
    let Ok(record) = Record::parse(octets) else { return };
    assert_eq!(record.octets(), octets);
    let line = line.expect("a record has the form of one");
    assert_eq!((line.seq, line.prev), (record.seq, record.prev));
    let elsewhere: Elsewhere<'_> = serde_json::from_slice(octets).expect("a record is JSON");
    assert_eq!(elsewhere.event.get().trim(), record.event.get().trim());
    assert_eq!(elsewhere.seq, record.seq);
    assert_eq!(elsewhere.prev, hex::encode(record.prev));
}

/// The header of a record of the spool is read as it is written, and its checksum covers every octet of it but itself.
///
/// # Panics
/// When it is not.
pub fn spool_record(octets: &[u8]) {
    let Some((head, body)) = octets.split_at_checked(RECORD) else {
        return;
    };
    let header = RecordHeader::decode(head);
    let crc = header.crc_over(body);
    for at in (0..RECORD).filter(|at| !(4..8).contains(at)) {
        let mut changed = head.to_vec();
        changed[at] ^= 1;
        assert_ne!(RecordHeader::decode(&changed).crc_over(body), crc);
    }
}

/// A folder that holds one live segment is verified to an end, as it is and with the checksums made right; every frame that
/// is found is whole and lies where it says.
///
/// # Panics
/// When it is not.
pub fn live_segment(octets: &[u8]) {
    let mut repaired = octets.to_vec();
    repair_frames(&mut repaired);
    for octets in [octets.to_vec(), repaired] {
        let Some(first) = first_seq(&octets, 40) else { return };
        let (len, dir) = (octets.len() as u64, Path::new("journal"));
        let (mut offset, mut payload) = (frame::HEADER, Vec::new());
        let file = Octets(octets);
        let read = |offset, payload: &mut Vec<u8>| frame::read(&file, offset, len, payload).expect("memory is read");
        while let Found::Frame(header) = read(offset, &mut payload) {
            assert_eq!(payload.len(), header.payload as usize);
            offset += header.span();
            assert!(offset < len + 8, "a frame lies in its file");
        }
        frame::rest(&file, offset.min(len), len).expect("memory is read");
        verified(&OneFile::disk(raw_path(dir, first), file.0), dir);
    }
}

/// The same for a sealed segment: as it is, with its summary made right, and with the octets as what it is to decompress to.
///
/// # Panics
/// When something is accepted that does not have the form of records, or when more is held than a record's bound.
pub fn sealed_segment(octets: &[u8]) {
    let mut repaired = octets.to_vec();
    repair_summary(&mut repaired);
    let mut packed = octets[..octets.len().min(SUMMARY)].to_vec();
    if packed.len() == SUMMARY {
        let lines = zstd::encode_all(&octets[SUMMARY..], 1).expect("memory is written");
        packed.extend_from_slice(&lines);
        repair_summary(&mut packed);
    }
    for octets in [octets.to_vec(), repaired, packed] {
        let Some(first) = first_seq(&octets, 24) else { return };
        let dir = Path::new("journal");
        verified(&OneFile::disk(sealed_path(dir, first), octets), dir);
    }
}

/// A snapshot gives as many rows as it says, each within its bound, or says that it is damaged: as it is, and with its digest
/// made right.
///
/// # Panics
/// When it does not.
pub fn snapshot(octets: &[u8]) {
    let mut repaired = octets.to_vec();
    repair_snapshot(&mut repaired);
    for octets in [octets.to_vec(), repaired] {
        let Some(seq) = first_seq(&octets, 40) else { return };
        let dir = Path::new("snapshot");
        let disk = OneFile::disk(snapshot_path(dir, seq), octets);
        let snapshots = Snapshots::new(disk, dir.to_owned(), 1, Arc::new(Health::default()));
        let Ok(Some(reader)) = snapshots.latest(u64::MAX, &|_| Ok(true)) else {
            continue;
        };
        assert_eq!(reader.position().seq, seq);
        let (said, mut rows) = (reader.rows(), 0);
        // A hostile one can claim to hold any number of rows; the first that is not there ends it.
        let mut broken = false;
        for row in reader.take(ROWS) {
            assert!(!broken, "nothing follows a row that is damaged");
            match row {
                Ok((key, value)) => assert!(key.len() <= LONGEST && value.len() <= LONGEST),
                Err(_) => broken = true,
            }
            rows += 1;
        }
        assert!(broken || rows == said.min(ROWS as u64));
    }
}

/// The number in the header that the file is named after.
fn first_seq(octets: &[u8], at: usize) -> Option<u64> {
    octets.get(at..at + 8).map(|field| u64_at(field, 0))
}

fn verified(disk: &Arc<dyn crate::disk::Disk>, dir: &Path) {
    let (mut records, mut next) = (0, None);
    let report = verify(disk, dir, Range::default(), &mut |record| {
        assert!(record.octets().len() as u64 <= MAX_RECORD);
        assert!(next.is_none_or(|next| record.seq == next), "no number is left out");
        next = Some(record.seq.saturating_add(1));
        records += 1;
        Ok(())
    });
    if let Ok(Report { records: told, .. }) = report {
        assert_eq!(told, records);
    }
}

/// Writes the checksums of a live segment's header and of the frames that follow each other behind it.
fn repair_frames(octets: &mut [u8]) {
    let mut offset = frame::HEADER as usize;
    let Some(header) = octets.get_mut(..offset) else { return };
    let crc = crc32c::crc32c(&header[12..]);
    put(header, 8, &crc.to_le_bytes());
    while let Some(head) = octets.get(offset..offset + frame::FRAME) {
        let payload = u32_at(head, 12) as usize;
        let end = offset + frame::FRAME + payload;
        let Some(frame) = octets.get_mut(offset..end) else {
            return;
        };
        let crc = crc32c::crc32c(&frame[12..]);
        put(frame, 8, &crc.to_le_bytes());
        offset = end.next_multiple_of(8);
    }
}

/// Writes length and checksum into a sealed segment's summary.
fn repair_summary(octets: &mut [u8]) {
    let len = octets.len() as u64;
    let Some(summary) = octets.get_mut(..SUMMARY) else {
        return;
    };
    put(summary, 128, &len.to_le_bytes());
    let crc = crc32c::crc32c(&summary[20..]);
    put(summary, 16, &crc.to_le_bytes());
}

/// Writes the checksum of a snapshot's header and the digest at its end.
fn repair_snapshot(octets: &mut [u8]) {
    let len = octets.len();
    if len < SNAPSHOT_HEADER + TRAILER {
        return;
    }
    let crc = crc32c::crc32c(&octets[12..SNAPSHOT_HEADER]);
    put(octets, 8, &crc.to_le_bytes());
    let mut hash = Streebog256::new();
    hash.update(&octets[..len - 32]);
    let digest: [u8; 32] = hash.finalize().into();
    put(octets, len - 32, &digest);
}
