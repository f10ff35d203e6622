//! How much the door holds in memory at once: octets of bodies, their trees, and answers not yet written (DESIGN §5, I10).

use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a large call waits until others have made room for it, and an answer for its own.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a small call waits while a large one works.
pub(super) const SMALL_PATIENCE: Duration = Duration::from_secs(2);

/// A bound on octets in flight.
///
/// Who finds no room is told to come again, with one exception, so that nobody hears that for ever: a call that needs more
/// than half of the bound may claim its room, if it is known to be worth it. Then newcomers wait, those that need little,
/// or are turned away, until the others have made place; a call that is alone may be larger than the bound. A claim waits
/// only for what is worked on. Bodies that still arrive come at the pace of their senders, so that they stay beside it:
/// they are never more than the bound.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Octets held, those that are claimed included.
    used: u64,
    /// Those of them that are bodies on their way here.
    arriving: u64,
    /// Whether a large call has claimed room and waits for it, or works in it.
    claimed: bool,
}

/// Octets taken from the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    octets: u64,
    arriving: bool,
    claims: bool,
}

/// There is no room for this many octets now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::default(),
            released: Notify::new(),
        })
    }

    /// Octets held now, those that are claimed included.
    pub(super) fn used(&self) -> u64 {
        self.state().used
    }

    /// Nothing yet, to grow.
    pub(super) fn nothing(self: &Arc<Self>) -> Held {
        Held {
            budget: Arc::clone(self),
            octets: 0,
            arriving: false,
            claims: false,
        }
    }

    /// Nothing yet, for a body on its way.
    pub(super) fn arriving(self: &Arc<Self>) -> Held {
        let mut held = self.nothing();
        held.arriving = true;
        held
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries until it works, whenever something was given back, until `deadline`.
    async fn retry(&self, deadline: Instant, mut attempt: impl FnMut() -> bool) -> Result<(), Exhausted> {
        loop {
            let mut released = pin!(self.released.notified());
            released.as_mut().enable();
            if attempt() {
                return Ok(());
            }
            timeout_at(deadline, released).await.map_err(|_| Exhausted)?;
        }
    }
}

impl Held {
    /// Takes more if there is room.
    pub(super) fn grow(&mut self, octets: u64) -> Result<(), Exhausted> {
        let room = |limit, state: &State| state.used.saturating_add(octets) <= limit;
        self.take_if(octets, room).then_some(()).ok_or(Exhausted)
    }

    /// Takes more if there is room; where a large call keeps it, whoever needs little waits for it until `deadline`.
    pub(super) async fn grow_soon(&mut self, octets: u64, deadline: Instant) -> Result<(), Exhausted> {
        if self.grow(octets).is_ok() {
            return Ok(());
        }
        let budget = Arc::clone(&self.budget);
        let little = self.octets.saturating_add(octets) <= budget.limit / 16;
        if !little || !budget.state().claimed {
            return Err(Exhausted);
        }
        budget.retry(deadline, || self.grow(octets).is_ok()).await
    }

    /// Takes more as soon as there is room, or nobody else works; waits until `deadline`.
    pub(super) async fn grow_until(&mut self, octets: u64, deadline: Instant) -> Result<(), Exhausted> {
        let own = self.octets;
        let alone = |limit, state: &State| {
            state.used.saturating_add(octets) <= limit || (state.used - state.arriving == own && !state.claimed)
        };
        let budget = Arc::clone(&self.budget);
        budget.retry(deadline, || self.take_if(octets, alone)).await
    }

    /// Takes more for a call that has arrived and is worth it: a large one claims its room, and waits for the others
    /// until `deadline`. After an error the holder must be dropped.
    pub(super) async fn claim(&mut self, octets: u64, deadline: Instant) -> Result<(), Exhausted> {
        if self.grow(octets).is_ok() {
            return Ok(());
        }
        let budget = Arc::clone(&self.budget);
        if !self.claims {
            if !self.is_large(octets) || mem::replace(&mut budget.state().claimed, true) {
                return Err(Exhausted);
            }
            self.claims = true;
        }
        self.add(octets);
        let own = self.octets;
        let made = || {
            let state = budget.state();
            let working = state.used - state.arriving;
            working <= budget.limit || working == own
        };
        budget.retry(deadline, made).await
    }

    /// Whether so many octets more make this more than half of the bound: what may claim its room.
    pub(super) fn is_large(&self, octets: u64) -> bool {
        self.octets.saturating_add(octets) > self.budget.limit / 2
    }

    /// Takes octets that are there already, room or not. What comes next will wait.
    pub(super) fn add(&mut self, octets: u64) {
        self.take_if(octets, |_, _| true);
    }

    /// The body has arrived: from now on it is worked on.
    pub(super) fn arrived(&mut self) {
        if mem::take(&mut self.arriving) {
            self.budget.state().arriving -= self.octets;
        }
    }

    /// Gives back everything but so many octets, and the claim.
    pub(super) fn keep(&mut self, octets: u64) {
        let kept = octets.min(self.octets);
        self.give_back(self.octets - kept);
    }

    /// Takes octets if the limit and the state allow it.
    fn take_if(&mut self, octets: u64, allowed: impl FnOnce(u64, &State) -> bool) -> bool {
        let mut state = self.budget.state();
        if !allowed(self.budget.limit, &state) {
            return false;
        }
        state.used = state.used.saturating_add(octets);
        if self.arriving {
            state.arriving = state.arriving.saturating_add(octets);
        }
        self.octets = self.octets.saturating_add(octets);
        true
    }

    fn give_back(&mut self, octets: u64) {
        let mut state = self.budget.state();
        state.used -= octets;
        if self.arriving {
            state.arriving -= octets;
        }
        if mem::take(&mut self.claims) {
            state.claimed = false;
        }
        drop(state);
        self.octets -= octets;
        self.budget.released.notify_waiters();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.octets);
    }
}

/// What a body costs beside its own octets while it is worked on: the tree, the texts in it that are not what stands in
/// the body, and either the canonical text whose digest is checked or, later, the copy that goes to the spool.
///
/// The parser sets aside a node for every `<` and an attribute for every `=` before it begins; only where texts make
/// more nodes than there are tags does it take twice as much. Nothing with more than `nodes` of them is parsed.
pub(super) fn overhead(body: &[u8], nodes: u64) -> u64 {
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
    let (tags, room, attributes) = (tags.min(nodes), room.min(nodes), attributes.min(nodes));
    let rewritten = memchr::memchr2_iter(b'&', b'\r', body).count() as u64;
    let rewritten_texts = if rewritten == 0 { 0 } else { body.len() as u64 };
    let written = body.len() as u64 + tags * WRITTEN;
    written + room * NODE + attributes * ATTRIBUTE + rewritten * TEXT + rewritten_texts
}

/// What the validator of a schema takes for a payload: a copy of it, and a tree of its own.
pub(super) fn schema_overhead(payload: &[u8]) -> u64 {
    /// Octets of a node of that tree.
    const NODE: u64 = 220;
    let nodes = memchr::memchr2_iter(b'<', b'=', payload).count() as u64;
    2 * payload.len() as u64 + nodes * NODE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(budget: &Arc<Budget>, octets: u64) -> Result<Held, Exhausted> {
        let mut held = budget.nothing();
        held.grow(octets)?;
        Ok(held)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A claim of so many octets, when it stands.
    async fn claim(budget: &Arc<Budget>, octets: u64) -> tokio::task::JoinHandle<Result<Held, Exhausted>> {
        let before = budget.used();
        let claiming = Arc::clone(budget);
        let claim = tokio::spawn(async move {
            let mut large = claiming.nothing();
            large.claim(octets, later()).await.map(|()| large)
        });
        while budget.used() < before + octets {
            tokio::task::yield_now().await;
        }
        claim
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
        let mut answer = budget.nothing();
        answer.add(100);
        assert_eq!(take(&budget, 1).unwrap_err(), Exhausted);
        answer.keep(4);
        assert!(take(&budget, 6).is_ok());
        drop(answer);
        assert_eq!(take(&budget, 11).unwrap_err(), Exhausted, "without a claim");
        assert!(take(&budget, 10).is_ok());
    }

    #[tokio::test]
    async fn who_is_alone_may_claim_more_than_the_limit() {
        let budget = Budget::new(10);
        let mut alone = take(&budget, 6).unwrap();
        alone.claim(50, Instant::now()).await.unwrap();
        assert_eq!(take(&budget, 1).unwrap_err(), Exhausted);
        alone.keep(5);
        assert!(take(&budget, 5).is_ok());
    }

    #[tokio::test]
    async fn a_large_call_claims_its_room_and_gets_it_before_newcomers() {
        let budget = Budget::new(10);
        let small = take(&budget, 3).unwrap();
        let claim = claim(&budget, 20).await;
        assert_eq!(take(&budget, 1).unwrap_err(), Exhausted, "the room is claimed");
        assert_eq!(
            budget.nothing().claim(9, later()).await,
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
        assert_eq!(budget.nothing().claim(4, now).await, Err(Exhausted));
        assert_eq!(budget.nothing().claim(9, now).await, Err(Exhausted));
        assert_eq!(budget.used(), 8);
        assert_eq!(
            budget.nothing().claim(9, now).await,
            Err(Exhausted),
            "the claim was given back"
        );
    }

    #[tokio::test]
    async fn a_claim_does_not_wait_for_bodies_on_their_way() {
        let budget = Budget::new(10);
        let mut slow = budget.arriving();
        slow.grow(10).unwrap();
        let mut large = budget.nothing();
        large.claim(9, Instant::now()).await.unwrap();
        drop(large);
        slow.arrived();
        assert_eq!(budget.nothing().claim(9, Instant::now()).await, Err(Exhausted));
        drop(slow);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn small_calls_wait_a_moment_while_a_large_one_works_and_only_then() {
        let budget = Budget::new(32);
        let full = take(&budget, 32).unwrap();
        let never = later() + Duration::from_secs(3600);
        assert_eq!(budget.nothing().grow_soon(1, never).await, Err(Exhausted));
        drop(full);
        let large = claim(&budget, 100).await.await.unwrap().unwrap();
        assert_eq!(budget.nothing().grow_soon(3, never).await, Err(Exhausted), "not little");
        assert_eq!(budget.nothing().grow_soon(2, Instant::now()).await, Err(Exhausted));
        let mut small = budget.nothing();
        let (waited, ()) = tokio::join!(small.grow_soon(2, never), async { drop(large) });
        assert_eq!((waited, budget.used()), (Ok(()), 2));
    }

    #[tokio::test]
    async fn answers_wait_for_room_or_for_being_alone() {
        let budget = Budget::new(10);
        let mut slow = budget.arriving();
        slow.grow(1).unwrap();
        let other = take(&budget, 6).unwrap();
        let mut answer = budget.nothing();
        assert_eq!(answer.grow_until(50, Instant::now()).await, Err(Exhausted));
        let (waited, ()) = tokio::join!(answer.grow_until(50, later()), async { drop(other) });
        assert_eq!((waited, budget.used()), (Ok(()), 51));
    }

    #[test]
    fn a_tree_costs_what_its_nodes_and_attributes_do() {
        let of = |text: &str| overhead(text.repeat(1000).as_bytes(), u64::MAX) / 1000;
        assert_eq!(of("<a/>"), 4 + 12 + 80);
        assert_eq!(of("<a>x</a>"), 8 + 2 * (12 + 80));
        assert_eq!(of("<a>x</a> "), 9 + 2 * (12 + 2 * 80), "one text more than end tags");
        assert_eq!(of("<a b='c'/>"), 10 + 12 + 80 + 80);
        assert_eq!(of("<a>&lt;</a>"), 2 * 11 + 2 * (12 + 80) + 32, "a text of its own");
        assert_eq!(overhead(&[b'x'; 100_000], u64::MAX), 100_000);
        assert_eq!(overhead(&[b'<'; 1000], 10), 1000 + 10 * (12 + 80), "more is not parsed");
        assert_eq!(schema_overhead(b"<a b='c'>x</a>"), 28 + 3 * 220);
    }
}
