//! Snapshots of the rows while the writer goes on.
//!
//! A dump walks the rows in the order of their keys, a chunk at a time. A change of a row that the walk has not reached
//! yet first saves the row as it was (its *pre-image*), so that the dump shows the one moment at which it began. Rows of
//! messages that came after that moment need none: their keys tell. The pre-images are bounded: when there are too many,
//! the dump is given up and begins again later.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Digest, Position, SnapshotError, Snapshots};

use crate::error::IndexError;
use crate::index::Index;
use crate::keys;
use crate::pages;
use crate::state::{Overlay, Row};

/// Rows per chunk: the writer waits at most for the reading of these.
const CHUNK: usize = 1000;
/// Octets of pre-images that are held at most.
const PRE_IMAGES: usize = 16 << 20;

/// The state of a dump, shared with the thread that applies changes.
#[derive(Debug)]
pub(crate) struct Dump {
    /// Sequence number of the last record that the dump shows.
    shown: u64,
    /// Everything before this key is written.
    reached: Vec<u8>,
    before: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Octets of the pre-images.
    held: usize,
    given_up: bool,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DumpError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("too many changes while the snapshot was made; it will be tried again")]
    GivenUp,
    #[error("the snapshot cannot be read back as it was written")]
    Unproven,
    #[error("writing it panicked")]
    Panicked,
}

impl Dump {
    fn new(shown: u64) -> Self {
        Self {
            shown,
            reached: Vec::new(),
            before: BTreeMap::new(),
            held: 0,
            given_up: false,
        }
    }

    /// Ends the dump at its next chunk.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
        self.before.clear();
        self.held = 0;
    }

    /// Saves what is about to be changed.
    pub(crate) fn save(&mut self, db: &sled::Tree, overlay: &Overlay) -> Result<(), IndexError> {
        if self.given_up {
            return Ok(());
        }
        for key in overlay.range(self.reached.clone()..).map(|(key, _)| key) {
            if !keys::came_after(key, self.shown) && !self.before.contains_key(key) {
                let value = pages::get(db, key)?.map(|value| value.to_vec());
                self.held += size(key, value.as_deref());
                self.before.insert(key.clone(), value);
            }
        }
        if self.held > PRE_IMAGES {
            self.give_up();
        }
        Ok(())
    }
}

/// Writes a snapshot of the state as it is when this begins. `begin` is called while nothing is applied and tells the
/// position.
pub(crate) fn write(index: &Arc<Index>, snapshots: &Snapshots) -> Result<(Position, Digest), DumpError> {
    let position = {
        let mut dump = index.dump();
        let position = index.position()?.unwrap_or(Position {
            seq: 0,
            digest: [0; 32],
        });
        *dump = Some(Dump::new(position.seq));
        position
    };
    let written = walk(index, snapshots, position);
    *index.dump() = None;
    let digest = written?;
    // What was written is of use only if it can be read.
    let proven = snapshots.latest(u64::MAX, &|at| Ok(at == position))?;
    match proven {
        Some(snapshot) if snapshot.digest() == digest => Ok((position, digest)),
        _ => Err(DumpError::Unproven),
    }
}

fn walk(index: &Index, snapshots: &Snapshots, position: Position) -> Result<Digest, DumpError> {
    let mut writer = snapshots.create(position)?;
    while let Some(rows) = chunk(index, CHUNK)? {
        for (key, value) in rows {
            writer.put(&key, &value)?;
        }
    }
    Ok(writer.finish()?)
}

/// About what a pre-image takes.
fn size(key: &[u8], value: Option<&[u8]>) -> usize {
    const BESIDE: usize = 96;
    BESIDE + key.len() + value.map_or(0, <[u8]>::len)
}

/// The next rows as they were when the dump began, out of `limit` as they are; `None` at the end.
fn chunk(index: &Index, limit: usize) -> Result<Option<Vec<Row>>, DumpError> {
    let mut guard = index.dump();
    let Some(dump) = guard.as_mut().filter(|dump| !dump.given_up) else {
        return Err(DumpError::GivenUp);
    };
    let rows = index.chunk(&dump.reached, limit)?;
    let end = match rows.last() {
        // The successor of the last key, as long as there may be more.
        Some((last, _)) if rows.len() == limit => Some([last.as_ref(), &[0]].concat()),
        _ => None,
    };
    if rows.is_empty() && dump.before.is_empty() {
        return Ok(None);
    }
    let mut chunk: BTreeMap<Vec<u8>, Vec<u8>> = rows
        .into_iter()
        .filter(|(key, _)| !keys::came_after(key, dump.shown))
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    let later = match &end {
        Some(end) => dump.before.split_off(end),
        None => BTreeMap::new(),
    };
    for (key, before) in std::mem::replace(&mut dump.before, later) {
        dump.held -= size(&key, before.as_deref());
        match before {
            Some(value) => chunk.insert(key, value),
            None => chunk.remove(&key),
        };
    }
    // After the last chunk everything that follows was written after the dump began.
    dump.reached = end.unwrap_or_else(|| vec![0xff; 64]);
    Ok(Some(chunk.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::state::Rows as _;

    const SHOWN: u64 = 3;

    fn at(seq: u64) -> Position {
        Position { seq, digest: [0; 32] }
    }

    fn open(dir: &Path) -> Index {
        let index = Index::open(dir, 1 << 20).unwrap();
        index.mark_format().unwrap();
        index
    }

    /// Keys of two families whose last part is a seq, and of one that tells nothing.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        (prop_oneof![Just(b'a'), Just(b'd'), Just(b'm')], 0..3_u8, 0..6_u64).prop_map(|(family, moment, seq)| {
            let moment: &[u8] = if family == b'm' { &[] } else { &[moment] };
            [&[family], moment, &seq.to_be_bytes()].concat()
        })
    }

    fn changes() -> impl Strategy<Value = Overlay> {
        proptest::collection::btree_map(
            key(),
            proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..9)),
            0..12,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_dump_shows_one_moment_whatever_changes_meanwhile(
            before in changes(),
            meanwhile in proptest::collection::vec(changes(), 0..20),
            limit in 1..5_usize,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let index = open(dir.path());
            let known: Overlay = before
                .into_iter()
                .filter(|(key, value)| value.is_some() && !keys::came_after(key, SHOWN))
                .collect();
            index.apply(&known, at(SHOWN)).unwrap();
            *index.dump() = Some(Dump::new(SHOWN));
            let mut meanwhile = meanwhile.into_iter();
            let mut shown = Vec::new();
            while let Some(rows) = chunk(&index, limit).unwrap() {
                shown.extend(rows.into_iter().map(|(key, value)| (key, Some(value))));
                if let Some(overlay) = meanwhile.next() {
                    index.apply(&overlay, at(SHOWN + 1)).unwrap();
                }
            }
            prop_assert_eq!(index.dump().as_ref().map(|dump| dump.held), Some(0));
            prop_assert_eq!(shown, known.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_dump_with_too_many_changes_is_given_up_and_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        let row = |n: u32, value: &[u8]| ([b"c", n.to_be_bytes().as_slice()].concat(), Some(value.to_vec()));
        let rows: Overlay = (0..20).map(|n| row(n, &[1; 1000])).collect();
        index.apply(&rows, at(SHOWN)).unwrap();
        let mut dump = Dump::new(SHOWN);
        dump.held = PRE_IMAGES - 10_000;
        *index.dump() = Some(dump);
        let changed: Overlay = (0..20).map(|n| row(n, &[2])).collect();
        index.apply(&changed, at(SHOWN + 1)).unwrap();
        assert!(matches!(chunk(&index, 10), Err(DumpError::GivenUp)));
        assert_eq!(index.dump().as_ref().map(|dump| dump.held), Some(0));
        assert_eq!(index.get(&row(0, &[]).0).unwrap().unwrap().as_ref(), [2]);
    }
}
