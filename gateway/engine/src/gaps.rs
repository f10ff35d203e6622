//! Records that the journal lost, when a person accepted that: what the journal says of it afterwards, and what becomes of
//! a state that was built without them.
//!
//! A state that reflects the lost records, because the index or a snapshot is from after them, loses nothing. One that was
//! built over the gap does not know what was accepted, handed over and sent meanwhile: what it lacks is told, nothing goes to
//! an upstream until a person says so, and then as after a restoration ([`restored`](crate::restored)); and no spool segment
//! is removed until a person has taken note, because the bodies of what was accepted in the gap are still in there.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use journal::disk::Disk;
use journal::read::{Filter, records};
use journal::{Damage, Gap, OpenError, ReadError};
use serde::{Deserialize, Serialize};

use crate::error::{IndexError, StartError};
use crate::event::{Event, Person};
use crate::keys;
use crate::message::{JournalCut, Micros};
use crate::restored;
use crate::settings::Acceptance;
use crate::state::State;

/// A gap that the journal tells of: its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    last: u64,
    before: [u8; 32],
    after: [u8; 32],
}

impl Told {
    pub(crate) fn of(gap: &Gap) -> Self {
        Self {
            last: gap.last,
            before: gap.before,
            after: gap.after,
        }
    }
}

/// Who accepted a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapAccepted {
    /// The record that tells.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Person,
}

/// Who accepted a gap, as a later record of the journal in `dir` (the folder with the segments) tells; none if nobody did.
///
/// # Errors
/// The journal cannot be read.
pub fn gap_accepted(disk: &Arc<dyn Disk>, dir: &Path, gap: &Gap) -> Result<Option<GapAccepted>, ReadError> {
    let after = Filter {
        from_seq: Some(gap.last + 1),
        contains: Some("\"gap_accepted\"".to_owned()),
        ..Filter::default()
    };
    for record in records(Arc::clone(disk), dir, after)? {
        let record = record?;
        if let Ok(Event::GapAccepted { gap: told, by }) = serde_json::from_str(record.event.get())
            && told.first == gap.first
            && Told::of(&told) == Told::of(gap)
        {
            let (seq, at) = (record.seq, record.at);
            return Ok(Some(GapAccepted { seq, at, by }));
        }
    }
    Ok(None)
}

/// What a start says of the journal's gaps.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    /// For the journal.
    pub(crate) events: Vec<Event>,
    /// For incidents and the log.
    pub(crate) texts: Vec<String>,
}

/// Finds what the journal does not tell yet of its gaps.
///
/// # Errors
/// A gap that nobody accepted, now or before.
pub(crate) fn untold(
    state: &State<'_>,
    (disk, dir): (&Arc<dyn Disk>, &Path),
    (gaps, passed_over): (&[Gap], &[Damage]),
    accepted: &Acceptance,
) -> Result<Untold, StartError> {
    let mut untold = Untold::default();
    for gap in gaps {
        if state.get::<Told>(&keys::gap(gap.first))?.as_ref() == Some(&Told::of(gap)) {
            continue;
        }
        // The file says itself under which name it was accepted; it begins there, or a record before that could not be proven.
        let names_it = accepted.gaps.contains(&gap.named) && (gap.named == gap.first || gap.named == gap.first + 1);
        let Some(by) = accepted.by.as_ref().filter(|_| names_it) else {
            return Err(OpenError::from(gap.unaccepted()).into());
        };
        let Gap { first, last, what, .. } = gap;
        untold.texts.push(format!(
            "records {first} to {last} of the journal are missing ({what}), which {by} accepted"
        ));
        untold.events.push(Event::GapAccepted {
            gap: Box::new(gap.clone()),
            by: by.clone(),
        });
    }
    // Damage that cost no record.
    let costly = |damage: &&Damage| gaps.iter().any(|gap| gap.named == damage.seq);
    let mended = passed_over.iter().filter(|damage| !costly(damage));
    untold
        .texts
        .extend(mended.map(|damage| format!("the journal was mended, and no record was lost: {damage}")));
    for Passed { first, last, .. } in passed(state)?.into_iter().filter(|range| !range.told) {
        let made = time_of(disk, dir, first - 1)?;
        let aside = gaps
            .iter()
            .find(|gap| gap.last == last)
            .and_then(|gap| gap.aside.clone());
        untold.texts.push(format!(
            "the state was built without records {first} to {last} of the journal: what was accepted, handed over and sent \
             then is not known"
        ));
        untold.events.push(Event::GapPassed {
            first,
            last,
            made,
            aside,
        });
    }
    Ok(untold)
}

/// The time of a record; the beginning of time if it is not there.
pub(crate) fn time_of(disk: &Arc<dyn Disk>, dir: &Path, seq: u64) -> Result<Timestamp, ReadError> {
    let one = Filter {
        from_seq: Some(seq),
        to_seq: Some(seq),
        ..Filter::default()
    };
    match records(Arc::clone(disk), dir, one).map(|mut records| records.next()) {
        Ok(Some(record)) => Ok(record?.at),
        Ok(None) | Err(ReadError::Archived { .. }) => Ok(Timestamp::UNIX_EPOCH),
        Err(error) => Err(error),
    }
}

/// A range of records that the state was built without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed {
    first: u64,
    last: u64,
    /// A record tells of it.
    told: bool,
}

/// What the state was built without.
fn passed(state: &State<'_>) -> Result<Vec<Passed>, IndexError> {
    Ok(state.get(&keys::gaps_passed())?.unwrap_or_default())
}

/// What the state was built without although the journal, which begins with record `from` and has these gaps, has it: the
/// first and the last record.
pub(crate) fn come_back(state: &State<'_>, gaps: &[Gap], from: u64) -> Result<Option<(u64, u64)>, IndexError> {
    let missing = |range: &&Passed| {
        gaps.iter()
            .any(|gap| gap.first <= range.last && range.first <= gap.last)
    };
    let ranges = passed(state)?;
    let back = ranges.iter().find(|range| range.first >= from && !missing(range));
    Ok(back.map(|range| (range.first, range.last)))
}

/// A replay goes on behind records that are missing.
pub(crate) fn pass(state: &mut State<'_>, first: u64, last: u64) -> Result<(), IndexError> {
    let mut ranges = passed(state)?;
    let told = false;
    ranges.push(Passed { first, last, told });
    state.put(keys::gaps_passed(), &ranges);
    Ok(())
}

/// The journal tells that the state was built without these records.
pub(crate) fn told(
    state: &mut State<'_>,
    at: Micros,
    (first, last): (u64, u64),
    made: Timestamp,
    aside: Option<&str>,
) -> Result<(), IndexError> {
    let mut ranges = passed(state)?;
    let same = |range: &&mut Passed| (range.first, range.last) == (first, last);
    if let Some(range) = ranges.iter_mut().find(same) {
        range.told = true;
        state.put(keys::gaps_passed(), &ranges);
    }
    let cut = JournalCut {
        at,
        known: last,
        end: first - 1,
        aside: aside.map(str::to_owned),
        gap: true,
    };
    state.put(keys::journal_cut(), &cut);
    restored::hold_back(state, at, (first - 1, Micros::from(made)), Some(last))
}

/// Whether spool segments must stay, because what is in them may be all that is left of messages.
pub(crate) fn keep_spool(state: &State<'_>) -> Result<bool, IndexError> {
    let cut: Option<JournalCut> = state.get(&keys::journal_cut())?;
    Ok(cut.is_some_and(|cut| cut.gap) || passed(state)?.iter().any(|range| !range.told))
}
