//! How much the door holds in memory at once: octets of bodies, their trees, and answers not yet written (DESIGN §5, I10).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on octets in flight. Nobody waits for room: who finds none is told to come again.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// Octets taken from the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    octets: u64,
}

/// There is no room for this many octets now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
        })
    }

    /// Octets held now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes octets if there is room.
    pub(super) fn take(self: &Arc<Self>, octets: u64) -> Result<Held, Exhausted> {
        let mut held = Held {
            budget: Arc::clone(self),
            octets: 0,
        };
        held.grow(octets)?;
        Ok(held)
    }

    /// Takes octets that are there already, room or not: an answer that has been built. What comes next will wait.
    pub(super) fn charge(self: &Arc<Self>, octets: u64) -> Held {
        self.used.fetch_add(octets, Ordering::Relaxed);
        Held {
            budget: Arc::clone(self),
            octets,
        }
    }
}

impl Held {
    /// Takes more.
    pub(super) fn grow(&mut self, octets: u64) -> Result<(), Exhausted> {
        let room = |used: u64| used.checked_add(octets).filter(|total| *total <= self.budget.limit);
        self.budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map_err(|_| Exhausted)?;
        self.octets += octets;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

/// What a body costs beside its own octets while it is worked on: the tree, and the copy that goes to the spool.
pub(super) fn overhead(body: &[u8]) -> u64 {
    /// Octets of the tree for an element or a text (an element comes with about one of the other).
    const NODE: u64 = 200;
    let elements = memchr::memchr_iter(b'<', body).count() as u64;
    body.len() as u64 + elements * NODE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_never_more_than_the_limit_and_comes_back() {
        let budget = Budget::new(10);
        let mut first = budget.take(6).unwrap();
        assert_eq!(budget.take(5).unwrap_err(), Exhausted);
        assert_eq!(first.grow(5), Err(Exhausted));
        first.grow(4).unwrap();
        assert_eq!(budget.used(), 10);
        drop(first);
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.take(u64::MAX).unwrap_err(), Exhausted);
        let answer = budget.charge(100);
        assert_eq!(budget.take(1).unwrap_err(), Exhausted);
        drop(answer);
        assert!(budget.take(10).is_ok());
    }

    #[test]
    fn small_elements_cost_more_than_their_octets() {
        assert!(overhead(&b"<a/>".repeat(1000)) > 100 * 1000);
        assert!(overhead(&[b'x'; 100_000]) < 200_000);
    }
}
