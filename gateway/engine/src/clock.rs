//! Where the time comes from. Tests own it; the gateway reads the system's.

use std::sync::LazyLock;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A source of the present moment.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Time counted since some moment, untouched by whoever sets the clock; none if nothing counts, and then every jump of
    /// the clock is believed.
    fn counted(&self) -> Option<SignedDuration> {
        None
    }

    /// Both at one moment.
    fn read(&self) -> (Timestamp, Option<SignedDuration>) {
        (self.now(), self.counted())
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn counted(&self) -> Option<SignedDuration> {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        SignedDuration::try_from(ORIGIN.elapsed()).ok()
    }
}

/// A clock that starts at a given moment and runs at a given rate: `serve --test-clock TIME[xRATE]`, for tests only.
#[derive(Debug)]
pub struct TestClock {
    start: Timestamp,
    rate: f64,
    origin: std::time::Instant,
}

impl TestClock {
    /// Starts now at `start`; one real second is `rate` seconds of this clock.
    pub fn new(start: Timestamp, rate: f64) -> Self {
        Self {
            start,
            rate,
            origin: std::time::Instant::now(),
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.read().0
    }

    fn counted(&self) -> Option<SignedDuration> {
        SignedDuration::try_from_secs_f64(self.origin.elapsed().as_secs_f64() * self.rate).ok()
    }

    /// A moment between two looks is long at a high rate.
    fn read(&self) -> (Timestamp, Option<SignedDuration>) {
        let passed = self.counted();
        let now = passed.and_then(|passed| self.start.checked_add(passed).ok());
        (now.unwrap_or(Timestamp::MAX), passed)
    }
}
