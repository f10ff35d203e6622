//! The last refusals of recognised participants, for who watches the gateway. The journal has all of them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use engine::names::Mnemonic;
use jiff::Timestamp;

/// Refusals that are remembered.
const REMEMBERED: usize = 32;

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLately {
    /// When.
    pub at: Timestamp,
    /// Whose certificate it bore.
    pub participant: Mnemonic,
    /// What it wanted.
    pub operation: &'static str,
    /// What it was answered.
    pub fault: &'static str,
    /// Why, as the journal names it.
    pub reason: &'static str,
}

/// A bounded memory.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<VecDeque<RefusedLately>>);

impl Lately {
    pub(super) fn put(&self, refused: RefusedLately) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.truncate(REMEMBERED - 1);
        remembered.push_front(refused);
    }

    /// Newest first.
    pub(super) fn all(&self) -> Vec<RefusedLately> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_come_first() {
        let lately = Lately::default();
        for number in 0..100 {
            lately.put(RefusedLately {
                at: Timestamp::from_second(number).unwrap(),
                participant: "MUN001".parse().unwrap(),
                operation: "SendRequest",
                fault: "AccessDenied",
                reason: "no_grant",
            });
        }
        let seconds: Vec<_> = lately.all().iter().map(|refused| refused.at.as_second()).collect();
        assert_eq!(seconds, (68..100).rev().collect::<Vec<_>>());
    }
}
