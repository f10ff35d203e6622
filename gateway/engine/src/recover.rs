//! Start: opening the store, bringing the index to where the journal is, building it anew when it cannot be trusted
//! (DESIGN §3).

mod place;
mod untouched;

use std::sync::Arc;

use jiff::Timestamp;
use journal::disk::Disk;
use journal::read::{Filter, Records};
use journal::{Cut, Opened, Position, ReadError, Record, SnapshotError, SnapshotReader, Store};
use logbook::log;
use sled::IVec;

use crate::apply::apply;
use crate::error::{IndexError, StartError};
use crate::event::Event;
use crate::gaps;
use crate::index::Index;
use crate::keys;
use crate::logged;
use crate::pages;
use crate::settings::{Acceptance, Settings};
use crate::state::{Overlay, State};
use place::{empty, remove};
use untouched::Untouched;

pub(crate) use place::{Draft, Place};

/// Changes that a replay collects before it writes them.
const REPLAY_BATCH: usize = 4000;
/// Changes that one who only looks keeps in memory at most.
const VIEW_CHANGES: usize = 200_000;
/// Rows per write when an index is copied.
const COPY_BATCH: usize = 1000;

/// What opening gives.
pub(crate) struct Recovered {
    pub(crate) opened: Untouched,
    pub(crate) index: Arc<Index>,
    /// Latest time of any record, since a person last said that the clock is right.
    pub(crate) last_at: Option<Timestamp>,
    /// Why the index was built anew, if it had been there before.
    pub(crate) rebuilt: Option<String>,
}

/// Opens store and index.
pub(crate) fn open(settings: &Settings, disk: Arc<dyn Disk>, now: Timestamp) -> Result<Recovered, StartError> {
    let place = Place::new(&settings.data_dir);
    let (opened, found) = begin(settings, &place, Arc::clone(&disk), now)?;
    let mut opened = Untouched::new(opened);
    if let Some(cut) = &opened.recovery.cut {
        log!(
            logged::BATCH_CUT,
            first_seq = cut.first_seq,
            why = cut.why,
            "cut an unfinished batch off the end of the journal"
        );
    }
    remove(&place.view)?;
    let (index, rebuilt) = match usable(found, &opened)? {
        Ok(index) => (index, None),
        Err(why) => {
            if opened.recovery.created {
                log!(logged::CREATED, "a new data directory was set up");
            } else {
                log!(
                    logged::INDEX_REBUILDING,
                    why,
                    "building the index anew from the journal"
                );
            }
            (build(settings, &place, &opened)?, Some(why))
        }
    };
    let index = Arc::new(index);
    opened.settle(&index)?;
    place.remove_old()?;
    let last_at = latest(settings, disk, &index, opened.recovery.last_at)?;
    let created = opened.recovery.created;
    Ok(Recovered {
        opened,
        index,
        last_at,
        rebuilt: rebuilt.filter(|_| !created),
    })
}

/// Opens the store. The index is changed only after the journal is synced, so that all that it reflects was durable: the
/// store hears of it before it makes anything of the journal's end.
fn begin(
    settings: &Settings,
    place: &Place,
    disk: Arc<dyn Disk>,
    now: Timestamp,
) -> Result<(Opened, Found), StartError> {
    let opening = journal::begin(&settings.data_dir, settings.store.clone(), disk)?;
    let found = found(
        settings,
        place,
        opening.clean_close() || opening.same_boot() || opening.created(),
    );
    let opening = match &found {
        Found::Usable(_, position)
        | Found::Unusable {
            position: Some(position),
            ..
        } => opening.expecting(*position, now),
        Found::Unusable { position: None, .. } => opening,
    };
    let opening = match &settings.accepted {
        Acceptance { gaps, by: Some(_) } => opening.accepting(gaps.clone(), now),
        Acceptance { by: None, .. } => opening,
    };
    let opened = opening.finish()?;
    for cut in &opened.recovery.cuts {
        log!(
            logged::JOURNAL_CUT,
            known = cut.known.seq,
            end = cut.end.seq,
            aside = cut.aside,
            "the journal lacks records that were durable: it was cut off, or replaced"
        );
    }
    match opened.store.remove_foreign_snapshots() {
        Ok(removed) => {
            for file in removed {
                log!(logged::SNAPSHOT_FOREIGN, file = %file.display(), "removed a snapshot that does not belong to this journal");
            }
        }
        Err(error) => log!(logged::SNAPSHOTS_UNREADABLE, %error, "the snapshots were not all looked through"),
    }
    Ok((opened, found))
}

/// The index as a start would have it, for one who only looks: what the journal says beyond it stays in memory, and one
/// that cannot be used is built anew in a place of its own.
pub(crate) fn look(settings: &Settings, store: &journal::View) -> Result<Looked, StartError> {
    let place = Place::new(&settings.data_dir);
    let recovery = store.recovery();
    let why = match found(settings, &place, recovery.clean_close || recovery.same_boot) {
        Found::Usable(index, position) => {
            let mut state = State::new(&*index);
            let replayed = replay(&mut state, store, position, |state, _| {
                Ok(state.changes() <= VIEW_CHANGES)
            });
            match judged(replayed, position)? {
                Ok(_) => {
                    let beyond = state.into_overlay();
                    return Ok(Looked {
                        index: *index,
                        beyond,
                        _draft: None,
                    });
                }
                Err(why) => why,
            }
        }
        Found::Unusable { why, .. } => why,
    };
    log!(logged::INDEX_DRAFT, why, "building an index to look at");
    let draft = Draft(place.view.clone());
    let index = fill(empty(&place.view, settings.index_cache_bytes)?, store, u64::MAX)?;
    Ok(Looked {
        index,
        beyond: Overlay::new(),
        _draft: Some(draft),
    })
}

/// What [`look`] gives.
pub(crate) struct Looked {
    // Closed before its draft is removed.
    pub(crate) index: Index,
    _draft: Option<Draft>,
    /// Changes that are not in the index.
    pub(crate) beyond: Overlay,
}

/// A journal that an index is brought up to.
trait History {
    /// The place right after its last record.
    fn position(&self) -> Position;
    fn events(&self, from_seq: u64) -> Records;
    /// Whether it has the record at a position, as far as that can be told.
    fn holds(&self, position: Position) -> Result<bool, ReadError>;
    /// The newest whole snapshot of it that reflects no record from `before` on.
    fn snapshot(&self, before: u64) -> Result<Option<SnapshotReader>, SnapshotError>;
}

impl History for Store {
    fn position(&self) -> Position {
        self.position()
    }

    fn events(&self, from_seq: u64) -> Records {
        self.events(from_seq)
    }

    fn holds(&self, position: Position) -> Result<bool, ReadError> {
        self.holds(position)
    }

    fn snapshot(&self, before: u64) -> Result<Option<SnapshotReader>, SnapshotError> {
        self.snapshot(before)
    }
}

impl History for journal::View {
    fn position(&self) -> Position {
        self.position()
    }

    fn events(&self, from_seq: u64) -> Records {
        self.events(from_seq)
    }

    fn holds(&self, position: Position) -> Result<bool, ReadError> {
        self.holds(position)
    }

    fn snapshot(&self, before: u64) -> Result<Option<SnapshotReader>, SnapshotError> {
        self.snapshot(before)
    }
}

/// The latest time of any record since a person last said that the clock is right, given the last record's. The two differ
/// when the clock was set back; only then is more looked at than the live segment, because a sealed one tells its latest
/// time.
fn latest(
    settings: &Settings,
    disk: Arc<dyn Disk>,
    index: &Index,
    last_at: Option<Timestamp>,
) -> Result<Option<Timestamp>, StartError> {
    let Some(mut latest) = last_at else { return Ok(None) };
    let filter = Filter {
        from: last_at,
        from_seq: State::new(index).get(&keys::clock_accepted())?,
        ..Filter::default()
    };
    let dir = settings.data_dir.join("journal");
    let records = match journal::read::records(Arc::clone(&disk), &dir, filter.clone()) {
        // All that is here is from after that.
        Err(ReadError::Archived { .. }) => journal::read::records(
            disk,
            &dir,
            Filter {
                from_seq: None,
                ..filter
            },
        )?,
        records => records?,
    };
    for record in records {
        latest = latest.max(record?.at);
    }
    Ok(Some(latest))
}

/// What building the index anew came to.
#[derive(Debug)]
pub struct Rebuilt {
    /// Sequence number of the journal's last record.
    pub last_seq: u64,
    /// Losses of records that were durable, which the next start journals.
    pub cuts: Vec<Cut>,
}

/// Builds the index anew from the last snapshot and the journal after it.
pub(crate) fn rebuild_now(settings: &Settings, disk: Arc<dyn Disk>, now: Timestamp) -> Result<Rebuilt, StartError> {
    let place = Place::new(&settings.data_dir);
    let (opened, found) = begin(settings, &place, disk, now)?;
    let opened = Untouched::new(opened);
    drop(found);
    build(settings, &place, &opened)?.flush()?;
    place.remove_old()?;
    let last_seq = opened.store.last_seq();
    // The index reflects everything and is on the disk: whoever opens the store next may use it as it is.
    let opened = opened.begun();
    opened.store.close()?;
    Ok(Rebuilt {
        last_seq,
        cuts: opened.recovery.cuts,
    })
}

/// The index as it lies there.
enum Found {
    /// It can be used, and reflects the journal up to here.
    Usable(Box<Index>, Position),
    /// Why it cannot, and how far it reflects the journal, if that can be read.
    Unusable { why: String, position: Option<Position> },
}

/// Looks at the index. One that is not `trusted` only tells its position: what it was made of was durable, even if not all
/// of it is there any more.
fn found(settings: &Settings, place: &Place, trusted: bool) -> Found {
    let (why, position) = if !place.current.exists() {
        ("there is none".to_owned(), None)
    } else {
        let doubted = Index::doubted(&place.current);
        let use_it = trusted && doubted.is_none();
        match Index::find(&place.current, settings.index_cache_bytes, use_it) {
            Ok(Some((position, Some(index)))) => return Found::Usable(Box::new(index), position),
            Ok(Some((position, None))) => {
                let torn = "the machine went down without an orderly end, so that it may be incomplete";
                (doubted.unwrap_or_else(|| torn.to_owned()), Some(position))
            }
            Ok(None) => ("it has no position, or another format".to_owned(), None),
            Err(error) => (error.to_string(), None),
        }
    };
    Found::Unusable { why, position }
}

/// How far the journal of a stopped gateway must reach, by a note of an earlier start or by the index; none if there is no
/// index. All of that was durable, so that a journal without it lost it. Takes the store's lock.
///
/// # Errors
/// The store is in use, the lock cannot be taken, or the index does not tell.
pub(crate) fn known_position(settings: &Settings, disk: &Arc<dyn Disk>) -> Result<Option<Position>, StartError> {
    let _held = journal::hold(&settings.data_dir, &**disk)?;
    if let Some(cut) = journal::noted_cuts(&**disk, &settings.data_dir)?.pop() {
        return Ok(Some(cut.known));
    }
    let place = Place::new(&settings.data_dir);
    if !place.current.exists() {
        return Ok(None);
    }
    let found = Index::find(&place.current, settings.index_cache_bytes, false)?;
    Ok(found.map(|(position, _)| position))
}

/// Brings the index to the journal's end; or says why it cannot be used. After an orderly end (`clean`) it must be there
/// already: one that is not is an older copy, and who knows of what.
fn usable(found: Found, opened: &Opened) -> Result<Result<Index, String>, StartError> {
    let Opened { store, recovery, .. } = opened;
    let clean = recovery.clean_close;
    match found {
        Found::Usable(_, position) if clean && position.seq < store.last_seq() => Ok(Err(format!(
            "its position {} is not where the last session ended in order, {}: it is an older copy",
            position.seq,
            store.last_seq()
        ))),
        Found::Usable(index, position) => {
            let replayed = bring_up(&index, store, position);
            if let Err(why) = judged(replayed, position)? {
                return Ok(Err(why));
            }
            Ok(match come_back(&index, opened)? {
                Some((first, last)) => Err(format!(
                    "records {first} to {last} are there again, which it was built without"
                )),
                None => Ok(*index),
            })
        }
        Found::Unusable { why, .. } => Ok(Err(why)),
    }
}

/// Records that are in the journal again after an index was built without them: the first and the last. What cannot be had
/// from the journal's beginning or an earlier snapshot does not count.
fn come_back(index: &Index, opened: &Opened) -> Result<Option<(u64, u64)>, StartError> {
    let Opened { store, recovery, .. } = opened;
    let Some((first, last)) = gaps::come_back(&State::new(index), &recovery.gaps, store.first_seq())? else {
        return Ok(None);
    };
    let earlier = || {
        store
            .snapshot(first)
            .map_err(|error| IndexError::Files(error.to_string()))
    };
    if store.first_seq() > 1 && earlier()?.is_none() {
        log!(
            logged::INDEX_LACKS_RECORDS,
            first,
            last,
            "the state lacks records, and nothing is there to build it with them"
        );
        return Ok(None);
    }
    Ok(Some((first, last)))
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
        let missing = record.seq > reached.seq + 1;
        if reached.seq == position.seq {
            let follows = match missing {
                false => record.prev == position.digest,
                true => journal.holds(position)?,
            };
            if !follows {
                return Ok(Replayed::Foreign);
            }
        }
        if missing {
            gaps::pass(state, reached.seq + 1, record.seq - 1)?;
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

/// Builds the index anew, and puts it in its place.
fn build(settings: &Settings, place: &Place, opened: &Opened) -> Result<Index, StartError> {
    let mut before = u64::MAX;
    let draft = loop {
        let draft = fill(place.fresh(settings.index_cache_bytes)?, &opened.store, before)?;
        match come_back(&draft, opened)? {
            // The snapshot was made without them.
            Some((first, _)) if first < before => before = first,
            _ => break draft,
        }
    };
    draft.flush()?;
    drop(draft);
    Ok(place.swap(settings.index_cache_bytes)?)
}

/// Fills an empty index from the last snapshot that reflects no record from `before` on, and the journal after it.
fn fill(draft: Index, journal: &impl History, before: u64) -> Result<Index, StartError> {
    let beginning = Position {
        seq: 0,
        digest: [0; 32],
    };
    let position = from_snapshot(&draft, journal, before)?.unwrap_or(beginning);
    match bring_up(&draft, journal, position) {
        Ok(Replayed::To(_)) => Ok(draft),
        // Only a snapshot of this journal was taken, so that somebody else must have changed the files.
        Ok(Replayed::Cut(_) | Replayed::Foreign | Replayed::Stopped) => Err(StartError::Index(IndexError::Files(
            "the journal changed while it was read".to_owned(),
        ))),
        Err(StartError::Journal(ReadError::Archived { first, .. })) => Err(StartError::NoSnapshot { first }),
        Err(error) => Err(error),
    }
}

/// Fills an empty index from the newest whole snapshot of the journal that reflects no record from `before` on.
fn from_snapshot(index: &Index, journal: &impl History, before: u64) -> Result<Option<Position>, StartError> {
    let snapshot = journal
        .snapshot(before)
        .map_err(|error| IndexError::Files(error.to_string()))?;
    let Some(snapshot) = snapshot else { return Ok(None) };
    for damaged in snapshot.passed_over() {
        log!(logged::SNAPSHOT_DAMAGED, damaged, "a snapshot was passed over");
    }
    let position = snapshot.position();
    let mut rows = Vec::with_capacity(COPY_BATCH);
    let mut last = IVec::default();
    for row in snapshot {
        let (key, value) = row.map_err(|error| IndexError::Files(error.to_string()))?;
        if !pages::can_hold(&key) || *last >= *key {
            let key = hex::encode(&key[..key.len().min(64)]);
            return Err(IndexError::Row { key }.into());
        }
        last = IVec::from(key);
        rows.push((last.clone(), IVec::from(value)));
        if rows.len() >= COPY_BATCH {
            index.append(&rows, Some(position))?;
            rows.clear();
        }
    }
    index.append(&rows, Some(position))?;
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
