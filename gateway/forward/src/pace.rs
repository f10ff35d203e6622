//! How often to ask the upstream whether it holds something: fast while there is work, slowly while there is none.

use std::time::Duration;

/// The bounds of the pause between two polls of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// After a message, or when an answer is to be expected.
    pub min: Duration,
    /// When the queue has been empty for long.
    pub max: Duration,
}

impl Default for Poll {
    /// 200 ms to 10 s (DESIGN §9).
    fn default() -> Self {
        Self {
            min: Duration::from_millis(200),
            max: Duration::from_secs(10),
        }
    }
}

/// The present pause.
#[derive(Debug, Clone)]
pub struct Pace {
    poll: Poll,
    pause: Duration,
}

impl Pace {
    /// Begins fast.
    pub fn new(poll: Poll) -> Self {
        Self { poll, pause: poll.min }
    }

    /// A message came: the next poll follows at once.
    pub fn message(&mut self) -> Duration {
        self.pause = self.poll.min;
        Duration::ZERO
    }

    /// The queue was empty: wait, and longer each time.
    pub fn empty(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(self.poll.max).max(self.poll.min);
        pause
    }

    /// Something was sent that will be answered.
    pub fn expect_answer(&mut self) {
        self.pause = self.poll.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_slows_down_while_empty_and_speeds_up_with_work() {
        let mut pace = Pace::new(Poll::default());
        let pauses: Vec<u128> = (0..8).map(|_| pace.empty().as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(pace.message(), Duration::ZERO);
        assert_eq!(pace.empty(), Duration::from_millis(200));
        assert_eq!(pace.empty(), Duration::from_millis(400));
        pace.expect_answer();
        assert_eq!(pace.empty(), Duration::from_millis(200));
    }
}
