//! Time that does not jump. The system's clock is held against one that only ever counts on: where the two part by more
//! than a correction explains, the engine goes on by the count, so that no lease, no life and no identifier ends for a
//! mistake that is taken back. A clock that stays where it went is believed in the end, unless it went further than a
//! gateway is switched off without anybody's knowing: then a person must say that it is right. A start has nothing to count
//! from but the journal's last record, and believes a clock that is as far after it as little.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// What the two may part by within a moment: a correction by the time service, or a leap second.
pub(crate) const CORRECTION: SignedDuration = SignedDuration::from_mins(1);
/// A clock that has jumped is believed after this time.
const BELIEVED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A clock without its jumps.
pub(crate) struct Steady {
    clock: Arc<dyn Clock>,
    /// Further than this the clock is not believed without a person.
    trusted_for: SignedDuration,
    known: Mutex<Known>,
}

/// What is known of the time.
#[derive(Debug, Default)]
struct Known {
    agreed: Option<Agreed>,
    /// While nothing is agreed: the last moment that is known to be over.
    past: Option<Timestamp>,
}

/// A moment from which is counted.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    at: Timestamp,
    counted: SignedDuration,
    /// The count when the clocks were first seen apart since, and by how much they were last.
    apart: Option<(SignedDuration, SignedDuration)>,
    /// The clock was never believed since the start: the moment is the end of the past.
    unproven: bool,
}

impl Steady {
    /// Goes by the clock if it is not further than `trusted_for` after `past`.
    pub(crate) fn new(clock: Arc<dyn Clock>, trusted_for: SignedDuration, past: Option<Timestamp>) -> Self {
        let known = Known { agreed: None, past };
        Self {
            clock,
            trusted_for,
            known: Mutex::new(known),
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        let mut known = self.lock();
        // Read under the lock, so that the count goes forward.
        let (wall, counted) = self.clock.read();
        let Some(counted) = counted else {
            return wall;
        };
        let last = known.agreed.or_else(|| {
            let past = known
                .past
                .filter(|past| wall.duration_since(*past) > self.trusted_for)?;
            Some(Agreed {
                at: past,
                counted,
                apart: None,
                unproven: true,
            })
        });
        let (now, agreed) = match last {
            Some(last) => self.judged(last, wall, counted),
            None => (wall, Agreed::believed(wall, counted)),
        };
        known.agreed = Some(agreed);
        now
    }

    /// The present moment as it follows from the last one that was agreed, and what is agreed now.
    fn judged(&self, last: Agreed, wall: Timestamp, counted: SignedDuration) -> (Timestamp, Agreed) {
        let expected = last.at.saturating_add(counted - last.counted).unwrap_or(wall);
        let by = wall.duration_since(expected);
        // A jump upon a jump is another one, to be believed in its own time.
        let since = match last.apart {
            Some((since, before)) if (by - before).abs() <= CORRECTION => since,
            _ => counted,
        };
        let believed = if last.unproven {
            by <= self.trusted_for
        } else {
            let long_enough = counted - since >= BELIEVED_AFTER && by.abs() <= self.trusted_for;
            by.abs() <= CORRECTION || long_enough
        };
        if believed {
            return (wall, Agreed::believed(wall, counted));
        }
        let apart = Some((since, by));
        (expected, Agreed { apart, ..last })
    }

    /// The moment that was believed last is known to be wrong, because `past` is over: the clock is believed wherever it
    /// goes next, as at a start.
    pub(crate) fn doubt(&self, past: Timestamp) {
        *self.lock() = Known {
            agreed: None,
            past: Some(past),
        };
    }

    /// A person says that the clock is right.
    pub(crate) fn believe(&self) {
        *self.lock() = Known::default();
    }

    /// What the system's clock says, believed or not.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// By how much the system's clock has jumped, while it is not believed.
    pub(crate) fn jumped(&self) -> Option<SignedDuration> {
        self.apart(false)
    }

    /// How far the clock is after all that is known, while it was never believed since the start.
    pub(crate) fn unproven(&self) -> Option<SignedDuration> {
        self.apart(true)
    }

    /// Whether a clock that is off by so much is believed only when a person says so.
    pub(crate) fn needs_a_person(&self, by: SignedDuration) -> bool {
        by.abs() > self.trusted_for
    }

    fn apart(&self, unproven: bool) -> Option<SignedDuration> {
        let agreed = self.lock().agreed.filter(|agreed| agreed.unproven == unproven)?;
        agreed.apart.map(|(_, by)| by)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agreed {
    fn believed(at: Timestamp, counted: SignedDuration) -> Self {
        Self {
            at,
            counted,
            apart: None,
            unproven: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTime;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

    fn steady() -> (Steady, TestTime, Timestamp) {
        let time = TestTime::new();
        let steady = Steady::new(Arc::new(time.clone()), WEEK, None);
        let start = steady.now();
        (steady, time, start)
    }

    #[test]
    fn a_jump_that_is_taken_back_changes_nothing() {
        for jump in [HOUR * 5, -HOUR * 5] {
            let (steady, time, start) = steady();
            time.jump(jump);
            assert_eq!(steady.now(), start);
            assert_eq!((steady.jumped(), steady.wall()), (Some(jump), start + jump));
            time.pass(HOUR - SECOND);
            assert_eq!(steady.now(), start + (HOUR - SECOND));
            time.jump(-jump);
            assert_eq!((steady.now(), steady.jumped()), (start + (HOUR - SECOND), None));
        }
    }

    #[test]
    fn a_clock_that_stays_where_it_went_is_believed_after_an_hour() {
        let (steady, time, start) = steady();
        time.jump(HOUR * 5);
        assert_eq!(steady.now(), start);
        time.pass(HOUR);
        assert_eq!((steady.now(), steady.jumped()), (start + HOUR * 6, None));
    }

    #[test]
    fn corrections_are_followed_at_once() {
        let (steady, time, start) = steady();
        time.jump(-SignedDuration::from_secs(59));
        assert_eq!(steady.now(), start - SignedDuration::from_secs(59));
        time.pass(HOUR * 100);
        assert_eq!(steady.jumped(), None, "time that passes is no jump");
    }

    #[test]
    fn a_clock_that_went_further_than_it_is_trusted_is_never_believed_unless_a_person_says_so() {
        for jump in [WEEK + HOUR, -WEEK - HOUR] {
            let (steady, time, start) = steady();
            time.jump(jump);
            assert_eq!(steady.now(), start);
            time.pass(HOUR * 500);
            assert_eq!((steady.now(), steady.jumped()), (start + HOUR * 500, Some(jump)));
            steady.believe();
            assert_eq!((steady.now(), steady.jumped()), (start + HOUR * 500 + jump, None));
        }
    }

    #[test]
    fn a_start_far_after_all_that_is_known_goes_on_from_there() {
        let time = TestTime::new();
        let past = time.now();
        time.pass(WEEK + SECOND);
        let steady = Steady::new(Arc::new(time.clone()), WEEK, Some(past));
        assert_eq!((steady.now(), steady.unproven()), (past, Some(WEEK + SECOND)));
        time.pass(HOUR * 2);
        assert_eq!((steady.now(), steady.jumped()), (past + HOUR * 2, None));
        // Set right, to what may be the truth, it is believed at once.
        time.jump(-HOUR);
        assert_eq!((steady.now(), steady.unproven()), (past + WEEK + SECOND + HOUR, None));
    }

    #[test]
    fn a_start_within_the_bound_or_before_what_is_known_believes_the_clock() {
        for after in [WEEK, -HOUR] {
            let time = TestTime::new();
            let past = time.now();
            time.pass(after);
            let steady = Steady::new(Arc::new(time.clone()), WEEK, Some(past));
            assert_eq!((steady.now(), steady.unproven()), (past + after, None));
        }
    }

    #[test]
    fn a_clock_in_doubt_is_believed_wherever_it_goes_but_far_into_the_future() {
        let (steady, time, start) = steady();
        let past = start + HOUR * 5;
        steady.doubt(past);
        assert_eq!(steady.now(), start);
        steady.doubt(past);
        time.jump(HOUR * 6);
        assert_eq!(steady.now(), start + HOUR * 6);
        steady.doubt(past);
        time.jump(WEEK);
        assert_eq!((steady.now(), steady.unproven()), (past, Some(WEEK + HOUR)));
    }
}
