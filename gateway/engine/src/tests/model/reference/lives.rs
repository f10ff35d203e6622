//! What receivers hear, and what time brings.

use super::{
    BODIES, Class, EXCHANGE, GRACE, Message, Place, REDELIVERY, Reference, Refused, STALE_AFTER, TIME_TO_LIVE, Who,
};
use crate::names::MessageId;

/// A queue of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inbox {
    Requests,
    Answers(Option<&'static str>),
    Status,
}

impl Reference {
    /// The next message of a queue; of one kind, if it is named.
    pub(crate) fn take(
        &mut self,
        who: &'static str,
        from: Inbox,
        kind: Option<&'static str>,
    ) -> Result<Option<usize>, Refused> {
        if self.suspended.contains(who) {
            return Err("suspended");
        }
        let allowed = |this: &Self, kind: &str| match from {
            Inbox::Requests | Inbox::Status => this.may_provide(Who::System(who), kind),
            Inbox::Answers(_) => this.may_request(Who::System(who), kind),
        };
        if kind.is_some_and(|kind| kind == "none" || !allowed(self, kind)) {
            return Err("unknown_message_type");
        }
        let queue = match from {
            Inbox::Requests => format!("{who}/requests"),
            Inbox::Answers(None) => format!("{who}/responses"),
            Inbox::Answers(Some(node)) => format!("{who}/responses/{node}"),
            Inbox::Status => format!("{who}/status"),
        };
        if self.paused.contains(queue.as_str()) {
            return Ok(None);
        }
        // What is withheld holds up its kind, and nothing else.
        let mut withheld = Vec::new();
        for number in self.queues().remove(&queue).unwrap_or_default() {
            let message = &self.messages[number];
            if message.place != Place::Waits
                || kind.is_some_and(|kind| message.kind != Some(kind))
                || withheld.contains(&message.kind)
            {
                continue;
            }
            if message.sender != Who::Gateway && message.kind.is_some_and(|kind| !allowed(self, kind)) {
                withheld.push(message.kind);
                continue;
            }
            if message.end_of_life.is_some_and(|end| end <= self.now) {
                self.reject(number);
                continue;
            }
            let until = self.now + REDELIVERY;
            match from {
                Inbox::Status => self.end(number),
                _ => self.messages[number].place = Place::HandedOut { until },
            }
            self.messages[number].was_handed_out = true;
            return Ok(Some(number));
        }
        Ok(None)
    }

    /// An Ack: for which message, and whether it comes late.
    pub(crate) fn acknowledge(&mut self, who: &'static str, target: MessageId) -> Result<(usize, bool), Refused> {
        if self.suspended.contains(who) {
            return Err("suspended");
        }
        let open = |message: &Message| {
            message.id == Some(target)
                && message.to == Some(Who::System(who))
                && message.was_handed_out
                && message.place != Place::Ended
        };
        let mut handed_out = self.messages.iter().enumerate().filter(|(_, message)| open(message));
        let (number, message) = handed_out.next_back().ok_or("target_not_found")?;
        let late = !matches!(message.place, Place::HandedOut { until } if until > self.now);
        self.end(number);
        Ok((number, late))
    }

    /// One look at the clock: leases run out, lives end, what is due is forgotten. What the one brings about, the next look
    /// sees.
    pub(crate) fn tick(&mut self) {
        let before = self.messages.clone();
        for (number, message) in before.iter().enumerate() {
            if matches!(message.place, Place::HandedOut { until } if until <= self.now) {
                self.messages[number].place = Place::Waits;
            }
        }
        for number in self.expired(&before) {
            self.reject(number);
        }
        for (number, message) in before.iter().enumerate() {
            let Some((ended, over)) = message.ended.zip(message.over) else {
                continue;
            };
            if ended <= self.now - BODIES {
                self.messages[number].bodies = false;
            }
            let kept = if message.has_exchange && !message.closed {
                EXCHANGE
            } else {
                GRACE
            };
            if over <= self.now - kept {
                self.messages[number].forgotten = true;
            }
        }
        let remembered = self.latest - STALE_AFTER;
        self.ids.retain(|id, _| id.time().unwrap() >= remembered);
        let known = self.now - GRACE;
        self.pulled
            .retain(|_, acknowledged| acknowledged.is_none_or(|at| at > known));
    }

    /// What has lived long enough, in the order in which its senders are told: first by its own end of life, then by the
    /// default, lane by lane.
    fn expired(&self, messages: &[Message]) -> Vec<usize> {
        let may_end = |message: &Message| message.place == Place::Waits && message.attempts.surely_not_sent();
        let numbered = || messages.iter().enumerate().filter(|(_, message)| message.to.is_some());
        let mut own: Vec<_> = numbered()
            .filter_map(|(number, message)| Some((message.end_of_life?, number)))
            .filter(|(end, number)| *end <= self.now && may_end(&messages[*number]))
            .collect();
        own.sort();
        let mut lanes: Vec<_> = numbered()
            .filter(|(_, message)| message.place == Place::Waits)
            .map(|(number, message)| (Self::queue(message), Self::lane(message), number))
            .collect();
        lanes.sort();
        let oldest = self.now - TIME_TO_LIVE;
        let mut young: Option<(Option<String>, String)> = None;
        let mut by_default = Vec::new();
        for (queue, lane, number) in lanes {
            let message = &messages[number];
            let here = Some((queue, lane));
            // Behind the first that is young enough nobody looks.
            if young == here {
                continue;
            }
            if message.accepted_at > oldest {
                young = here;
            } else if message.end_of_life.is_none() && may_end(message) {
                by_default.push(number);
            }
        }
        own.into_iter().map(|(_, number)| number).chain(by_default).collect()
    }

    /// Whether the answer to a message, or the message itself, is shown with the request's note.
    pub(crate) fn shows_note(&self, number: usize) -> bool {
        let message = &self.messages[number];
        if message.class == Class::Request {
            return true;
        }
        let there = |number: usize| Some(number).filter(|number| !self.messages[*number].forgotten);
        let Some(about) = message.about.and_then(there) else {
            return false;
        };
        if self.messages[about].class == Class::Request {
            return true;
        }
        self.messages[about].about.and_then(there).is_some()
    }
}
