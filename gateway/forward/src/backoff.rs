//! How long to wait after the n-th failure in a row: exponential, with full jitter, so that lanes and gateways that
//! failed together do not come back together.

use std::time::Duration;

use crate::chance::Chance;

/// The bounds of the waiting time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound after the first failure; it doubles with each further one.
    pub min: Duration,
    /// Upper bound of the upper bounds.
    pub max: Duration,
}

impl Default for Backoff {
    /// 1 s to 5 min (DESIGN §6).
    fn default() -> Self {
        Self {
            min: Duration::from_secs(1),
            max: Duration::from_mins(5),
        }
    }
}

impl Backoff {
    /// The longest that a wait after this many failures in a row can be; nothing before the first.
    pub fn ceiling(&self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self
                .min
                .saturating_mul(1_u32.checked_shl(n - 1).unwrap_or(u32::MAX))
                .min(self.max),
        }
    }

    /// A wait between nothing and the ceiling, evenly spread (full jitter).
    pub fn wait(&self, failures: u32, chance: &dyn Chance) -> Duration {
        self.ceiling(failures).mul_f64(chance.unit())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::fixed::Fraction;

    #[test]
    fn the_ceiling_doubles_from_one_second_to_five_minutes() {
        let seconds: Vec<u64> = (0..12).map(|n| Backoff::default().ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(Backoff::default().ceiling(u32::MAX), Duration::from_mins(5));
    }

    #[test]
    fn the_jitter_is_full() {
        assert_eq!(Backoff::default().wait(4, &Fraction(0.0)), Duration::ZERO);
        assert_eq!(Backoff::default().wait(4, &Fraction(0.25)), Duration::from_secs(2));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_its_ceiling(failures: u32, fraction in 0.0..1.0) {
            let backoff = Backoff::default();
            prop_assert!(backoff.wait(failures, &Fraction(fraction)) <= backoff.ceiling(failures));
            prop_assert!(backoff.ceiling(failures) <= backoff.max);
        }
    }
}
