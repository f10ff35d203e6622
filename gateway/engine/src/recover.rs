//! Start: opening the store, bringing the index to where the journal is, building it anew when it cannot be trusted
//! (DESIGN §3).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use journal::disk::Disk;
use journal::read::Filter;
use journal::{Opened, Position, ReadError, Record, Recovery, Store};

use crate::apply::apply;
use crate::error::{IndexError, StartError};
use crate::event::Event;
use crate::index::Index;
use crate::settings::Settings;
use crate::state::{Overlay, State};

/// Changes that a replay collects before it writes them.
const REPLAY_BATCH: usize = 4000;
/// Rows per write when an index is copied.
const COPY_BATCH: usize = 1000;

/// What opening gives.
pub(crate) struct Recovered {
    pub(crate) opened: Opened,
    pub(crate) index: Arc<Index>,
    /// Latest time of any record.
    pub(crate) last_at: Option<Timestamp>,
}

/// Opens store and index.
pub(crate) fn open(settings: &Settings, disk: Arc<dyn Disk>) -> Result<Recovered, StartError> {
    let opened = journal::open(&settings.data_dir, settings.store.clone(), Arc::clone(&disk))?;
    if let Some(cut) = &opened.recovery.cut {
        tracing::warn!(
            first_seq = cut.first_seq,
            why = cut.why,
            "cut an unfinished batch off the end of the journal"
        );
    }
    let place = Place::new(&settings.data_dir);
    let mut index = match usable(settings, &place, &opened.store, &opened.recovery)? {
        Ok(index) => index,
        Err(why) => {
            if opened.recovery.created {
                tracing::info!("a new data directory was set up");
            } else {
                tracing::warn!(why, "building the index anew from the journal");
            }
            rebuild(settings, &place, &opened.store)?
        }
    };
    index = compact(settings, &place, index)?;
    let last_at = latest(settings, disk, opened.recovery.last_at)?;
    Ok(Recovered {
        opened,
        index: Arc::new(index),
        last_at,
    })
}

/// The latest time of any record, given the last one's. The two differ when the clock was set back; only then is more
/// looked at than the live segment, because a sealed one tells its latest time.
fn latest(
    settings: &Settings,
    disk: Arc<dyn Disk>,
    last_at: Option<Timestamp>,
) -> Result<Option<Timestamp>, StartError> {
    let Some(mut latest) = last_at else { return Ok(None) };
    let filter = Filter {
        from: last_at,
        ..Filter::default()
    };
    for record in journal::read::records(disk, &settings.data_dir.join("journal"), filter)? {
        latest = latest.max(record?.at);
    }
    Ok(Some(latest))
}

/// Builds the index anew from the last snapshot and the journal after it. Returns the last sequence number.
pub(crate) fn rebuild_now(settings: &Settings, disk: Arc<dyn Disk>) -> Result<u64, StartError> {
    let opened = journal::open(&settings.data_dir, settings.store.clone(), disk)?;
    let index = rebuild(settings, &Place::new(&settings.data_dir), &opened.store)?;
    index.flush()?;
    let last = opened.store.last_seq();
    // The index reflects everything and is on the disk: whoever opens the store next may use it as it is.
    opened.store.close()?;
    Ok(last)
}

/// Where the index lies.
struct Place {
    current: PathBuf,
    draft: PathBuf,
    old: PathBuf,
}

impl Place {
    fn new(data_dir: &Path) -> Self {
        let at = |name| data_dir.join(name);
        Self {
            current: at("index"),
            draft: at("index.new"),
            old: at("index.old"),
        }
    }
}

/// The index as it is, brought to the journal's end; or why it cannot be used.
fn usable(
    settings: &Settings,
    place: &Place,
    store: &Store,
    recovery: &Recovery,
) -> Result<Result<Index, String>, StartError> {
    if !place.current.exists() {
        return Ok(Err("there is none".to_owned()));
    }
    if !recovery.clean_close && !recovery.same_boot && !recovery.created {
        return Ok(Err(
            "the machine went down without an orderly end, so that it may be incomplete".to_owned(),
        ));
    }
    let index = match Index::open(&place.current, settings.index_cache_bytes) {
        Ok(index) => index,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let position = match index.position() {
        Ok(Some(position)) => position,
        Ok(None) => return Ok(Err("it has no position, or another format".to_owned())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    if position.seq > store.last_seq() {
        return Ok(Err(format!(
            "its position {} is past the journal's end {}",
            position.seq,
            store.last_seq()
        )));
    }
    match replay(&index, store, position) {
        Ok(true) => Ok(Ok(index)),
        Ok(false) => Ok(Err(format!("its position {} belongs to another journal", position.seq))),
        Err(StartError::Index(error)) => Ok(Err(error.to_string())),
        Err(StartError::Journal(ReadError::Archived { .. })) => Ok(Err("it is older than the journal".to_owned())),
        Err(error) => Err(error),
    }
}

/// Applies the journal after a position. `false` if the record at the position is not the one that the index knows.
fn replay(index: &Index, store: &Store, position: Position) -> Result<bool, StartError> {
    if position.seq == store.last_seq() {
        return Ok(position.digest == store.last_digest());
    }
    let mut state = State::new(index);
    let mut reached = position;
    for record in store.events(position.seq + 1) {
        let record = record?;
        if reached.seq == position.seq && record.prev != position.digest {
            return Ok(false);
        }
        apply_record(&mut state, &record)?;
        reached = Position {
            seq: record.seq,
            digest: record.digest(),
        };
        if state.changes() >= REPLAY_BATCH {
            index.apply(&state.take_overlay(), reached)?;
        }
    }
    index.apply(&state.into_overlay(), reached)?;
    Ok(true)
}

/// Applies one record of the journal.
pub(crate) fn apply_record(state: &mut State<'_>, record: &Record) -> Result<(), StartError> {
    let event: Event = serde_json::from_str(record.event.get())
        .map_err(|error| StartError::UnknownEvent { seq: record.seq, error })?;
    Ok(apply(state, record.seq, record.at, &event)?)
}

fn rebuild(settings: &Settings, place: &Place, store: &Store) -> Result<Index, StartError> {
    let draft = fresh(settings, place)?;
    let position = match from_snapshot(&draft, store)? {
        Some(position) => position,
        None => Position {
            seq: 0,
            digest: [0; 32],
        },
    };
    let replayed = match replay(&draft, store, position) {
        Err(StartError::Journal(ReadError::Archived { first, .. })) => Err(StartError::NoSnapshot { first }),
        other => other,
    }?;
    if !replayed {
        // The chain was checked by the store, so only a snapshot of another journal leads here.
        return Err(StartError::Index(IndexError::Files(
            "the snapshot belongs to another journal".to_owned(),
        )));
    }
    swap(settings, place, draft)
}

/// Fills an empty index from the newest whole snapshot.
fn from_snapshot(index: &Index, store: &Store) -> Result<Option<Position>, StartError> {
    let snapshot = store
        .snapshots()
        .latest()
        .map_err(|error| IndexError::Files(error.to_string()))?;
    let Some(snapshot) = snapshot else { return Ok(None) };
    for damaged in snapshot.passed_over() {
        tracing::warn!(damaged, "a snapshot was passed over");
    }
    let position = snapshot.position();
    if position.seq > store.last_seq() {
        tracing::warn!(
            seq = position.seq,
            "the newest snapshot is past the journal's end and was passed over"
        );
        return Ok(None);
    }
    let mut overlay = Overlay::new();
    for row in snapshot {
        let (key, value) = row.map_err(|error| IndexError::Files(error.to_string()))?;
        overlay.insert(key, Some(value));
        if overlay.len() >= COPY_BATCH {
            index.apply(&std::mem::take(&mut overlay), position)?;
        }
    }
    index.apply(&overlay, position)?;
    Ok(Some(position))
}

/// sled does not give disk back: an index that is much larger than its rows is copied into a fresh one.
fn compact(settings: &Settings, place: &Place, index: Index) -> Result<Index, StartError> {
    let disk = index.disk_bytes()?;
    if disk <= settings.index_compact_above || disk / 8 <= index.row_bytes()? {
        return Ok(index);
    }
    tracing::info!(
        bytes = disk,
        "writing the index anew, because it is much larger than its rows"
    );
    let Some(position) = index.position()? else {
        return Ok(index);
    };
    let draft = fresh(settings, place)?;
    let mut from = Vec::new();
    loop {
        let rows = index.chunk(&from, COPY_BATCH)?;
        let Some((last, _)) = rows.last() else { break };
        from = [last.as_ref(), &[0]].concat();
        let rows = rows.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
        draft.apply(&rows.collect(), position)?;
    }
    drop(index);
    swap(settings, place, draft)
}

fn fresh(settings: &Settings, place: &Place) -> Result<Index, StartError> {
    remove(&place.draft)?;
    let index = Index::open(&place.draft, settings.index_cache_bytes)?;
    index.mark_format()?;
    Ok(index)
}

/// Puts a finished draft in the place of the index.
fn swap(settings: &Settings, place: &Place, draft: Index) -> Result<Index, StartError> {
    draft.flush()?;
    drop(draft);
    remove(&place.old)?;
    if place.current.exists() {
        rename(&place.current, &place.old)?;
    }
    rename(&place.draft, &place.current)?;
    let parent = place.current.parent().unwrap_or(Path::new("."));
    let sync = || std::fs::File::open(parent)?.sync_all();
    sync().map_err(|error| StartError::Io {
        path: parent.to_owned(),
        error,
    })?;
    remove(&place.old)?;
    Ok(Index::open(&place.current, settings.index_cache_bytes)?)
}

fn rename(from: &Path, to: &Path) -> Result<(), StartError> {
    std::fs::rename(from, to).map_err(|error| StartError::Io {
        path: from.to_owned(),
        error,
    })
}

fn remove(dir: &Path) -> Result<(), StartError> {
    let removed = match std::fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(dir),
        Ok(_) => std::fs::remove_file(dir),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StartError::Io {
            path: dir.to_owned(),
            error,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::testing::Running;

    #[tokio::test]
    async fn a_clock_that_was_set_back_is_still_behind_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::new(dir.path());
        running.region().await.shutdown().await;
        running.time.pass(-SignedDuration::from_mins(6));
        // The last records of this session are older than those of the one before.
        running.start().unwrap().shutdown().await;
        let engine = running.start().unwrap();
        engine.tick().await;
        let clock = engine
            .conditions()
            .into_iter()
            .find(|condition| condition.name == "clock");
        assert!(clock.is_some_and(|clock| !clock.ok));
        engine.shutdown().await;
    }
}
