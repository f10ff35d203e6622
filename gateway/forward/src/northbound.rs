//! Under which identifier a message goes to the upstream (DESIGN §6).
//!
//! The sender's own, if it is young enough at the first attempt, else a fresh one. Once an attempt may have arrived, the
//! identifier is bound to the message for good: it is what lets the upstream recognise a repetition (invariant I4). It
//! may be renewed only as long as every attempt has certainly failed.

use std::sync::Mutex;
use std::time::Duration;

use engine::names::MessageId;
use jiff::Timestamp;
use uuid::{ContextV1, Uuid};

use crate::chance::Chance;

/// An identifier younger than this at an attempt will not go stale before the attempt's outcome is known, nor in the
/// retries of a day: the upstream's own limit is 48 h (PROTOCOL §4).
pub const FRESH: Duration = engine::RENEWED_AFTER;

/// What happened to a message before the attempt at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Attempts begun.
    pub attempts: u32,
    /// The identifier of the last one; none before the first and after a renewal was decided.
    pub last_id: Option<MessageId>,
    /// Every attempt certainly failed: nothing was sent, or the upstream said that it did not take it.
    pub certainly_failed: bool,
    /// Tries in a row whose outcome is unknown.
    pub unknown_outcomes: u32,
}

/// Which identifier an attempt uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Keep(MessageId),
    /// A new one of the gateway's.
    Fresh,
}

/// Chooses the identifier of the next attempt of a message that its sender called `senders`.
pub fn choose(senders: MessageId, history: &History, now: Timestamp) -> Choice {
    let current = match (history.last_id, history.attempts) {
        (Some(last), _) if !history.certainly_failed => return Choice::Keep(last),
        (Some(last), _) => last,
        (None, 0) => senders,
        (None, _) => return Choice::Fresh,
    };
    if is_fresh(current, now) {
        Choice::Keep(current)
    } else {
        Choice::Fresh
    }
}

fn is_fresh(id: MessageId, now: Timestamp) -> bool {
    id.time()
        .is_some_and(|time| Duration::try_from(now.duration_since(time)).map_or(true, |age| age < FRESH))
}

/// Makes the gateway's own identifiers: RFC 4122 version 1 with a random node in place of a hardware address.
#[derive(Debug)]
pub struct Identifiers {
    context: Mutex<ContextV1>,
    node: [u8; 6],
}

impl Identifiers {
    /// A maker with a random clock sequence and node; the node has the multicast bit that RFC 4122 §4.5 asks for.
    pub fn new(chance: &dyn Chance) -> Self {
        let bits = chance.bits().to_le_bytes();
        let node = [bits[0] | 1, bits[1], bits[2], bits[3], bits[4], bits[5]];
        Self {
            context: Mutex::new(ContextV1::new(u16::from_le_bytes([bits[6], bits[7]]))),
            node,
        }
    }

    /// A new identifier of this moment; moments before 1970 count as 1970.
    pub fn make(&self, now: Timestamp) -> MessageId {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let context = self.context.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let moment = uuid::Timestamp::from_unix(&*context, seconds, nanoseconds);
        MessageId::new(Uuid::new_v1(moment, &self.node)).expect("a version 1 identifier was made")
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::chance::{SystemChance, fixed::Fraction};

    fn now() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().unwrap()
    }

    fn id(hours_ago: i64) -> MessageId {
        Identifiers::new(&Fraction(0.5)).make(now() - hours_ago.hours())
    }

    fn history(attempts: u32, last_id: Option<MessageId>, certainly_failed: bool) -> History {
        History {
            attempts,
            last_id,
            certainly_failed,
            unknown_outcomes: 0,
        }
    }

    #[test]
    fn the_choice_follows_the_table() {
        let (young, old, own) = (id(23), id(25), id(30));
        let cases = [
            (
                "first attempt, young",
                young,
                history(0, None, true),
                Choice::Keep(young),
            ),
            ("first attempt, old", old, history(0, None, true), Choice::Fresh),
            (
                "first attempt, exactly 24 h",
                id(24),
                history(0, None, true),
                Choice::Fresh,
            ),
            (
                "first attempt, from the near future",
                id(-1),
                history(0, None, true),
                Choice::Keep(id(-1)),
            ),
            (
                "refused connections, still young",
                young,
                history(9, Some(young), true),
                Choice::Keep(young),
            ),
            (
                "refused connections for days",
                old,
                history(9, Some(old), true),
                Choice::Fresh,
            ),
            (
                "refused connections, our own got old too",
                old,
                history(9, Some(own), true),
                Choice::Fresh,
            ),
            (
                "may have arrived, young",
                young,
                history(1, Some(young), false),
                Choice::Keep(young),
            ),
            (
                "may have arrived, old: never another",
                old,
                history(1, Some(old), false),
                Choice::Keep(old),
            ),
            (
                "may have arrived under our own",
                old,
                history(4, Some(own), false),
                Choice::Keep(own),
            ),
            ("a renewal was decided", young, history(1, None, true), Choice::Fresh),
        ];
        for (case, senders, history, expected) in cases {
            let choice = choose(senders, &history, now());
            let same = match (choice, expected) {
                (Choice::Keep(a), Choice::Keep(b)) => a.time() == b.time(),
                (a, b) => a == b,
            };
            assert!(same, "{case}: {choice:?}");
        }
    }

    #[test]
    fn identifiers_are_distinct_and_of_their_moment() {
        let identifiers = Identifiers::new(&SystemChance);
        let made: std::collections::BTreeSet<_> = (0..1000).map(|_| identifiers.make(now())).collect();
        assert_eq!(made.len(), 1000);
        for id in made {
            let off = id.time().unwrap().duration_since(now()).abs();
            assert!(off < jiff::SignedDuration::from_millis(1), "{off:?}");
        }
    }
}
