//! The state that decisions look at and events change: rows of the index, with the changes of the current batch laid over.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::IVec;

use crate::error::IndexError;
use crate::keys::{self, Key};
use crate::message::{Counters, Message, Needed};

/// Rows as they were before the batch.
pub(crate) trait Rows {
    /// A row.
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, IndexError>;

    /// Rows from a key on, in order, without end.
    fn from<'a>(&'a self, from: &[u8]) -> Box<dyn Iterator<Item = Result<(IVec, IVec), IndexError>> + 'a>;
}

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Changes that are not in the index yet: a new value, or `None` for a row that is removed.
pub(crate) type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The rows with an overlay.
pub(crate) struct State<'a> {
    rows: &'a dyn Rows,
    overlay: Overlay,
    /// Room for encoding a value.
    value: Vec<u8>,
}

impl<'a> State<'a> {
    pub(crate) fn new(rows: &'a dyn Rows) -> Self {
        Self {
            rows,
            overlay: Overlay::new(),
            value: Vec::new(),
        }
    }

    /// Rows with changes that are known already.
    pub(crate) fn over(rows: &'a dyn Rows, overlay: Overlay) -> Self {
        Self {
            overlay,
            ..Self::new(rows)
        }
    }

    /// The changes made.
    pub(crate) fn into_overlay(self) -> Overlay {
        self.overlay
    }

    pub(crate) fn changes(&self) -> usize {
        self.overlay.len()
    }

    /// Takes the changes out; they must be in the rows before the state is asked again.
    pub(crate) fn take_overlay(&mut self) -> Overlay {
        std::mem::take(&mut self.overlay)
    }

    /// A row, decoded.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, IndexError> {
        match self.overlay.get(key.as_slice()) {
            Some(Some(value)) => decode(key.as_slice(), value).map(Some),
            Some(None) => Ok(None),
            None => match self.rows.get(key.as_slice())? {
                Some(value) => decode(key.as_slice(), &value).map(Some),
                None => Ok(None),
            },
        }
    }

    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, key: Key, value: &T) {
        let mut room = std::mem::take(&mut self.value);
        room.clear();
        let written = postcard::to_extend(value, room).expect("rows are plain data, which postcard can write");
        match self.overlay.get_mut(key.as_slice()) {
            Some(Some(row)) => {
                row.clear();
                row.extend_from_slice(&written);
            }
            _ => {
                self.overlay.insert(key.into_vec(), Some(written.clone()));
            }
        }
        self.value = written;
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.overlay.insert(key.into_vec(), None);
    }

    /// Rows whose key begins with `prefix`, from the key `from` on, in order.
    pub(crate) fn scan<'s>(
        &'s self,
        prefix: &Key,
        from: &[u8],
    ) -> impl Iterator<Item = Result<Row, IndexError>> + use<'s, 'a> {
        let prefix = prefix.as_slice().to_vec();
        let from = if from < prefix.as_slice() {
            prefix.clone()
        } else {
            from.to_vec()
        };
        let mut below = self.rows.from(&from).peekable();
        let mut above = self
            .overlay
            .range::<[u8], _>((Bound::Included(from.as_slice()), Bound::Unbounded))
            .peekable();
        std::iter::from_fn(move || {
            loop {
                let take_above = match (below.peek(), above.peek()) {
                    (Some(Err(_)), _) | (Some(_), None) => false,
                    (None, Some(_)) => true,
                    (Some(Ok((low, _))), Some((high, _))) => {
                        let covered = low.as_ref() == high.as_slice();
                        let earlier = high.as_slice() <= low.as_ref();
                        if covered {
                            below.next();
                        }
                        earlier
                    }
                    (None, None) => return None,
                };
                let row = if take_above {
                    let (key, value) = above.next()?;
                    match value {
                        Some(value) => (key.clone(), value.clone()),
                        None if key.starts_with(&prefix) => continue,
                        None => return None,
                    }
                } else {
                    match below.next()? {
                        Ok((key, value)) => (key.to_vec(), value.to_vec()),
                        Err(error) => return Some(Err(error)),
                    }
                };
                return row.0.starts_with(&prefix).then_some(Ok(row));
            }
        })
    }

    /// The first row whose key begins with `prefix`.
    pub(crate) fn first(&self, prefix: &Key) -> Result<Option<Row>, IndexError> {
        self.scan(prefix, prefix.as_slice()).next().transpose()
    }

    pub(crate) fn message(&self, seq: u64) -> Result<Option<Message>, IndexError> {
        self.get(&keys::message(seq))
    }

    pub(crate) fn set_message(&mut self, seq: u64, message: &Message) {
        self.put(keys::message(seq), message);
    }

    pub(crate) fn counters(&self, key: &Key) -> Result<Counters, IndexError> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    pub(crate) fn needed(&self, segment: u64) -> Result<Option<Needed>, IndexError> {
        self.get(&keys::segment(segment))
    }

    /// Beginnings of lanes under a prefix of `r` keys: the first row of each lane, found by skipping from lane to lane.
    pub(crate) fn lane_heads(&self, prefix: &Key) -> Result<Vec<Head>, IndexError> {
        let mut heads = Vec::new();
        let mut from = prefix.as_slice().to_vec();
        while let Some((key, value)) = self.scan(prefix, &from).next().transpose()? {
            let head = Head::parse(&key, &value)?;
            from = key[..key.len() - 8].to_vec();
            from.extend_from_slice(&[0xff; 9]);
            heads.push(head);
        }
        Ok(heads)
    }
}

/// The first waiting message of a lane.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) queue: String,
    pub(crate) lane: String,
    pub(crate) seq: u64,
    pub(crate) accepted_at: crate::message::Micros,
}

impl Head {
    pub(crate) fn parse(key: &[u8], value: &[u8]) -> Result<Self, IndexError> {
        let bad = || bad_row(key);
        let texts = keys::texts(key, 8).ok_or_else(bad)?;
        let [queue, lane] = texts[..] else { return Err(bad()) };
        Ok(Self {
            queue: queue.to_owned(),
            lane: lane.to_owned(),
            seq: keys::last_number(key).ok_or_else(bad)?,
            accepted_at: decode(key, value)?,
        })
    }
}

/// Decodes a row's value.
pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, IndexError> {
    postcard::from_bytes(value).map_err(|_| bad_row(key))
}

pub(crate) fn bad_row(key: &[u8]) -> IndexError {
    IndexError::Row { key: hex::encode(key) }
}

/// Rows in memory: what decisions are tested on, and what fuzz targets change.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MemoryRows(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

#[cfg(test)]
impl MemoryRows {
    pub(crate) fn apply(&mut self, overlay: Overlay) {
        for (key, value) in overlay {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }
}

impl Rows for MemoryRows {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, IndexError> {
        Ok(self.0.get(key).map(|value| IVec::from(value.as_slice())))
    }

    fn from<'a>(&'a self, from: &[u8]) -> Box<dyn Iterator<Item = Result<(IVec, IVec), IndexError>> + 'a> {
        let range = self.0.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        Box::new(range.map(|(k, v)| Ok((IVec::from(k.as_slice()), IVec::from(v.as_slice())))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(state: &State<'_>, prefix: &[u8]) -> Vec<Vec<u8>> {
        let key = Key::new(prefix[0]);
        state.scan(&key, prefix).map(|row| row.unwrap().0).collect()
    }

    #[test]
    fn a_scan_sees_rows_and_overlay_as_one() {
        let mut rows = MemoryRows::default();
        for key in [b"ra", b"rb", b"rd", b"sa"] {
            rows.0.insert(key.to_vec(), vec![1]);
        }
        let mut state = State::new(&rows);
        state.overlay.insert(b"rb".to_vec(), None);
        state.overlay.insert(b"rc".to_vec(), Some(vec![2]));
        state.overlay.insert(b"rd".to_vec(), Some(vec![3]));
        state.overlay.insert(b"sb".to_vec(), Some(vec![4]));
        assert_eq!(keys_of(&state, b"r"), [b"ra".to_vec(), b"rc".to_vec(), b"rd".to_vec()]);
        assert_eq!(keys_of(&state, b"s"), [b"sa".to_vec(), b"sb".to_vec()]);
        assert_eq!(state.scan(&Key::new(b'r'), b"rc").last().unwrap().unwrap().1, [3]);
    }

    #[test]
    fn a_scan_ends_with_its_prefix_even_when_the_overlay_removes_what_follows() {
        let mut rows = MemoryRows::default();
        rows.0.insert(b"ra".to_vec(), vec![1]);
        let mut state = State::new(&rows);
        state.overlay.insert(b"sa".to_vec(), None);
        assert_eq!(keys_of(&state, b"r").len(), 1);
        assert_eq!(keys_of(&state, b"s").len(), 0);
    }
}
