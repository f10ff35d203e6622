//! Start: opening the store, bringing the index to where the journal is, building it anew when it cannot be trusted
//! (DESIGN §3).

mod place;

use std::sync::Arc;

use jiff::Timestamp;
use journal::disk::Disk;
use journal::read::{Filter, Records};
use journal::{Opened, Position, ReadError, Record, Recovery, Snapshots, Store};

use crate::apply::apply;
use crate::error::{IndexError, StartError};
use crate::event::Event;
use crate::index::Index;
use crate::settings::Settings;
use crate::state::{Overlay, State};
use place::{Place, compact, fresh, remove, swap};

pub(crate) use place::Draft;

/// Changes that a replay collects before it writes them.
const REPLAY_BATCH: usize = 4000;
/// Changes that one who only looks keeps in memory at most.
const VIEW_CHANGES: usize = 200_000;
/// Rows per write when an index is copied.
const COPY_BATCH: usize = 1000;

/// What opening gives.
pub(crate) struct Recovered {
    pub(crate) opened: Opened,
    pub(crate) index: Arc<Index>,
    /// Latest time of any record.
    pub(crate) last_at: Option<Timestamp>,
    /// The journal lacks what the index has seen of it.
    pub(crate) cut: Option<Cut>,
}

/// The journal is not the one that the index reflects: the index is changed only after the journal is synced, so that
/// records which were durable are gone, or others stand in their place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The last durable record that the index knows.
    pub(crate) known: Position,
    /// Where the journal ends.
    pub(crate) end: Position,
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
    remove(&place.view)?;
    let Tried { index, cut } = usable(settings, &place, &opened.store, &opened.recovery)?;
    let index = match index {
        Ok(index) => index,
        Err(why) => {
            if opened.recovery.created {
                tracing::info!("a new data directory was set up");
            } else {
                tracing::warn!(why, "building the index anew from the journal");
            }
            let draft = fill(fresh(settings, &place.draft)?, &opened.store)?;
            swap(settings, &place, draft)?
        }
    };
    let index = compact(settings, &place, index)?;
    let last_at = latest(settings, disk, opened.recovery.last_at)?;
    Ok(Recovered {
        opened,
        index: Arc::new(index),
        last_at,
        cut,
    })
}

/// The index as a start would have it, for one who only looks: what the journal says beyond it stays in memory, and one
/// that cannot be used is built anew in a place of its own.
pub(crate) fn look(settings: &Settings, store: &journal::View) -> Result<Looked, StartError> {
    let place = Place::new(&settings.data_dir);
    let why = match found(settings, &place, store.recovery()) {
        Found::Usable(index, position) => {
            let mut state = State::new(&index);
            let replayed = replay(&mut state, store, position, |state, _| {
                Ok(state.changes() <= VIEW_CHANGES)
            });
            match judged(replayed, position)? {
                Ok(_) => {
                    let beyond = state.into_overlay();
                    return Ok(Looked {
                        index,
                        beyond,
                        draft: None,
                    });
                }
                Err(why) => why,
            }
        }
        Found::Unusable { why, .. } => why,
    };
    tracing::info!(why, "building an index to look at");
    let draft = Draft(place.view.clone());
    let index = fill(fresh(settings, &place.view)?, store)?;
    Ok(Looked {
        index,
        beyond: Overlay::new(),
        draft: Some(draft),
    })
}

/// What [`look`] gives. The index is to be dropped before its draft.
pub(crate) struct Looked {
    pub(crate) index: Index,
    /// Changes that are not in the index.
    pub(crate) beyond: Overlay,
    pub(crate) draft: Option<Draft>,
}

/// A journal that an index is brought up to.
trait History {
    /// The place right after its last record.
    fn position(&self) -> Position;
    fn events(&self, from_seq: u64) -> Records;
    fn snapshots(&self) -> Snapshots;
}

impl History for Store {
    fn position(&self) -> Position {
        self.position()
    }

    fn events(&self, from_seq: u64) -> Records {
        self.events(from_seq)
    }

    fn snapshots(&self) -> Snapshots {
        self.snapshots()
    }
}

impl History for journal::View {
    fn position(&self) -> Position {
        self.position()
    }

    fn events(&self, from_seq: u64) -> Records {
        self.events(from_seq)
    }

    fn snapshots(&self) -> Snapshots {
        self.snapshots()
    }
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
    let place = Place::new(&settings.data_dir);
    let draft = fill(fresh(settings, &place.draft)?, &opened.store)?;
    swap(settings, &place, draft)?.flush()?;
    let last = opened.store.last_seq();
    // The index reflects everything and is on the disk: whoever opens the store next may use it as it is.
    opened.store.close()?;
    Ok(last)
}

/// The index as it lies there.
enum Found {
    /// It can be used, and reflects the journal up to here.
    Usable(Index, Position),
    /// Why it cannot, and how far it reflects the journal, if that can be read.
    Unusable { why: String, position: Option<Position> },
}

fn found(settings: &Settings, place: &Place, recovery: &Recovery) -> Found {
    let unusable = |why: &str, position| Found::Unusable {
        why: why.to_owned(),
        position,
    };
    if !place.current.exists() {
        return unusable("there is none", None);
    }
    let opened = Index::open(&place.current, settings.index_cache_bytes);
    match opened.and_then(|index| Ok((position(&index)?, index))) {
        // What it was made of was durable, even if not all of it is there any more.
        Ok((Some(position), _)) if !recovery.clean_close && !recovery.same_boot && !recovery.created => {
            let why = "the machine went down without an orderly end, so that it may be incomplete";
            unusable(why, Some(position))
        }
        Ok((Some(position), index)) => Found::Usable(index, position),
        Ok((None, _)) => unusable("it has no position, or another format", None),
        Err(error) => unusable(&error.to_string(), None),
    }
}

/// The position of an index that may be damaged, on which sled may panic.
fn position(index: &Index) -> Result<Option<Position>, IndexError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| index.position()))
        .unwrap_or_else(|_| Err(IndexError::Files("its position cannot be read".to_owned())))
}

/// How far the index of a stopped gateway reflects the journal; none if there is no index that tells. All of that was
/// durable, so that a journal without it lost it. Takes the store's lock.
///
/// # Errors
/// The store is in use, or the lock cannot be taken.
pub(crate) fn known_position(settings: &Settings, disk: &Arc<dyn Disk>) -> Result<Option<Position>, StartError> {
    let _held = journal::hold(&settings.data_dir, &**disk)?;
    let place = Place::new(&settings.data_dir);
    if !place.current.exists() {
        return Ok(None);
    }
    let index = Index::open(&place.current, settings.index_cache_bytes);
    Ok(index.and_then(|index| position(&index)).unwrap_or_else(|error| {
        tracing::warn!(%error, "the index does not tell how far the journal must reach");
        None
    }))
}

/// What came of the index as it is.
struct Tried {
    /// Brought to the journal's end; or why it cannot be used.
    index: Result<Index, String>,
    cut: Option<Cut>,
}

/// Tries the index as it is.
fn usable(settings: &Settings, place: &Place, store: &Store, recovery: &Recovery) -> Result<Tried, StartError> {
    let cut = |known: Position| {
        let end = store.position();
        tracing::error!(
            known = known.seq,
            end = end.seq,
            "the journal lacks records that were durable: it was cut off, or replaced"
        );
        Some(Cut { known, end })
    };
    let (index, position) = match found(settings, place, recovery) {
        Found::Usable(index, position) => (index, position),
        Found::Unusable { why, position } => {
            let lost = match position {
                Some(position) => !belongs(store, position)?,
                None => false,
            };
            let cut = position.filter(|_| lost).and_then(cut);
            return Ok(Tried { index: Err(why), cut });
        }
    };
    let replayed = bring_up(&index, store, position);
    let cut = match &replayed {
        Ok(Replayed::Cut(_) | Replayed::Foreign) => cut(position),
        _ => None,
    };
    let index = judged(replayed, position)?.map(|()| index);
    Ok(Tried { index, cut })
}

/// Whether the record at a position is the one that is known; yes, if it is archived.
fn belongs(journal: &impl History, position: Position) -> Result<bool, StartError> {
    let end = journal.position();
    if position.seq >= end.seq {
        return Ok(position.seq == end.seq && position.digest == end.digest);
    }
    match journal.events(position.seq + 1).next() {
        Some(Ok(next)) => Ok(next.prev == position.digest),
        Some(Err(ReadError::Archived { .. })) | None => Ok(true),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Whether an index can be used after a replay; if not, why.
fn judged(replayed: Result<Replayed, StartError>, position: Position) -> Result<Result<(), String>, StartError> {
    Ok(Err(match replayed {
        Ok(Replayed::To(_)) => return Ok(Ok(())),
        Ok(Replayed::Cut(end)) => format!("its position {} is past the journal's end {end}", position.seq),
        Ok(Replayed::Foreign) => format!("its position {} belongs to another journal", position.seq),
        Ok(Replayed::Stopped) => "it is far behind the journal".to_owned(),
        Err(StartError::Index(error)) => error.to_string(),
        Err(StartError::Journal(ReadError::Archived { .. })) => "it is older than the journal".to_owned(),
        Err(error) => return Err(error),
    }))
}

/// How far a replay came.
enum Replayed {
    /// To the journal's end.
    To(Position),
    /// Nowhere: the position lies past the journal's end, which is here.
    Cut(u64),
    /// Nowhere: the record at the position is not the one that is known.
    Foreign,
    /// It was stopped on the way.
    Stopped,
}

/// Applies the journal after a position to an index.
fn bring_up(index: &Index, journal: &impl History, position: Position) -> Result<Replayed, StartError> {
    let mut state = State::new(index);
    let replayed = replay(&mut state, journal, position, |state, reached| {
        if state.changes() >= REPLAY_BATCH {
            index.apply(&state.take_overlay(), reached)?;
        }
        Ok(true)
    })?;
    if let Replayed::To(reached) = replayed
        && reached.seq != position.seq
    {
        index.apply(&state.into_overlay(), reached)?;
    }
    Ok(replayed)
}

/// Applies the journal after a position to a state; after each record `go_on` may put the changes away, and tells whether
/// to go on.
fn replay<'s>(
    state: &mut State<'s>,
    journal: &impl History,
    position: Position,
    mut go_on: impl FnMut(&mut State<'s>, Position) -> Result<bool, IndexError>,
) -> Result<Replayed, StartError> {
    let end = journal.position();
    if position.seq > end.seq {
        return Ok(Replayed::Cut(end.seq));
    }
    if position.seq == end.seq {
        return Ok(if position.digest == end.digest {
            Replayed::To(position)
        } else {
            Replayed::Foreign
        });
    }
    let mut reached = position;
    for record in journal.events(position.seq + 1) {
        let record = record?;
        if reached.seq == position.seq && record.prev != position.digest {
            return Ok(Replayed::Foreign);
        }
        apply_record(state, &record)?;
        reached = Position {
            seq: record.seq,
            digest: record.digest(),
        };
        if !go_on(state, reached)? {
            return Ok(Replayed::Stopped);
        }
    }
    Ok(Replayed::To(reached))
}

/// Applies one record of the journal.
pub(crate) fn apply_record(state: &mut State<'_>, record: &Record) -> Result<(), StartError> {
    let event: Event = serde_json::from_str(record.event.get())
        .map_err(|error| StartError::UnknownEvent { seq: record.seq, error })?;
    Ok(apply(state, record.seq, record.at, &event)?)
}

/// Fills an empty index from the last snapshot and the journal after it.
fn fill(draft: Index, journal: &impl History) -> Result<Index, StartError> {
    let beginning = Position {
        seq: 0,
        digest: [0; 32],
    };
    let position = from_snapshot(&draft, journal)?.unwrap_or(beginning);
    match bring_up(&draft, journal, position) {
        Ok(Replayed::To(_)) => Ok(draft),
        // The chain was checked, so only a snapshot of another journal leads here.
        Ok(Replayed::Cut(_) | Replayed::Foreign | Replayed::Stopped) => Err(StartError::Index(IndexError::Files(
            "the snapshot belongs to another journal".to_owned(),
        ))),
        Err(StartError::Journal(ReadError::Archived { first, .. })) => Err(StartError::NoSnapshot { first }),
        Err(error) => Err(error),
    }
}

/// Fills an empty index from the newest whole snapshot.
fn from_snapshot(index: &Index, journal: &impl History) -> Result<Option<Position>, StartError> {
    let snapshot = journal
        .snapshots()
        .latest()
        .map_err(|error| IndexError::Files(error.to_string()))?;
    let Some(snapshot) = snapshot else { return Ok(None) };
    for damaged in snapshot.passed_over() {
        tracing::warn!(damaged, "a snapshot was passed over");
    }
    let position = snapshot.position();
    if position.seq > journal.position().seq {
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
