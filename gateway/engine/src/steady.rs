//! Time that does not jump. The system's clock is held against one that only ever counts on: where the two part by more
//! than a correction explains, the engine goes on by the count, so that no lease, no life and no identifier ends for a
//! mistake that is taken back. A clock that stays where it went is believed in the end.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// What the two may part by within a moment: a correction by the time service, or a leap second.
const CORRECTION: SignedDuration = SignedDuration::from_mins(1);
/// A clock that has jumped is believed after this time.
const BELIEVED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A clock without its jumps.
pub(crate) struct Steady {
    clock: Arc<dyn Clock>,
    agreed: Mutex<Option<Agreed>>,
}

/// A moment at which both clocks were believed.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    at: Timestamp,
    counted: SignedDuration,
    /// The count when they were first seen apart since, and by how much they were last.
    apart: Option<(SignedDuration, SignedDuration)>,
}

impl Steady {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            agreed: Mutex::default(),
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        let mut agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that the count goes forward.
        let wall = self.clock.now();
        let Some(counted) = self.clock.counted() else {
            return wall;
        };
        let believed = Agreed {
            at: wall,
            counted,
            apart: None,
        };
        let Some(last) = *agreed else {
            *agreed = Some(believed);
            return wall;
        };
        let expected = last.at.saturating_add(counted - last.counted).unwrap_or(wall);
        let by = wall.duration_since(expected);
        // A jump upon a jump is another one, to be believed in its own time.
        let since = match last.apart {
            Some((since, before)) if (by - before).abs() <= CORRECTION => since,
            _ => counted,
        };
        if by.abs() <= CORRECTION || counted - since >= BELIEVED_AFTER {
            *agreed = Some(believed);
            return wall;
        }
        *agreed = Some(Agreed {
            apart: Some((since, by)),
            ..last
        });
        expected
    }

    /// The moment that was believed last is known to be wrong: the clock is believed wherever it goes next.
    pub(crate) fn doubt(&self) {
        *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What the system's clock says, believed or not.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// By how much the system's clock has jumped, while it is not believed.
    pub(crate) fn jumped(&self) -> Option<SignedDuration> {
        let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
        agreed.as_ref().and_then(|agreed| agreed.apart).map(|(_, by)| by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestTime;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    fn steady() -> (Steady, TestTime, Timestamp) {
        let time = TestTime::new();
        let steady = Steady::new(Arc::new(time.clone()));
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
}
