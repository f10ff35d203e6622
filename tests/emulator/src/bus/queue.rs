//! A participant's incoming queues on the bus: first in, first out, with leases.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::letter::Letter;
use crate::message::{AsyncStatus, Selector};

/// Acknowledged messages that are remembered so that they can be delivered again.
const REMEMBERED: usize = 1000;

/// The queues of one participant.
#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) requests: Queue,
    pub(super) responses: Queue,
    pub(super) statuses: VecDeque<AsyncStatus>,
}

/// One queue; sub-queues of nodes stand in it side by side.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    done: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    letter: Letter,
    lease: Option<Timestamp>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Depth of the common queue and of one node's.
    pub(super) fn depth(&self, node: Option<&str>) -> usize {
        self.waiting
            .iter()
            .filter(|waiting| waiting.letter.node.as_deref() == node)
            .count()
    }

    pub(super) fn push(&mut self, letter: Letter) {
        self.waiting.push_back(Waiting { letter, lease: None });
    }

    /// The first message that the selector wants and nobody holds; it is leased.
    pub(super) fn take(
        &mut self,
        selector: &Selector,
        any_node: bool,
        now: Timestamp,
        lease: Duration,
    ) -> Option<&mut Letter> {
        let free = |waiting: &Waiting| waiting.lease.is_none_or(|until| until <= now);
        let at = self
            .waiting
            .iter()
            .position(|waiting| free(waiting) && waiting.letter.matches(selector, any_node))?;
        let waiting = self.waiting.get_mut(at)?;
        waiting.lease = now.checked_add(lease).ok();
        Some(&mut waiting.letter)
    }

    /// The message that was acknowledged last and that the selector wants; it is leased again.
    pub(super) fn take_again(&mut self, selector: &Selector, any_node: bool, now: Timestamp) -> Option<&mut Letter> {
        let at = self
            .done
            .iter()
            .rposition(|waiting| waiting.letter.matches(selector, any_node))?;
        let mut waiting = self.done.remove(at)?;
        waiting.lease = Some(now);
        self.waiting.push_front(waiting);
        self.waiting.front_mut().map(|waiting| &mut waiting.letter)
    }

    /// Whether anything acknowledged could be delivered again.
    pub(super) fn has_done(&self, selector: &Selector, any_node: bool) -> bool {
        self.done
            .iter()
            .any(|waiting| waiting.letter.matches(selector, any_node))
    }

    /// Removes a message that was handed out. `false` if there is none.
    pub(super) fn acknowledge(&mut self, id: &str) -> bool {
        let found = self
            .waiting
            .iter()
            .position(|waiting| waiting.lease.is_some() && waiting.letter.id == id);
        let Some(waiting) = found.and_then(|at| self.waiting.remove(at)) else {
            return false;
        };
        if self.done.len() == REMEMBERED {
            self.done.pop_front();
        }
        self.done.push_back(waiting);
        true
    }
}
