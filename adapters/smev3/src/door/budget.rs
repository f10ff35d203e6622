//! How much the door holds in memory at once: octets of bodies, their trees, and answers not yet written (DESIGN §5, I10).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A bound on octets in flight.
///
/// Who finds no room is told to come again, with two exceptions, so that nobody hears that for ever: a call that is
/// alone may be larger than the bound, and a call that needs more than half of it may claim its room, which turns
/// newcomers away until the others have made place.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
    /// Whether a large call has claimed room and waits for it, or works in it.
    claimed: AtomicBool,
    released: Notify,
}

/// Octets taken from the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    octets: u64,
    claims: bool,
}

/// There is no room for this many octets now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
            claimed: AtomicBool::new(false),
            released: Notify::new(),
        })
    }

    /// Octets held now, those that are claimed included.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }

    /// Nothing yet, to grow.
    pub(super) fn nothing(self: &Arc<Self>) -> Held {
        Held {
            budget: Arc::clone(self),
            octets: 0,
            claims: false,
        }
    }

    /// Takes octets that are there already, room or not: an answer that has been built. What comes next will wait.
    pub(super) fn charge(self: &Arc<Self>, octets: u64) -> Held {
        let mut held = self.nothing();
        held.add(octets);
        held
    }
}

impl Held {
    /// Takes more if there is room, or if nobody else holds anything.
    pub(super) fn grow(&mut self, octets: u64) -> Result<(), Exhausted> {
        let (limit, own) = (self.budget.limit, self.octets);
        let room = |used: u64| {
            let total = used.checked_add(octets)?;
            (total <= limit || used == own).then_some(total)
        };
        self.budget
            .used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, room)
            .map_err(|_| Exhausted)?;
        self.octets += octets;
        Ok(())
    }

    /// Takes more; a large call claims its room and waits for the others until `deadline`. After an error the holder
    /// must be dropped.
    pub(super) async fn grow_until(&mut self, octets: u64, deadline: Instant) -> Result<(), Exhausted> {
        if self.grow(octets).is_ok() {
            return Ok(());
        }
        let large = self.octets.saturating_add(octets) > self.budget.limit / 2;
        if !large || (!self.claims && self.budget.claimed.swap(true, Ordering::SeqCst)) {
            return Err(Exhausted);
        }
        self.claims = true;
        self.add(octets);
        let budget = Arc::clone(&self.budget);
        loop {
            let mut released = pin!(budget.released.notified());
            released.as_mut().enable();
            let used = budget.used();
            if used <= budget.limit || used == self.octets {
                return Ok(());
            }
            timeout_at(deadline, released).await.map_err(|_| Exhausted)?;
        }
    }

    fn add(&mut self, octets: u64) {
        self.budget.used.fetch_add(octets, Ordering::SeqCst);
        self.octets += octets;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.octets, Ordering::SeqCst);
        if self.claims {
            self.budget.claimed.store(false, Ordering::SeqCst);
        }
        self.budget.released.notify_waiters();
    }
}

/// What a body costs beside its own octets while it is worked on: the tree, the texts in it that are not what stands in
/// the body, and either the canonical text whose digest is checked or, later, the copy that goes to the spool.
///
/// The parser sets aside a node for every `<` and an attribute for every `=` before it begins; only where texts make
/// more nodes than there are tags does it take twice as much.
pub(super) fn overhead(body: &[u8]) -> u64 {
    /// Octets of a node of the tree: an element or a text.
    const NODE: u64 = 80;
    /// Octets of an attribute.
    const ATTRIBUTE: u64 = 80;
    /// Octets of the least allocation for a text of its own: one with a reference or a carriage return in it.
    const TEXT: u64 = 32;
    /// Octets that a tag gains in canonical form: a prefix, or an end tag that was not there.
    const WRITTEN: u64 = 12;
    let (mut tags, mut ends, mut texts) = (0_u64, 0_u64, 0_u64);
    for at in memchr::memchr2_iter(b'<', b'>', body) {
        let next = body.get(at + 1);
        if body[at] == b'<' {
            tags += 1;
            ends += u64::from(next == Some(&b'/'));
        } else {
            texts += u64::from(next.is_some_and(|&next| next != b'<'));
        }
    }
    let room = if tags - ends + texts > tags { 2 * tags } else { tags };
    let attributes = memchr::memchr_iter(b'=', body).count() as u64;
    let rewritten = memchr::memchr2_iter(b'&', b'\r', body).count() as u64;
    let rewritten_texts = if rewritten == 0 { 0 } else { body.len() as u64 };
    let written = body.len() as u64 + tags * WRITTEN;
    written + room * NODE + attributes * ATTRIBUTE + rewritten * TEXT + rewritten_texts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn take(budget: &Arc<Budget>, octets: u64) -> Result<Held, Exhausted> {
        let mut held = budget.nothing();
        held.grow(octets)?;
        Ok(held)
    }

    #[test]
    fn what_several_hold_is_never_more_than_the_limit_and_comes_back() {
        let budget = Budget::new(10);
        let mut first = take(&budget, 6).unwrap();
        let second = take(&budget, 2).unwrap();
        assert_eq!(take(&budget, 5).unwrap_err(), Exhausted);
        assert_eq!(first.grow(3), Err(Exhausted));
        first.grow(2).unwrap();
        assert_eq!(budget.used(), 10);
        drop((first, second));
        assert_eq!(budget.used(), 0);
        let answer = budget.charge(100);
        assert_eq!(take(&budget, 1).unwrap_err(), Exhausted);
        drop(answer);
        assert!(take(&budget, 10).is_ok());
    }

    #[test]
    fn who_is_alone_may_be_larger_than_the_limit() {
        let budget = Budget::new(10);
        let mut alone = take(&budget, 6).unwrap();
        alone.grow(50).unwrap();
        assert_eq!(take(&budget, 1).unwrap_err(), Exhausted);
        drop(alone);
        assert!(take(&budget, 11).is_ok());
    }

    #[tokio::test]
    async fn a_large_call_claims_its_room_and_gets_it_before_newcomers() {
        let budget = Budget::new(10);
        let deadline = Instant::now() + Duration::from_secs(60);
        let small = take(&budget, 3).unwrap();
        let claim = {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move {
                let mut large = budget.nothing();
                large.grow_until(20, deadline).await.map(|()| large)
            })
        };
        while budget.used() < 23 {
            tokio::task::yield_now().await;
        }
        assert_eq!(take(&budget, 1).unwrap_err(), Exhausted, "the room is claimed");
        assert_eq!(
            budget.nothing().grow_until(9, deadline).await,
            Err(Exhausted),
            "by one at a time"
        );
        drop(small);
        let large = claim.await.unwrap().unwrap();
        assert_eq!(budget.used(), 20);
        drop(large);
        assert!(take(&budget, 10).is_ok());
    }

    #[tokio::test]
    async fn a_claim_ends_at_its_deadline_and_small_calls_do_not_claim() {
        let budget = Budget::new(10);
        let _small = take(&budget, 8).unwrap();
        let now = Instant::now();
        assert_eq!(budget.nothing().grow_until(4, now).await, Err(Exhausted));
        assert_eq!(budget.nothing().grow_until(9, now).await, Err(Exhausted));
        assert_eq!(budget.used(), 8);
        assert_eq!(
            budget.nothing().grow_until(9, now).await,
            Err(Exhausted),
            "the claim was given back"
        );
    }

    #[test]
    fn a_tree_costs_what_its_nodes_and_attributes_do() {
        let of = |text: &str| overhead(text.repeat(1000).as_bytes()) / 1000;
        assert_eq!(of("<a/>"), 4 + 12 + 80);
        assert_eq!(of("<a>x</a>"), 8 + 2 * (12 + 80));
        assert_eq!(of("<a>x</a> "), 9 + 2 * (12 + 2 * 80), "one text more than end tags");
        assert_eq!(of("<a b='c'/>"), 10 + 12 + 80 + 80);
        assert_eq!(of("<a>&lt;</a>"), 2 * 11 + 2 * (12 + 80) + 32, "a text of its own");
        assert_eq!(overhead(&[b'x'; 100_000]), 100_000);
    }
}
