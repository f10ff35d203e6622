//! Incidents of the gateway itself: logged, counted and journaled, but a cause that comes and goes does not fill the
//! journal with them. Anybody may tell of one; the writer journals them with its next tick.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use logbook::log;

use crate::event::Event;
use crate::logged;

/// At most one record of a kind in this time; the last one that was held back follows when it is over.
const EVERY: SignedDuration = SignedDuration::from_mins(10);

/// What can happen to the gateway. The words stand in the journal (`incident`, field `kind`) and in
/// `incidents_total{kind}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IncidentKind {
    /// Too little space or too few inodes are free: nothing new is accepted.
    DiskLow,
    /// There is room again.
    DiskRecovered,
    /// The last session did not end in order; the journal's end was checked.
    UncleanEnd,
    /// The index could not be trusted and was built anew.
    IndexRebuilt,
    /// A person accepted damage of the journal, and the gateway started over it.
    JournalGap,
    /// The spool does not hold what was written: a message went to quarantine, or is lost if it had ended.
    SpoolDamaged,
    /// A file that is to go cannot be removed; it is tried again.
    FileNotRemoved,
    /// The clock jumped, and the gateway goes on by its own count.
    ClockJumped,
    /// A start found the clock so far after the journal that a person must say whether it is right.
    ClockDoubted,
    /// The clock stands behind the journal: nothing new is accepted.
    ClockBehind,
    /// The clock is believed again.
    ClockRecovered,
    /// A worker panicked; the gateway goes on.
    WorkerPanicked,
}

impl IncidentKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::DiskLow,
        Self::DiskRecovered,
        Self::UncleanEnd,
        Self::IndexRebuilt,
        Self::JournalGap,
        Self::SpoolDamaged,
        Self::FileNotRemoved,
        Self::ClockJumped,
        Self::ClockDoubted,
        Self::ClockBehind,
        Self::ClockRecovered,
        Self::WorkerPanicked,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskLow => "disk_low",
            Self::DiskRecovered => "disk_recovered",
            Self::UncleanEnd => "unclean_end",
            Self::IndexRebuilt => "index_rebuilt",
            Self::JournalGap => "journal_gap",
            Self::SpoolDamaged => "spool_damaged",
            Self::FileNotRemoved => "file_not_removed",
            Self::ClockJumped => "clock_jumped",
            Self::ClockDoubted => "clock_doubted",
            Self::ClockBehind => "clock_behind",
            Self::ClockRecovered => "clock_recovered",
            Self::WorkerPanicked => "worker_panicked",
        }
    }
}

/// What happened, and what of it is not journaled yet.
#[derive(Debug, Default)]
pub(crate) struct Incidents(Mutex<BTreeMap<IncidentKind, Told>>);

#[derive(Debug, Default)]
struct Told {
    count: u64,
    journaled_at: Option<Timestamp>,
    /// The latest that is not journaled, with its time, and how many there are.
    waiting: Option<(Timestamp, String)>,
    unwritten: u64,
}

impl Incidents {
    /// Something happened; `text` tells a person what, without payload.
    pub(crate) fn tell(&self, kind: IncidentKind, text: String, now: Timestamp) {
        log!(logged::INCIDENT, kind = kind.as_str(), text, "incident");
        let mut kinds = self.lock();
        let told = kinds.entry(kind).or_default();
        told.count += 1;
        told.unwritten += 1;
        told.waiting = Some((now, text));
    }

    /// How often each kind happened since the start.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let kinds = self.lock();
        let count = |kind| {
            (
                IncidentKind::as_str(kind),
                kinds.get(&kind).map_or(0, |told| told.count),
            )
        };
        IncidentKind::ALL.into_iter().map(count).collect()
    }

    /// What is to be journaled now, in the order in which it happened. It counts as journaled unless it is
    /// [kept](Self::keep).
    pub(crate) fn due(&self, now: Timestamp) -> Due {
        let mut due = Vec::new();
        for (kind, told) in &mut *self.lock() {
            let held_back = told.journaled_at.is_some_and(|at| now.duration_since(at).abs() < EVERY);
            if held_back {
                continue;
            }
            if let Some((at, text)) = told.waiting.take() {
                due.push((at, *kind, text, std::mem::take(&mut told.unwritten)));
                told.journaled_at = Some(now);
            }
        }
        due.sort_by_key(|(at, kind, ..)| (*at, *kind));
        Due(due)
    }

    /// There was no space for them: they are due again.
    pub(crate) fn keep(&self, due: Due) {
        let mut kinds = self.lock();
        for (at, kind, text, count) in due.0 {
            let told = kinds.entry(kind).or_default();
            told.journaled_at = None;
            told.unwritten += count;
            told.waiting.get_or_insert((at, text));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IncidentKind, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Incidents on their way to the journal.
#[derive(Debug)]
pub(crate) struct Due(Vec<(Timestamp, IncidentKind, String, u64)>);

impl Due {
    pub(crate) fn events(&self) -> Vec<Event> {
        let event = |(_, kind, text, count): &(_, IncidentKind, String, u64)| Event::Incident {
            kind: kind.as_str().to_owned(),
            text: match count {
                0 | 1 => text.clone(),
                more => format!("{text} (the last of {more} since the last record of this kind)"),
            },
        };
        self.0.iter().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(due: &Due) -> Vec<String> {
        let text = |event| match event {
            Event::Incident { kind, text } => format!("{kind}: {text}"),
            other => panic!("{other:?}"),
        };
        due.events().into_iter().map(text).collect()
    }

    #[test]
    fn a_storm_becomes_one_record_and_later_its_last_state() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let incidents = Incidents::default();
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        for n in 0..50 {
            incidents.tell(IncidentKind::DiskLow, format!("low {n}"), at(2 * n));
            incidents.tell(IncidentKind::DiskRecovered, format!("room {n}"), at(2 * n + 1));
            let due = incidents.due(at(2 * n + 1));
            let expected: &[&str] = match n {
                0 => &["disk_low: low 0", "disk_recovered: room 0"],
                _ => &[],
            };
            assert_eq!(texts(&due), expected);
        }
        let due = incidents.due(at(1000));
        let more = "(the last of 49 since the last record of this kind)";
        let expected = [
            format!("disk_low: low 49 {more}"),
            format!("disk_recovered: room 49 {more}"),
        ];
        assert_eq!(texts(&due), expected);
        assert!(texts(&incidents.due(at(5000))).is_empty());
        assert_eq!(incidents.counts()[..2], [("disk_low", 50), ("disk_recovered", 50)]);
    }

    #[test]
    fn what_found_no_space_is_due_again_until_it_is_written() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let incidents = Incidents::default();
        incidents.tell(IncidentKind::DiskLow, "full".to_owned(), start);
        incidents.keep(incidents.due(start));
        assert_eq!(texts(&incidents.due(start)), ["disk_low: full"]);
        assert!(texts(&incidents.due(start)).is_empty());
    }
}
