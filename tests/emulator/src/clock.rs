//! The bus's own clock, which tests turn as they like.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A clock that runs from some moment at some rate and can be moved while it runs. Clones share the hands.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    base: Timestamp,
    since: Instant,
    rate: f64,
}

impl Clock {
    /// The machine's time.
    pub fn system() -> Clock {
        Clock::running(Timestamp::now(), 1.0)
    }

    /// A clock that shows `start` now and runs `rate` times as fast as real time; 0 stands still.
    pub fn running(start: Timestamp, rate: f64) -> Clock {
        Clock(Arc::new(Mutex::new(Hands {
            base: start,
            since: Instant::now(),
            rate,
        })))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.hands().now()
    }

    /// How many seconds of it pass in a real second.
    pub fn rate(&self) -> f64 {
        self.hands().rate
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.base = add(hands.base, by.as_secs_f64());
    }

    /// Sets the clock, the rate stays.
    pub fn set(&self, to: Timestamp) {
        let mut hands = self.hands();
        hands.base = to;
        hands.since = Instant::now();
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

impl Hands {
    fn now(&self) -> Timestamp {
        add(self.base, self.since.elapsed().as_secs_f64() * self.rate)
    }
}

fn add(time: Timestamp, seconds: f64) -> Timestamp {
    jiff::SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|by| time.checked_add(by).ok())
        .unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_it_is_moved() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::running(start, 0.0);
        assert_eq!(clock.now(), start);
        clock.clone().advance(Duration::from_secs(4 * 86_400));
        assert_eq!(clock.now(), "2026-01-05T00:00:00Z".parse().unwrap());
    }
}
