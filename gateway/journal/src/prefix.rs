//! The beginning of a record, written and hashed before the record has its turn.

use serde::Serialize;
use streebog::{Digest as _, Streebog256};

use crate::error::CommitError;
use crate::record::EVENT;

/// The first fields of an event with the hash over the octets that they make: what whoever brings the event can do by
/// itself, so that the one writer, who puts the records in a row, hashes only what it adds
/// ([`Batch::append_to`](crate::Batch::append_to)). The record is the same octet by octet as if the event had been
/// written at once.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// The record up to and without what closes the object.
    octets: Vec<u8>,
    hash: Streebog256,
}

impl Prefix {
    /// The beginning of an event whose first fields are those of `head`. It must serialize to a JSON object without
    /// line feeds, as structures and serde_json do by themselves.
    ///
    /// # Errors
    /// [`CommitError::Event`] if it does not.
    pub fn new<E: Serialize + ?Sized>(head: &E) -> Result<Self, CommitError> {
        let mut octets = Vec::with_capacity(1024);
        octets.extend_from_slice(EVENT);
        write_json(&mut octets, head).map_err(CommitError::Event)?;
        if octets.get(EVENT.len()) != Some(&b'{') {
            return Err(CommitError::Event(NOT_AN_OBJECT.to_owned()));
        }
        octets.pop();
        let hash = Streebog256::new_with_prefix(&octets);
        Ok(Self { octets, hash })
    }

    /// Adds the octets to the buffer, and the fields of `rest` to them.
    pub(crate) fn write<E: Serialize + ?Sized>(&self, buffer: &mut Vec<u8>, rest: &E) -> Result<(), String> {
        buffer.extend_from_slice(&self.octets);
        let joint = buffer.len();
        write_json(buffer, rest)?;
        match &buffer[joint..] {
            // Nothing is added: its closing brace is the event's.
            b"{}" => {
                buffer.remove(joint);
            }
            [b'{', ..] if self.octets.ends_with(b"{") => {
                buffer.remove(joint);
            }
            [b'{', ..] => buffer[joint] = b',',
            _ => return Err(NOT_AN_OBJECT.to_owned()),
        }
        Ok(())
    }

    /// The hash so far, and over how many octets.
    pub(crate) fn hash(&self) -> (Streebog256, usize) {
        (self.hash.clone(), self.octets.len())
    }
}

impl PartialEq for Prefix {
    fn eq(&self, other: &Self) -> bool {
        // The hash follows from the octets.
        self.octets == other.octets
    }
}

impl Eq for Prefix {}

const NOT_AN_OBJECT: &str = "it is not a JSON object";

/// Adds a value in one line.
pub(crate) fn write_json<E: Serialize + ?Sized>(buffer: &mut Vec<u8>, value: &E) -> Result<(), String> {
    let start = buffer.len();
    serde_json::to_writer(&mut *buffer, value).map_err(|error| error.to_string())?;
    match memchr::memchr(b'\n', &buffer[start..]) {
        Some(_) => Err("it spreads over several lines".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::record::{self, Digest};

    const AT: Timestamp = Timestamp::UNIX_EPOCH;
    const PREV: Digest = [0x5A; 32];

    fn written(prefix: Option<&Prefix>, event: &Value) -> (Vec<u8>, Digest) {
        let mut buffer = b"before".to_vec();
        let digest = record::write(&mut buffer, 7, AT, &PREV, prefix, event).unwrap();
        (buffer, digest)
    }

    fn fields(letter: &'static str) -> impl Strategy<Value = Map<String, Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<u64>().prop_map(Value::from),
            ".{0,200}".prop_map(Value::from),
            prop::collection::vec(any::<i32>(), 0..9).prop_map(Value::from),
            any::<bool>().prop_map(|inner| json!({ "inner": { "more": inner } })),
        ];
        prop::collection::vec(value, 0..6).prop_map(move |values| {
            let names = (0..).map(|n| format!("{letter}{n}"));
            names.zip(values).collect()
        })
    }

    proptest! {
        #[test]
        fn a_record_with_a_prefix_is_the_record_of_the_whole_event(head in fields("a"), rest in fields("b")) {
            let prefix = Prefix::new(&head).unwrap();
            let mut whole = head;
            whole.extend(rest.clone());
            let (octets, digest) = written(Some(&prefix), &rest.into());
            prop_assert_eq!(&(octets.clone(), digest), &written(None, &whole.clone().into()));
            let line = octets.strip_prefix(b"before").unwrap().strip_suffix(b"\n").unwrap();
            let record = record::Record::parse(line).unwrap();
            prop_assert_eq!(record.digest(), digest);
            prop_assert_eq!(serde_json::from_str::<Value>(record.event.get()).unwrap(), Value::from(whole));
        }
    }

    #[test]
    fn a_prefix_serves_many_records() {
        let prefix = Prefix::new(&json!({"a": 1})).unwrap();
        assert_eq!(
            written(Some(&prefix), &json!({"b": 2})),
            written(Some(&prefix), &json!({"b": 2}))
        );
    }

    #[test]
    fn only_objects_in_one_line_are_joined() {
        let lines = RawValue::from_string("{\"a\":\n1}".to_owned()).unwrap();
        assert!(Prefix::new(&lines).is_err());
        assert!(Prefix::new(&[1]).is_err());
        let prefix = Prefix::new(&json!({"a": 1})).unwrap();
        let mut buffer = b"before".to_vec();
        for rest in [json!([1]), json!(2)] {
            record::write(&mut buffer, 7, AT, &PREV, Some(&prefix), &rest).unwrap_err();
        }
        record::write(&mut buffer, 7, AT, &PREV, Some(&prefix), &lines).unwrap_err();
        assert_eq!(buffer, b"before");
    }
}
