//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::{Line, Record};
use crate::spool::{RECORD, RecordHeader};

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
