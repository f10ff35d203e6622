//! How many refusals the journal takes: a participant that fails in a loop must not fill the disk.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::names::Mnemonic;

/// Refusals of one participant that are written per minute; as many of calls that only claim to be somebody's.
const PER_MINUTE: u32 = 20;

/// Counts refusals per participant and minute. The participants are the registry's, so that it is bounded.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    of: HashMap<Mnemonic, Window>,
}

impl Limiter {
    /// Whether a refusal is to be written, and how many were not since the last one that was.
    pub(crate) fn admit(&mut self, participant: &Mnemonic, now: Timestamp) -> Option<u64> {
        self.of.entry(participant.clone()).or_default().admit(now)
    }
}

/// Counts refusals per minute.
#[derive(Debug, Default)]
pub(crate) struct Window {
    since: Timestamp,
    written: u32,
    omitted: u64,
}

impl Window {
    /// As [`Limiter::admit`].
    pub(crate) fn admit(&mut self, now: Timestamp) -> Option<u64> {
        if now.duration_since(self.since).abs() >= SignedDuration::from_mins(1) {
            self.since = now;
            self.written = 0;
        }
        if self.written >= PER_MINUTE {
            self.omitted += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twenty_first_refusal_in_a_minute_is_only_counted() {
        let participant: Mnemonic = "MUN001".parse().unwrap();
        let other: Mnemonic = "MUN002".parse().unwrap();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut limiter = Limiter::default();
        for _ in 0..20 {
            assert_eq!(limiter.admit(&participant, start), Some(0));
        }
        assert_eq!(limiter.admit(&participant, start), None);
        assert_eq!(limiter.admit(&participant, start), None);
        assert_eq!(limiter.admit(&other, start), Some(0));
        assert_eq!(
            limiter.admit(&participant, start + SignedDuration::from_mins(1)),
            Some(2)
        );
    }
}
