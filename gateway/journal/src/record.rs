//! A record is one line of JSON with a fixed form, so that its octets, and with them its digest, have one spelling:
//! `{"event":{…},"seq":7,"at":"2026-05-04T03:02:01Z","prev":"<64 hex digits>"}`.
//!
//! `prev` is the Streebog-256 of the record before, without its line feed: a chain in which nothing can be altered,
//! removed or reordered without all that follows changing too. It stands last, and first what is known first, because
//! records are hashed one after the other and a [`Prefix`] takes the most of it out of that row.

use std::io::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use streebog::{Digest as _, Streebog256};

use crate::prefix::{self, Prefix};

/// A Streebog-256 digest (GOST R 34.11-2012), in the order of octets in which it is usually printed.
pub type Digest = [u8; 32];

pub(crate) const EVENT: &[u8] = b"{\"event\":";
const SEQ: &[u8] = b",\"seq\":";
const AT: &[u8] = b",\"at\":\"";
const PREV: &[u8] = b"\",\"prev\":\"";
const END: &[u8] = b"\"}";

/// One record of the journal.
#[derive(Debug, Clone)]
pub struct Record {
    /// Sequence number; the first record of a journal has 1.
    pub seq: u64,
    /// When the event happened, as the writer was told.
    pub at: Timestamp,
    /// Streebog-256 of the octets of the record before; zeros in the first record.
    pub prev: Digest,
    /// The event, as it was given.
    pub event: Box<RawValue>,
    line: Box<[u8]>,
}

impl Record {
    /// The record's octets, without the line feed: what the digest is made of.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.line
    }

    /// Streebog-256 of the octets, computed at each call.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.line)
    }

    /// Reads a record from its line; says what is wrong with it otherwise.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, &'static str> {
        let parts = Line::parse(line).ok_or("the line does not have the form of a record")?;
        let event = std::str::from_utf8(parts.event).map_err(|_| "the event is not UTF-8")?;
        let event: &RawValue = serde_json::from_str(event).map_err(|_| "the event is not JSON")?;
        Ok(Self {
            seq: parts.seq,
            at: parts.time()?,
            prev: parts.prev,
            event: event.to_owned(),
            line: line.into(),
        })
    }
}

/// Streebog-256 of a record's octets.
pub(crate) fn digest(line: &[u8]) -> Digest {
    Streebog256::digest(line).into()
}

/// The parts of a record's line, found without parsing the event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) seq: u64,
    at: &'a [u8],
    pub(crate) prev: Digest,
    event: &'a [u8],
}

impl<'a> Line<'a> {
    /// From the end to the beginning, because only the event's length is not known.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(EVENT)?.strip_suffix(END)?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        if digits.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let mut prev = [0; 32];
        hex::decode_to_slice(digits, &mut prev).ok()?;
        let rest = rest.strip_suffix(PREV)?;
        let (rest, at) = rest.split_at(memchr::memrchr(b'"', rest)? + 1);
        let rest = rest.strip_suffix(AT)?;
        let (rest, seq) = rest.split_at(rest.iter().rposition(|octet| !octet.is_ascii_digit())? + 1);
        if seq.first() == Some(&b'0') && seq.len() > 1 {
            return None;
        }
        Some(Self {
            seq: std::str::from_utf8(seq).ok()?.parse().ok()?,
            at,
            prev,
            event: rest.strip_suffix(SEQ)?,
        })
    }

    pub(crate) fn time(&self) -> Result<Timestamp, &'static str> {
        std::str::from_utf8(self.at)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or("the time is not an RFC 3339 time stamp")
    }
}

/// Adds a record and its line feed to the buffer and returns its digest; after an error the buffer is as before. With a
/// prefix, `event` is what follows in it.
pub(crate) fn write<E: Serialize + ?Sized>(
    buffer: &mut Vec<u8>,
    seq: u64,
    at: Timestamp,
    prev: &Digest,
    prefix: Option<&Prefix>,
    event: &E,
) -> Result<Digest, String> {
    let start = buffer.len();
    let written = match prefix {
        Some(prefix) => prefix.write(buffer, event),
        None => {
            buffer.extend_from_slice(EVENT);
            prefix::write_json(buffer, event)
        }
    };
    let written = written.and_then(|()| write_end(buffer, seq, at, prev).map_err(|error| error.to_string()));
    if let Err(error) = written {
        buffer.truncate(start);
        return Err(error);
    }
    let (mut hash, hashed) = prefix.map_or_else(|| (Streebog256::new(), 0), Prefix::hash);
    hash.update(&buffer[start + hashed..]);
    buffer.push(b'\n');
    Ok(hash.finalize().into())
}

fn write_end(buffer: &mut Vec<u8>, seq: u64, at: Timestamp, prev: &Digest) -> std::io::Result<()> {
    let mut digits = [0; 64];
    hex::encode_to_slice(prev, &mut digits).map_err(std::io::Error::other)?;
    buffer.extend_from_slice(SEQ);
    write!(buffer, "{seq}")?;
    buffer.extend_from_slice(AT);
    write!(buffer, "{at}")?;
    for piece in [PREV, &digits, END] {
        buffer.extend_from_slice(piece);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_record_reads_back() {
        let mut buffer = Vec::new();
        let at: Timestamp = "2026-05-04T03:02:01.25Z".parse().unwrap();
        let made = write(
            &mut buffer,
            7,
            at,
            &[0xAB; 32],
            None,
            &serde_json::json!({"kind": "accepted"}),
        )
        .unwrap();
        let line = buffer.strip_suffix(b"\n").unwrap();
        let record = Record::parse(line).unwrap();
        assert_eq!((record.seq, record.at, record.prev), (7, at, [0xAB; 32]));
        assert_eq!(record.event.get(), r#"{"kind":"accepted"}"#);
        assert_eq!(record.digest(), made);
        assert_eq!(record.octets(), line);
    }

    #[test]
    fn an_event_of_several_lines_is_refused_and_leaves_no_trace() {
        let mut buffer = b"before".to_vec();
        let event = RawValue::from_string("{\n}".to_owned()).unwrap();
        let error = write(&mut buffer, 1, Timestamp::UNIX_EPOCH, &[0; 32], None, &event).unwrap_err();
        assert!(error.contains("lines"), "{error}");
        assert_eq!(buffer, b"before");
    }

    #[test]
    fn other_spellings_of_a_record_are_refused() {
        let prev = "0".repeat(64);
        let good = format!(r#"{{"event":{{}},"seq":7,"at":"2026-05-04T03:02:01Z","prev":"{prev}"}}"#);
        assert!(Record::parse(good.as_bytes()).is_ok());
        for (from, to) in [
            ("\"seq\":7", "\"seq\":07"),
            ("\"seq\":7", "\"seq\": 7"),
            ("\"seq\":7", "\"seq\":99999999999999999999"),
            ("2026-", "yesterday-"),
            ("\"prev\":\"0", "\"prev\":\"A"),
            ("\"prev\":\"0", "\"prev\":\"x"),
            ("\"event\":{}", "\"event\":{"),
            ("\"event\":{}", "\"event\":{},"),
            ("\"event\":{}", "\"event\":"),
            ("\"event\":", "\"EVENT\":"),
            (",\"at\"", ", \"at\""),
            ("\"}", "\"} "),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(Record::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
