//! Snapshots of the rows while the writer goes on.
//!
//! A dump walks the rows in the order of their keys, a chunk at a time. A change of a row that the walk has not reached
//! yet first saves the row as it was (its *pre-image*), so that the dump shows the one moment at which it began. The
//! pre-images are bounded: when there are too many, the dump is given up and begins again later.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Digest, Position, SnapshotError, Snapshots};

use crate::error::IndexError;
use crate::index::Index;
use crate::pages;
use crate::state::{Overlay, Row};

/// Rows per chunk: the writer waits at most for the reading of these.
const CHUNK: usize = 1000;
/// Pre-images that are kept at most.
const PRE_IMAGES: usize = 200_000;

/// The state of a dump, shared with the thread that applies changes.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// Everything before this key is written.
    reached: Vec<u8>,
    before: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
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
}

impl Dump {
    /// Ends the dump at its next chunk.
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
        self.before.clear();
    }

    /// Saves what is about to be changed.
    pub(crate) fn save(&mut self, db: &sled::Tree, overlay: &Overlay) -> Result<(), IndexError> {
        if self.given_up {
            return Ok(());
        }
        for key in overlay.range(self.reached.clone()..).map(|(key, _)| key) {
            if !self.before.contains_key(key) {
                let value = pages::get(db, key)?.map(|value| value.to_vec());
                self.before.insert(key.clone(), value);
            }
        }
        if self.before.len() > PRE_IMAGES {
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
        *dump = Some(Dump::default());
        index.position()?.unwrap_or(Position {
            seq: 0,
            digest: [0; 32],
        })
    };
    let written = walk(index, snapshots, position);
    *index.dump() = None;
    Ok((position, written?))
}

fn walk(index: &Index, snapshots: &Snapshots, position: Position) -> Result<Digest, DumpError> {
    let mut writer = snapshots.create(position)?;
    while let Some(rows) = chunk(index)? {
        for (key, value) in rows {
            writer.put(&key, &value)?;
        }
    }
    Ok(writer.finish()?)
}

/// The next rows as they were when the dump began; `None` at the end.
fn chunk(index: &Index) -> Result<Option<Vec<Row>>, DumpError> {
    let mut guard = index.dump();
    let Some(dump) = guard.as_mut().filter(|dump| !dump.given_up) else {
        return Err(DumpError::GivenUp);
    };
    let rows = index.chunk(&dump.reached, CHUNK)?;
    let end = match rows.last() {
        // The successor of the last key, as long as there may be more.
        Some((last, _)) if rows.len() == CHUNK => Some([last.as_ref(), &[0]].concat()),
        _ => None,
    };
    if rows.is_empty() && dump.before.is_empty() {
        return Ok(None);
    }
    let mut chunk: BTreeMap<Vec<u8>, Vec<u8>> = rows
        .into_iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    let later = match &end {
        Some(end) => dump.before.split_off(end),
        None => BTreeMap::new(),
    };
    for (key, before) in std::mem::replace(&mut dump.before, later) {
        match before {
            Some(value) => chunk.insert(key, value),
            None => chunk.remove(&key),
        };
    }
    // After the last chunk everything that follows was written after the dump began.
    dump.reached = end.unwrap_or_else(|| vec![0xff; 64]);
    Ok(Some(chunk.into_iter().collect()))
}
