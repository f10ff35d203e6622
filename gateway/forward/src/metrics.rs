//! What a link counts (DESIGN §11).

use std::sync::atomic::{AtomicU64, Ordering};

use engine::command::ForwardOutcome;

/// The label `outcome` of `messages_forwarded_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// Accepted by the upstream.
    Accepted,
    /// It had the message already.
    AlreadySent,
    /// To be tried again.
    Retry,
    /// The upstream's queue or quota is full.
    SlowDown,
    /// Refused for good.
    Rejected,
    /// For a person to decide.
    Quarantined,
}

impl Forwarded {
    /// All outcomes.
    pub const ALL: [Forwarded; 6] = [
        Self::Accepted,
        Self::AlreadySent,
        Self::Retry,
        Self::SlowDown,
        Self::Rejected,
        Self::Quarantined,
    ];

    /// The label's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AlreadySent => "already_sent",
            Self::Retry => "retry",
            Self::SlowDown => "slow_down",
            Self::Rejected => "rejected",
            Self::Quarantined => "quarantined",
        }
    }
}

impl From<&ForwardOutcome> for Forwarded {
    fn from(outcome: &ForwardOutcome) -> Self {
        match outcome {
            ForwardOutcome::Accepted => Self::Accepted,
            ForwardOutcome::AlreadySent => Self::AlreadySent,
            ForwardOutcome::NotSent { .. } | ForwardOutcome::Unknown { .. } | ForwardOutcome::Renew => Self::Retry,
            ForwardOutcome::SlowDown { .. } => Self::SlowDown,
            ForwardOutcome::Rejected { .. } => Self::Rejected,
            ForwardOutcome::Quarantined { .. } => Self::Quarantined,
        }
    }
}

/// A link in numbers, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkMetrics {
    /// Attempts by outcome (`messages_forwarded_total`), every outcome, in the order of [`Forwarded::ALL`].
    pub forwarded: [(Forwarded, u64); 6],
    /// Messages pulled and accepted (`messages_received_total`); repetitions are not counted.
    pub received: u64,
    /// Whether the link is in use (`upstream_up`).
    pub up: bool,
    /// Age in seconds of the oldest message that the upstream has not yet accepted (`upstream_lag_seconds`).
    pub lag_seconds: f64,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    forwarded: [AtomicU64; 6],
    received: AtomicU64,
}

impl Counters {
    pub(crate) fn forwarded(&self, outcome: Forwarded) {
        self.forwarded[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, up: bool, lag_seconds: f64) -> LinkMetrics {
        LinkMetrics {
            forwarded: Forwarded::ALL
                .map(|outcome| (outcome, self.forwarded[outcome as usize].load(Ordering::Relaxed))),
            received: self.received.load(Ordering::Relaxed),
            up,
            lag_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_counter() {
        let counters = Counters::default();
        for (count, outcome) in (1..).zip(Forwarded::ALL) {
            (0..count).for_each(|_| counters.forwarded(outcome));
        }
        let counts = counters
            .snapshot(true, 0.0)
            .forwarded
            .map(|(outcome, count)| (outcome.as_str(), count));
        let expected = [
            ("accepted", 1),
            ("already_sent", 2),
            ("retry", 3),
            ("slow_down", 4),
            ("rejected", 5),
            ("quarantined", 6),
        ];
        assert_eq!(counts, expected);
    }
}
