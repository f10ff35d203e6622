//! A story as a timeline: what the time between two steps was spent on, and what became of each message. A pure function of
//! what the journal says.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::trace::TraceEntry;

/// A story told step by step.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Timeline {
    /// Every record of it, in order.
    pub steps: Vec<Step>,
    /// The messages that the records are about, in the order of their acceptance.
    pub lives: Vec<Life>,
}

/// A record, with the time before it.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The record.
    #[serde(flatten)]
    pub entry: TraceEntry,
    /// Which message of the story it is about: `request`, `response`, `status`; several of a sort are numbered.
    pub which: Option<String>,
    /// Milliseconds since the step before.
    pub after_ms: u64,
    /// Milliseconds since this message's last step, and what they were spent on.
    #[serde(flatten)]
    pub wait: Option<Wait>,
}

/// Time that a message spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// How long, in milliseconds.
    pub waited_ms: u64,
    /// On what.
    pub waited_for: Cause,
}

/// What a message's time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It waits until its receiver asks.
    Receiver,
    /// It was handed out and waits for the receiver's Ack.
    Acknowledgement,
    /// It was handed out, and the receiver did not acknowledge in time.
    LeaseExpired,
    /// It waits for its turn towards the upstream: others are before it, or no link is in use.
    Turn,
    /// It is being sent: the upstream has not answered yet.
    Upstream,
    /// The upstream could not be reached.
    LinkDown,
    /// Of an attempt nobody knows whether it arrived.
    UnknownOutcome,
    /// The upstream's queue was full.
    UpstreamFull,
    /// A person must decide.
    Person,
    /// It has ended, and its answer has not come.
    Answer,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Life {
    /// The record of its acceptance.
    pub seq: u64,
    /// As in [`Step::which`].
    pub which: String,
    /// Its identifier.
    pub id: String,
    /// Who sent it.
    pub sender: String,
    /// Who receives it; `-` if nobody knows.
    pub recipient: String,
    /// Its kind, if it has one.
    pub kind: Option<String>,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// How it ended, and when; none if it has not.
    pub ended: Option<(End, Timestamp)>,
    /// What it waits for now, if it has not ended, and since when.
    pub waits: Option<(Cause, Timestamp)>,
    /// What its time was spent on, longest first: milliseconds, and how often.
    pub spent: Vec<Spent>,
    /// The record of what it answers, or is about.
    pub about: Option<u64>,
    /// Of a request: whether its final answer is in the story.
    pub answered: bool,
}

/// Time spent on one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// On what.
    pub on: Cause,
    /// Milliseconds in all.
    pub ms: u64,
    /// How often.
    pub times: u32,
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its receiver acknowledged it.
    Acknowledged,
    /// Its receiver acknowledged it as not acceptable.
    Refused,
    /// It was handed out, and nothing is to be acknowledged.
    Delivered,
    /// The upstream has it.
    Forwarded,
    /// Its time to live passed.
    Expired,
    /// It was rejected: by the upstream, by a person, by its schema.
    Rejected,
}

/// Tells a story from its records, which must be in their order.
#[must_use]
pub fn timeline(entries: Vec<TraceEntry>) -> Timeline {
    let mut told = Timeline::default();
    let mut before: Option<Timestamp> = None;
    for entry in entries {
        let wait = match text(&entry.event, "type") {
            Some("accepted") => {
                told.accept(&entry);
                None
            }
            kind => kind.and_then(|kind| told.go_on(&entry, kind)),
        };
        let after_ms = before.map_or(0, |before| between(before, entry.at));
        before = Some(entry.at);
        let which = about(&entry).and_then(|seq| told.lives.iter().find(|life| life.seq == seq));
        told.steps.push(Step {
            which: which.map(|life| life.which.clone()),
            after_ms,
            wait,
            entry,
        });
    }
    for life in &mut told.lives {
        life.spent.sort_by_key(|spent| std::cmp::Reverse(spent.ms));
    }
    told
}

/// The message that a record is about.
fn about(entry: &TraceEntry) -> Option<u64> {
    match text(&entry.event, "type")? {
        "accepted" => Some(entry.seq),
        _ => number(&entry.event, "message").or_else(|| number(&entry.event, "about")),
    }
}

fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}

fn text<'e>(event: &'e Value, field: &str) -> Option<&'e str> {
    event.get(field)?.as_str()
}

fn number(event: &Value, field: &str) -> Option<u64> {
    event.get(field)?.as_u64()
}

/// A party as commands show it.
fn party(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Object(fields)) => match fields.iter().next() {
            Some((kind, Value::String(name))) if kind == "participant" => name.clone(),
            Some((kind, Value::String(name))) => format!("{kind}/{name}"),
            _ => "-".to_owned(),
        },
        _ => "-".to_owned(),
    }
}

/// What a message waits for that stands in a queue again or for the first time.
fn queued(recipient: &str) -> Cause {
    match recipient.starts_with("upstream/") {
        true => Cause::Turn,
        false => Cause::Receiver,
    }
}

impl Timeline {
    fn accept(&mut self, entry: &TraceEntry) {
        let event = &entry.event;
        let sort = text(event, "message_type").unwrap_or("message");
        let earlier = self.lives.iter().filter(|life| life.which.starts_with(sort)).count();
        let which = match earlier {
            0 => sort.to_owned(),
            earlier => format!("{sort} {}", earlier + 1),
        };
        let recipient = party(event.get("recipient"));
        let waits = match event.get("quarantine") {
            Some(Value::String(_)) => Cause::Person,
            _ => queued(&recipient),
        };
        let about = number(event, "about");
        let closes = event.get("closes").and_then(Value::as_bool).unwrap_or(false);
        if let Some(request) = about.and_then(|about| self.lives.iter_mut().find(|life| life.seq == about)) {
            request.answer(entry.at, closes);
        }
        self.lives.push(Life {
            seq: entry.seq,
            which,
            id: text(event, "id").unwrap_or_default().to_owned(),
            sender: party(event.get("sender")),
            recipient,
            kind: text(event, "kind").map(str::to_owned),
            accepted: entry.at,
            ended: None,
            waits: Some((waits, entry.at)),
            spent: Vec::new(),
            about,
            answered: false,
        });
    }

    /// A later step of a message: what the time before it was spent on.
    fn go_on(&mut self, entry: &TraceEntry, kind: &str) -> Option<Wait> {
        let about = about(entry)?;
        let life = self.lives.iter_mut().find(|life| life.seq == about)?;
        let event = &entry.event;
        let queue = queued(&life.recipient);
        let waited_for = match (kind, life.waits?.0) {
            ("lease_expired", _) => Cause::LeaseExpired,
            (_, waits) => waits,
        };
        let next = match kind {
            "handed_out" if event.get("until").is_none_or(Value::is_null) => Err(End::Delivered),
            "handed_out" => Ok(Cause::Acknowledgement),
            "lease_expired" => Ok(Cause::Receiver),
            "acknowledged" if event.get("accepted") == Some(&Value::Bool(false)) => Err(End::Refused),
            "acknowledged" => Err(End::Acknowledged),
            "expired" => Err(End::Expired),
            "schema_rejected" => Err(End::Rejected),
            "forward_started" => Ok(Cause::Upstream),
            "forward_outcome" => outcome(event.get("outcome")?),
            "quarantined" => Ok(Cause::Person),
            "decided" => match event.get("decision") {
                Some(Value::Object(decision)) if decision.contains_key("reject") => Err(End::Rejected),
                Some(Value::Object(decision)) => {
                    let place = decision.get("place")?;
                    life.recipient = party(place.get("recipient"));
                    Ok(queued(&life.recipient))
                }
                _ => Ok(queue),
            },
            // What is done with its body is no step of its way.
            _ => return None,
        };
        let wait = life.spend(waited_for, entry.at)?;
        match next {
            Ok(cause) => life.waits = Some((cause, entry.at)),
            Err(end) => {
                life.ended = Some((end, entry.at));
                let awaits = life.which.starts_with("request") && !life.answered;
                let delivered = matches!(end, End::Acknowledged | End::Forwarded);
                life.waits = (awaits && delivered).then_some((Cause::Answer, entry.at));
            }
        }
        Some(wait)
    }
}

/// What an attempt leads to.
fn outcome(outcome: &Value) -> Result<Cause, End> {
    let word = match outcome {
        Value::String(word) => word.as_str(),
        Value::Object(fields) => fields.keys().next().map_or("", String::as_str),
        _ => "",
    };
    match word {
        "accepted" | "already_sent" => Err(End::Forwarded),
        "rejected" => Err(End::Rejected),
        "not_sent" => Ok(Cause::LinkDown),
        "slow_down" => Ok(Cause::UpstreamFull),
        "quarantined" => Ok(Cause::Person),
        "renew" => Ok(Cause::Turn),
        _ => Ok(Cause::UnknownOutcome),
    }
}

impl Life {
    /// Time goes by until a moment; none if it waited for nothing.
    fn spend(&mut self, on: Cause, until: Timestamp) -> Option<Wait> {
        let (_, since) = self.waits?;
        let waited_ms = between(since, until);
        match self.spent.iter_mut().find(|spent| spent.on == on) {
            Some(spent) => {
                spent.ms += waited_ms;
                spent.times += 1;
            }
            None => self.spent.push(Spent {
                on,
                ms: waited_ms,
                times: 1,
            }),
        }
        Some(Wait {
            waited_ms,
            waited_for: on,
        })
    }

    /// Something about it came.
    fn answer(&mut self, at: Timestamp, closes: bool) {
        if let Some((Cause::Answer, _)) = self.waits {
            self.spend(Cause::Answer, at);
            self.waits = (!closes).then_some((Cause::Answer, at));
        }
        self.answered |= closes;
    }
}
