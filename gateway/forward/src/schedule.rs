//! Which lanes are worked next: those that wait longest for their turn, none twice at a time, none before its back-off
//! has passed. A lane that must wait does not keep the others from going on.

use std::collections::{BTreeMap, BTreeSet};

use engine::command::Lane;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::chance::Chance;

/// How a lane's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// At least one message left the lane.
    pub progressed: bool,
    /// The lane must wait before its next turn.
    pub wait: bool,
}

/// The lanes of one upstream.
#[derive(Debug, Default)]
pub struct Schedule {
    lanes: BTreeMap<Lane, Entry>,
    turns: u64,
}

#[derive(Debug, Default)]
struct Entry {
    busy: bool,
    last_turn: u64,
    failures: u32,
    not_before: Option<Instant>,
}

impl Schedule {
    /// Chooses up to `free` lanes of those that have messages waiting; they are busy until [`Self::ended`].
    pub fn pick(&mut self, waiting: Vec<Lane>, free: usize, now: Instant) -> Vec<Lane> {
        let waiting: BTreeSet<Lane> = waiting.into_iter().collect();
        self.lanes.retain(|lane, entry| entry.busy || waiting.contains(lane));
        for lane in waiting {
            self.lanes.entry(lane).or_default();
        }
        let ready = self
            .lanes
            .iter()
            .filter(|(_, entry)| !entry.busy && entry.not_before.is_none_or(|at| at <= now));
        let mut ready: Vec<(u64, Lane)> = ready.map(|(lane, entry)| (entry.last_turn, lane.clone())).collect();
        ready.sort();
        ready.truncate(free);
        let picked: Vec<Lane> = ready.into_iter().map(|(_, lane)| lane).collect();
        for lane in &picked {
            self.turns += 1;
            let entry = self.lanes.entry(lane.clone()).or_default();
            (entry.busy, entry.last_turn, entry.not_before) = (true, self.turns, None);
        }
        picked
    }

    /// A lane's turn is over.
    pub fn ended(&mut self, lane: &Lane, turn: Turn, backoff: &Backoff, now: Instant, chance: &dyn Chance) {
        let Some(entry) = self.lanes.get_mut(lane) else { return };
        entry.busy = false;
        if turn.progressed {
            entry.failures = 0;
        }
        if turn.wait {
            entry.failures = entry.failures.saturating_add(1);
            entry.not_before = Some(now + backoff.wait(entry.failures, chance));
        }
    }

    /// When the next lane's back-off is over.
    pub fn next(&self) -> Option<Instant> {
        self.lanes
            .values()
            .filter(|entry| !entry.busy)
            .filter_map(|entry| entry.not_before)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chance::fixed::Fraction;

    const HALF: Fraction = Fraction(0.5);
    const ON: Turn = Turn {
        progressed: true,
        wait: false,
    };
    const FAILED: Turn = Turn {
        progressed: false,
        wait: true,
    };

    fn lanes(names: &str) -> Vec<Lane> {
        let lane = |kind: char| Lane {
            upstream: "federal".parse().unwrap(),
            sender: "MUN001".parse().unwrap(),
            kind: kind.to_string().parse().unwrap(),
        };
        names.chars().map(lane).collect()
    }

    fn names(lanes: &[Lane]) -> String {
        lanes.iter().map(|lane| lane.kind.as_str()).collect()
    }

    #[test]
    fn lanes_take_turns_and_none_is_worked_twice_at_a_time() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let backoff = Backoff::default();
        assert_eq!(names(&schedule.pick(lanes("abcde"), 2, now)), "ab");
        assert_eq!(names(&schedule.pick(lanes("abcde"), 1, now)), "c");
        schedule.ended(&lanes("a")[0], ON, &backoff, now, &HALF);
        assert_eq!(names(&schedule.pick(lanes("abcde"), 3, now)), "dea");
        assert_eq!(names(&schedule.pick(lanes("abcde"), 3, now)), "");
    }

    #[test]
    fn a_lane_that_fails_waits_longer_each_time_while_others_go_on() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        let backoff = Backoff::default();
        let mut waits = vec![];
        for _ in 0..3 {
            assert!(names(&schedule.pick(lanes("ab"), 2, now)).contains('a'));
            schedule.ended(&lanes("a")[0], FAILED, &backoff, now, &HALF);
            schedule.ended(&lanes("b")[0], ON, &backoff, now, &HALF);
            assert_eq!(names(&schedule.pick(lanes("ab"), 2, now)), "b");
            schedule.ended(&lanes("b")[0], ON, &backoff, now, &HALF);
            let next = schedule.next().unwrap();
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, [500, 1000, 2000].map(Duration::from_millis));

        schedule.pick(lanes("a"), 1, now);
        schedule.ended(
            &lanes("a")[0],
            Turn {
                progressed: true,
                wait: true,
            },
            &backoff,
            now,
            &HALF,
        );
        assert_eq!(
            schedule.next(),
            Some(now + Duration::from_millis(500)),
            "progress forgives"
        );
    }

    #[test]
    fn lanes_without_messages_are_forgotten() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.pick(lanes("ab"), 1, now);
        schedule.pick(vec![], 0, now);
        assert_eq!(schedule.lanes.len(), 1, "only the busy one is kept");
    }
}
