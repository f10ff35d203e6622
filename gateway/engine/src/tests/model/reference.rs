//! What the engine should be, as plain as it can be said: a list of messages, looked through from the beginning for every
//! question. It shares no rule with the engine, only the words of commands and answers.

mod answers;
mod lives;
mod north;

pub(super) use answers::{Kept, Sent, What};
pub(super) use lives::Inbox;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::names::MessageId;

pub(super) const REDELIVERY: SignedDuration = SignedDuration::from_mins(15);
pub(super) const STALE_AFTER: SignedDuration = SignedDuration::from_hours(48);
pub(super) const FUTURE_SKEW: SignedDuration = SignedDuration::from_mins(15);
pub(super) const TIME_TO_LIVE: SignedDuration = SignedDuration::from_hours(72);
pub(super) const BODIES: SignedDuration = SignedDuration::from_hours(24);
/// Longer than bodies are kept, so that it decides how long messages are.
pub(super) const GRACE: SignedDuration = SignedDuration::from_hours(48);
pub(super) const EXCHANGE: SignedDuration = SignedDuration::from_hours(96);
pub(super) const QUEUE_MESSAGES: usize = 6;
/// How far the clock may stand behind.
const BEHIND: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    System(&'static str),
    Upstream,
    Gateway,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Answer,
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Waits,
    HandedOut { until: Timestamp },
    Quarantined,
    Ended,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Payload(&'static str),
    /// A payload whose root is that of a request.
    RequestOf(&'static str),
    Rejected,
    Status,
    Async {
        rejection: bool,
    },
}

/// What a pulled message without a place is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pulled {
    Request { kind: &'static str },
    Answer { original: MessageId, says: Says },
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Not known of notices until they are seen.
    pub(super) seq: Option<u64>,
    pub(super) id: Option<MessageId>,
    pub(super) class: Class,
    pub(super) kind: Option<&'static str>,
    pub(super) sender: Who,
    pub(super) to: Option<Who>,
    pub(super) node: Option<&'static str>,
    /// In whose place the gateway's own notice travels.
    pub(super) on_behalf: Option<&'static str>,
    pub(super) accepted_at: Timestamp,
    pub(super) end_of_life: Option<Timestamp>,
    pub(super) about: Option<usize>,
    pub(super) original: Option<MessageId>,
    pub(super) place: Place,
    pub(super) was_handed_out: bool,
    /// The random part of the token is known to the model when the request was handed out.
    pub(super) token: Option<String>,
    pub(super) has_exchange: bool,
    pub(super) closed: bool,
    pub(super) attempts: Attempts,
    pub(super) pulled: Option<Pulled>,
    /// When it, and when its exchange, came to an end: the later of these events.
    pub(super) over: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
    pub(super) bodies: bool,
    pub(super) forgotten: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Attempts {
    pub(super) started: u32,
    pub(super) ids: Vec<MessageId>,
    pub(super) last_id: Option<MessageId>,
    pub(super) open: bool,
    /// One may have arrived without our knowing.
    pub(super) uncertain: bool,
    pub(super) unknown: u32,
}

impl Attempts {
    pub(super) fn surely_not_sent(&self) -> bool {
        !self.open && !self.uncertain
    }
}

/// A refusal in one word.
pub(super) type Refused = &'static str;

pub(super) struct Reference {
    pub(super) now: Timestamp,
    /// The latest moment that there ever was.
    pub(super) latest: Timestamp,
    pub(super) messages: Vec<Message>,
    /// Identifiers of systems, while they are remembered.
    pub(super) ids: BTreeMap<MessageId, &'static str>,
    /// Identifiers of the upstream, and when our Ack reached it.
    pub(super) pulled: BTreeMap<MessageId, Option<Timestamp>>,
    /// Withdrawn: CITY's permission to request `plan`, LAND's to provide it.
    pub(super) may_not_request: bool,
    pub(super) may_not_provide: bool,
    /// What persons have brought to a halt.
    pub(super) suspended: BTreeSet<&'static str>,
    pub(super) paused: BTreeSet<&'static str>,
}

impl Reference {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            latest: now,
            messages: Vec::new(),
            ids: BTreeMap::new(),
            pulled: BTreeMap::new(),
            may_not_request: false,
            may_not_provide: false,
            suspended: BTreeSet::new(),
            paused: BTreeSet::new(),
        }
    }

    pub(super) fn suspend(&mut self, who: &'static str, on: bool) -> Result<(), Refused> {
        Self::mark(&mut self.suspended, who, on)
    }

    pub(super) fn pause(&mut self, queue: &'static str, on: bool) -> Result<(), Refused> {
        Self::mark(&mut self.paused, queue, on)
    }

    fn mark(marks: &mut BTreeSet<&'static str>, what: &'static str, on: bool) -> Result<(), Refused> {
        let changed = if on { marks.insert(what) } else { marks.remove(what) };
        changed.then_some(()).ok_or("not_done")
    }

    /// Nothing new is accepted while the clock stands behind.
    fn closed(&self) -> bool {
        self.latest.duration_since(self.now) > BEHIND
    }

    pub(super) fn may_request(&self, who: Who, kind: &str) -> bool {
        match who {
            Who::System("CITY") => kind != "plan" || !self.may_not_request,
            Who::System("TOWN") => kind == "pass",
            Who::System(_) | Who::Gateway => false,
            Who::Upstream => kind == "plan",
        }
    }

    pub(super) fn may_provide(&self, who: Who, kind: &str) -> bool {
        match who {
            Who::System("LAND") => kind == "both" || kind == "plan" && !self.may_not_provide,
            Who::System(_) | Who::Gateway => false,
            Who::Upstream => true,
        }
    }

    /// The queue in which a message stands, if it has a receiver.
    pub(super) fn queue(message: &Message) -> Option<String> {
        Some(match (message.to?, message.class, message.node) {
            (Who::System(who), Class::Request, _) => format!("{who}/requests"),
            (Who::System(who), Class::Answer, None) => format!("{who}/responses"),
            (Who::System(who), Class::Answer, Some(node)) => format!("{who}/responses/{node}"),
            (Who::System(who), Class::Status, _) => format!("{who}/status"),
            (Who::Upstream, ..) => "upstream/federal".to_owned(),
            (Who::Gateway, ..) => return None,
        })
    }

    /// The unit of order within a queue.
    pub(super) fn lane(message: &Message) -> String {
        let kind = message.kind.unwrap_or_default();
        match (message.to, Self::sender_of_lane(message)) {
            (Some(Who::Upstream), Some(sender)) => format!("{sender}/{kind}"),
            _ => kind.to_owned(),
        }
    }

    pub(super) fn sender_of_lane(message: &Message) -> Option<&'static str> {
        message.on_behalf.or(match message.sender {
            Who::System(sender) => Some(sender),
            _ => None,
        })
    }

    /// What stands in the queues, by their names, in order.
    pub(super) fn queues(&self) -> BTreeMap<String, Vec<usize>> {
        let mut queues: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, message) in self.messages.iter().enumerate() {
            if matches!(message.place, Place::Waits | Place::HandedOut { .. }) {
                queues.entry(Self::queue(message).unwrap()).or_default().push(number);
            }
        }
        queues
    }

    pub(super) fn find(&self, seq: u64) -> Option<usize> {
        self.messages
            .iter()
            .position(|message| message.seq == Some(seq) && !message.forgotten)
    }

    fn add(&mut self, message: Message) -> usize {
        self.messages.push(message);
        self.messages.len() - 1
    }

    /// A message that is over.
    fn end(&mut self, number: usize) {
        let now = self.now;
        let message = &mut self.messages[number];
        message.place = Place::Ended;
        message.ended = Some(now);
        message.over = Some(now);
        message.attempts.open = false;
    }

    /// An exchange that has its final answer.
    fn close(&mut self, number: usize) {
        let now = self.now;
        let message = &mut self.messages[number];
        if message.has_exchange && !message.closed && !message.forgotten {
            message.closed = true;
            if message.place == Place::Ended {
                message.over = Some(now);
            }
        }
    }

    /// A message that never reaches its receiver, and what its sender is told.
    fn reject(&mut self, number: usize) {
        self.messages[number].closed |= self.messages[number].class == Class::Request;
        self.end(number);
        self.tell(number);
    }

    /// The notice about a message that was rejected.
    fn tell(&mut self, number: usize) {
        let about = self.messages[number].clone();
        let (to, class) = match (about.sender, about.class) {
            (Who::Gateway, _) | (_, Class::Status) | (Who::Upstream, Class::Answer) => return,
            (sender, Class::Request) => (sender, Class::Answer),
            (sender, Class::Answer) => (sender, Class::Status),
        };
        if about.kind.is_none() && to == Who::Upstream {
            return;
        }
        let on_behalf = match (to, about.to) {
            (Who::Upstream, Some(Who::System(provider))) => Some(provider),
            (Who::Upstream, _) => Some("RSMEV73"),
            _ => None,
        };
        let notice = Message {
            seq: None,
            id: None,
            sender: Who::Gateway,
            to: Some(to),
            on_behalf,
            node: about.node.filter(|_| class == Class::Answer),
            about: Some(number),
            original: about.id,
            ..self.message(class, about.kind, Who::Gateway)
        };
        self.add(notice);
    }

    fn message(&self, class: Class, kind: Option<&'static str>, sender: Who) -> Message {
        Message {
            seq: None,
            id: None,
            class,
            kind,
            sender,
            to: None,
            node: None,
            on_behalf: None,
            accepted_at: self.now,
            end_of_life: None,
            about: None,
            original: None,
            place: Place::Waits,
            was_handed_out: false,
            token: None,
            has_exchange: false,
            closed: false,
            attempts: Attempts::default(),
            pulled: None,
            over: None,
            ended: None,
            bodies: true,
            forgotten: false,
        }
    }
}
