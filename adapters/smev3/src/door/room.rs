//! Room for what a call turns out to need while it is read: only then is it known.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;

use super::budget::{Exhausted, Held, PATIENCE, SMALL_PATIENCE};

/// What a call holds of the budget, and what it asked for while it was read.
///
/// A reader that gets no room stops. It begins anew when the room has been made, and gets for the asking what it had.
#[derive(Debug)]
pub(super) struct Room {
    held: RefCell<Held>,
    granted: Cell<u64>,
    asked: Cell<u64>,
    lacking: Cell<u64>,
}

impl Room {
    pub(super) fn new(held: Held) -> Self {
        Self {
            held: RefCell::new(held),
            granted: Cell::new(0),
            asked: Cell::new(0),
            lacking: Cell::new(0),
        }
    }

    /// Takes more. If there is no room, the reader must stop.
    pub(super) fn take(&self, octets: u64) -> Result<(), Exhausted> {
        let asked = self.asked.get().saturating_add(octets);
        self.asked.set(asked);
        let more = asked.saturating_sub(self.granted.get());
        if more == 0 {
            return Ok(());
        }
        self.held
            .borrow_mut()
            .grow(more)
            .inspect_err(|_| self.lacking.set(more))?;
        self.granted.set(self.granted.get() + more);
        Ok(())
    }

    /// What the reader stopped for, if it did.
    pub(super) fn lacking(&self) -> Option<u64> {
        Some(self.lacking.get()).filter(|&octets| octets > 0)
    }

    /// Whether so many octets more would make the call a large one.
    pub(super) fn is_large(&self, octets: u64) -> bool {
        self.held.borrow().is_large(octets)
    }

    /// Has room made for more, and lets the reader begin anew.
    pub(super) async fn make(&mut self, octets: u64) -> Result<(), Exhausted> {
        let held = self.held.get_mut();
        if held.is_large(octets) {
            held.claim(octets, Instant::now() + PATIENCE).await?;
        } else {
            held.grow_soon(octets, Instant::now() + SMALL_PATIENCE).await?;
        }
        if self.lacking.take() > 0 {
            *self.granted.get_mut() += octets;
        }
        self.asked.set(0);
        Ok(())
    }

    /// What is held in the end.
    pub(super) fn into_held(self) -> Held {
        self.held.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;

    #[tokio::test]
    async fn who_begins_anew_has_what_it_had_and_what_it_lacked() {
        let budget = Budget::new(10);
        let mut other = budget.nothing();
        other.grow(5).unwrap();
        let mut room = Room::new(budget.nothing());
        assert_eq!(room.take(3), Ok(()));
        assert_eq!(room.take(20), Err(Exhausted));
        assert_eq!(room.lacking(), Some(20));
        drop(other);
        room.make(20).await.unwrap();
        assert_eq!((room.lacking(), budget.used()), (None, 23));
        assert_eq!((room.take(3), room.take(20)), (Ok(()), Ok(())));
        assert_eq!(budget.used(), 23);
        drop(room.into_held());
        assert_eq!(budget.used(), 0);
    }
}
