//! From a command to events or a refusal: pure functions of state, command and time. Access, duplicates, freshness,
//! routing, quotas, leases and times to live are decided here and nowhere else (DESIGN §6, §7).

pub(crate) mod accept;
pub(crate) mod acknowledge;
pub(crate) mod answer;
pub(crate) mod clock;
pub(crate) mod deliver;
pub(crate) mod forward;
pub(crate) mod halts;
pub(crate) mod incident;
pub(crate) mod keeping;
pub(crate) mod notice;
pub(crate) mod quarantine;
pub(crate) mod receive;
pub(crate) mod restored;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod tick;

use jiff::Timestamp;
use journal::Prefix;

use crate::command::Refusal;
use crate::error::IndexError;
use crate::event::Event;
use crate::names::MessageId;
use crate::protection::SpoolBody;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::state::State;

/// What decisions may look at besides the command.
pub(crate) struct Context<'a, 'r> {
    pub(crate) state: &'a State<'r>,
    pub(crate) settings: &'a Settings,
    pub(crate) registry: &'a Registry,
    /// The moment that the events get.
    pub(crate) now: Timestamp,
    /// The later one of now and the last time in the journal: what freshness is measured with.
    pub(crate) latest: Timestamp,
    /// What the system's clock says, while it has jumped and is not believed too.
    pub(crate) wall: Timestamp,
    /// The sequence number that the first event gets.
    pub(crate) next_seq: u64,
    /// Why nothing new can be accepted at the moment, if so (I9).
    pub(crate) closed: Option<&'a str>,
    pub(crate) random: &'a mut dyn Random,
}

/// A source of randomness: the system's, or a test's.
pub(crate) trait Random {
    fn fill(&mut self, octets: &mut [u8]);
}

impl Context<'_, '_> {
    /// A fresh identifier of the gateway's own.
    pub(crate) fn fresh_id(&mut self) -> MessageId {
        let mut octets = [0; 8];
        self.random.fill(&mut octets);
        let [a, b, node @ ..] = octets;
        // The multicast bit marks a node that is not a network card (RFC 4122, 4.5).
        let node = [node[0] | 1, node[1], node[2], node[3], node[4], node[5]];
        let seconds = u64::try_from(self.now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(self.now.subsec_nanosecond()).unwrap_or(0);
        let counter = u128::from(u16::from_be_bytes([a & 0x3f, b]));
        let time = uuid::Timestamp::from_unix_time(seconds, nanos, counter, 14);
        MessageId::new(uuid::Uuid::new_v1(time, &node)).expect("new_v1 makes identifiers of version 1")
    }

    pub(crate) fn token(&mut self) -> [u8; 16] {
        let mut token = [0; 16];
        self.random.fill(&mut token);
        token
    }
}

/// Events to be made durable, and the answer to give then. A refusal may have events too: incidents.
#[derive(Debug)]
pub(crate) struct Decision<T> {
    pub(crate) events: Vec<Planned>,
    pub(crate) answer: Result<T, Refusal>,
}

/// An event whose bodies have no place yet.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) event: Event,
    /// The beginning of its record, if that was written ahead.
    pub(crate) beginning: Option<Box<Prefix>>,
    /// Message identifier and bodies for the spool; their places go into the event.
    pub(crate) bodies: Bodies,
}

/// Bodies that go with an accept event.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) parts: Vec<(u16, SpoolBody)>,
    pub(crate) note: Option<SpoolBody>,
    pub(crate) facts: Option<SpoolBody>,
    /// Of a message of the gateway: part 0 before it is sealed.
    pub(crate) notice: Option<Vec<u8>>,
}

impl From<Event> for Planned {
    fn from(event: Event) -> Self {
        Self {
            event,
            beginning: None,
            bodies: Bodies::default(),
        }
    }
}

impl<T> Decision<T> {
    pub(crate) fn refuse(refusal: Refusal) -> Self {
        Self {
            events: Vec::new(),
            answer: Err(refusal),
        }
    }

    /// One event without bodies, and its answer.
    pub(crate) fn one(event: Event, answer: T) -> Self {
        Self {
            events: vec![event.into()],
            answer: Ok(answer),
        }
    }

    pub(crate) fn nothing(answer: T) -> Self {
        Self {
            events: Vec::new(),
            answer: Ok(answer),
        }
    }
}

/// Why a decision ends early: with a refusal, or because the index cannot be read.
pub(crate) enum Stop {
    Refuse(Refusal),
    Index(IndexError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// A decision in which refusals may be returned early.
pub(crate) fn settle<T>(decided: Result<Decision<T>, Stop>) -> Result<Decision<T>, IndexError> {
    match decided {
        Ok(decision) => Ok(decision),
        Err(Stop::Refuse(refusal)) => Ok(Decision::refuse(refusal)),
        Err(Stop::Index(error)) => Err(error),
    }
}

/// `now + duration`, at most the end of time.
pub(crate) fn later(now: Timestamp, duration: jiff::SignedDuration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `now - duration`, at least the beginning of time.
pub(crate) fn earlier(now: Timestamp, duration: jiff::SignedDuration) -> Timestamp {
    now.checked_sub(duration).unwrap_or(Timestamp::MIN)
}
