//! What systems and the upstream hear about what they send.

use jiff::Timestamp;

use super::{Class, FUTURE_SKEW, Message, Place, Pulled, QUEUE_MESSAGES, Reference, Refused, STALE_AFTER, Says, Who};
use crate::names::MessageId;

/// A message that a system sends.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) sender: &'static str,
    pub(crate) id: MessageId,
    pub(crate) node: Option<&'static str>,
    pub(crate) end_of_life: Option<Timestamp>,
    pub(crate) what: What,
    pub(crate) attachments_wrong: bool,
    pub(crate) files: bool,
    pub(crate) schema_fits: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Request { kind: &'static str, north: bool },
    Answer { token: String, says: Says },
}

/// Where a message goes.
struct Way {
    to: Who,
    class: Class,
    kind: Option<&'static str>,
    node: Option<&'static str>,
    about: Option<usize>,
    original: Option<MessageId>,
    last: bool,
}

/// What the upstream hears about a message that was pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Placed(usize),
    Quarantined(usize),
    Duplicate,
}

const KINDS: [&str; 5] = ["plan", "pass", "both", "home", "lost"];

impl Reference {
    pub(crate) fn send(&mut self, sent: &Sent) -> Result<usize, Refused> {
        let way = self.allowed(sent)?;
        let request = way.class == Class::Request;
        let number = self.add(Message {
            id: Some(sent.id),
            to: Some(way.to),
            node: if request { sent.node } else { way.node },
            end_of_life: sent.end_of_life,
            about: way.about,
            original: way.original,
            has_exchange: request,
            ..self.message(way.class, way.kind, Who::System(sent.sender))
        });
        self.ids.insert(sent.id, sent.sender);
        if !sent.schema_fits {
            self.reject(number);
        } else if let (true, Some(request)) = (way.last, way.about) {
            self.close(request);
        }
        Ok(number)
    }

    /// The checks in the order in which a sender hears of them.
    fn allowed(&self, sent: &Sent) -> Result<Way, Refused> {
        if self.suspended.contains(sent.sender) {
            return Err("suspended");
        }
        let owner = self.ids.get(&sent.id);
        if owner.is_some_and(|owner| *owner != sent.sender) {
            return Err("foreign_id");
        }
        if self.is_behind() {
            return Err("unavailable");
        }
        let time = sent.id.time().unwrap();
        if time < self.latest - STALE_AFTER || time > self.latest + FUTURE_SKEW {
            return Err("stale_id");
        }
        if owner.is_some() {
            return Err("already_sent");
        }
        let way = match &sent.what {
            What::Request { kind, north } => self.way_of_request(Who::System(sent.sender), kind, *north)?,
            What::Answer { token, says } => self.way_of_answer(sent.sender, token, *says)?,
        };
        if sent.attachments_wrong {
            return Err("attachments_number");
        }
        if sent.files && way.to != Who::Upstream {
            return Err("file_references");
        }
        if sent.end_of_life.is_some_and(|end| end <= self.now) {
            return Err("end_of_life");
        }
        if self.is_full(&way, sent.sender) {
            return Err("queue_messages");
        }
        Ok(way)
    }

    fn is_full(&self, way: &Way, sender: &str) -> bool {
        let there = self.messages.iter().filter(|message| {
            let stands = matches!(message.place, Place::Waits | Place::HandedOut { .. });
            let same = match way.to {
                // Each sender has a share of an upstream's queue.
                Who::Upstream => Self::sender_of_lane(message) == Some(sender),
                _ => message.class == way.class && (way.class != Class::Answer || message.node == way.node),
            };
            stands && message.to == Some(way.to) && same
        });
        there.count() >= QUEUE_MESSAGES
    }

    fn way_of_request(&self, sender: Who, kind: &'static str, north: bool) -> Result<Way, Refused> {
        if !KINDS.contains(&kind) {
            return Err("unknown_kind");
        }
        if !self.may_request(sender, kind) {
            return Err("sender_without_grant");
        }
        let to = match kind {
            "plan" => Who::System("LAND"),
            "both" if !north => Who::System("LAND"),
            "both" | "pass" => Who::Upstream,
            "home" => return Err("local_kind"),
            _ => return Err("no_route"),
        };
        if !self.may_provide(to, kind) {
            return Err("recipient_without_grant");
        }
        Ok(Way {
            to,
            class: Class::Request,
            kind: Some(kind),
            node: None,
            about: None,
            original: None,
            last: false,
        })
    }

    fn way_of_answer(&self, provider: &'static str, token: &str, says: Says) -> Result<Way, Refused> {
        let kind = match says {
            Says::Payload(kind) | Says::RequestOf(kind) if !KINDS.contains(&kind) => return Err("unknown_kind"),
            Says::Payload(kind) => Some(kind),
            Says::RequestOf(_) => return Err("not_an_answer"),
            Says::Rejected | Says::Status => None,
            Says::Async { .. } => return Err("notice"),
        };
        let provider = Who::System(provider);
        if kind.is_some_and(|kind| !self.may_provide(provider, kind)) {
            return Err("unknown_token");
        }
        let mine = |request: &Message| {
            request.token.as_deref() == Some(token) && !request.forgotten && request.to == Some(provider)
        };
        let request = self.messages.iter().position(mine).ok_or("unknown_token")?;
        let asked = &self.messages[request];
        if asked.closed {
            return Err("already_answered");
        }
        match (kind, asked.kind) {
            (Some(kind), Some(expected)) if kind != expected => return Err("not_an_answer"),
            (None, Some(expected)) if !self.may_provide(provider, expected) => return Err("unknown_token"),
            _ => {}
        }
        Ok(self.back(request, says))
    }

    fn back(&self, request: usize, says: Says) -> Way {
        let asked = &self.messages[request];
        Way {
            to: asked.sender,
            class: Class::Answer,
            kind: asked.kind,
            node: asked.node,
            about: Some(request),
            original: asked.id,
            last: match says {
                Says::Payload(_) | Says::RequestOf(_) | Says::Rejected => true,
                Says::Status => false,
                Says::Async { rejection } => rejection,
            },
        }
    }

    /// A message that is pulled from the upstream, which cannot be refused.
    pub(crate) fn pull(&mut self, id: MessageId, pulled: Pulled, schema_fits: bool) -> Result<Kept, Refused> {
        if self.pulled.contains_key(&id) {
            return Ok(Kept::Duplicate);
        }
        if self.is_behind() {
            return Err("unavailable");
        }
        self.pulled.insert(id, None);
        let has_exchange = matches!(pulled, Pulled::Request { .. });
        let way = self.way_of_pulled(pulled);
        let placed = way.is_some() && schema_fits;
        let unknown = match pulled {
            Pulled::Request { kind } => (Class::Request, Some(kind).filter(|kind| KINDS.contains(kind))),
            Pulled::Answer { says, .. } => (
                Class::Answer,
                match says {
                    Says::Payload(kind) | Says::RequestOf(kind) => Some(kind).filter(|kind| KINDS.contains(kind)),
                    _ => None,
                },
            ),
        };
        let (class, kind) = way.as_ref().map_or(unknown, |way| (way.class, way.kind));
        let mut message = Message {
            id: Some(id),
            has_exchange,
            original: way.as_ref().and_then(|way| way.original),
            node: way.as_ref().and_then(|way| way.node),
            ..self.message(class, kind, Who::Upstream)
        };
        if !placed {
            message.place = Place::Quarantined;
            message.pulled = Some(pulled);
            return Ok(Kept::Quarantined(self.add(message)));
        }
        let Some(way) = way else { unreachable!("it has a place") };
        (message.to, message.about) = (Some(way.to), way.about);
        let number = self.add(message);
        if let (true, Some(request)) = (way.last, way.about) {
            self.close(request);
        }
        Ok(Kept::Placed(number))
    }

    fn way_of_pulled(&self, pulled: Pulled) -> Option<Way> {
        match pulled {
            Pulled::Request { kind } => {
                let way = self.way_of_request(Who::Upstream, kind, false).ok()?;
                (way.to != Who::Upstream).then_some(way)
            }
            Pulled::Answer { original, says } => {
                let went = |message: &Message| message.attempts.ids.contains(&original) && !message.forgotten;
                let about = self.messages.iter().rposition(went)?;
                let asked = &self.messages[about];
                if asked.sender == Who::Gateway {
                    return None;
                }
                if asked.class != Class::Request {
                    return Some(Way {
                        to: asked.sender,
                        class: Class::Status,
                        kind: asked.kind,
                        node: None,
                        about: Some(about),
                        original: asked.id,
                        last: false,
                    });
                }
                let fits = match says {
                    Says::Payload(kind) => asked.kind == Some(kind),
                    Says::RequestOf(_) => false,
                    _ => true,
                };
                (!asked.closed && fits).then(|| self.back(about, says))
            }
        }
    }

    /// Our Ack reached the upstream.
    pub(crate) fn pulled_acknowledged(&mut self, id: MessageId) {
        let now = self.now;
        if let Some(known) = self.pulled.get_mut(&id) {
            known.get_or_insert(now);
        }
    }

    /// An operator's decision about what has no place, or should have none.
    pub(crate) fn decide(&mut self, seq: u64, retry: bool) -> Result<(), Refused> {
        let number = self.find(seq).ok_or("standing")?;
        let message = self.messages[number].clone();
        match (retry, message.place) {
            (true, Place::Quarantined) if message.to.is_some() => {
                let message = &mut self.messages[number];
                message.place = Place::Waits;
                message.attempts.unknown = 0;
            }
            (true, Place::Quarantined) => {
                let way = message
                    .pulled
                    .and_then(|pulled| self.way_of_pulled(pulled))
                    .ok_or("unplaced")?;
                let retried = &mut self.messages[number];
                (retried.to, retried.class, retried.kind) = (Some(way.to), way.class, way.kind);
                (retried.about, retried.original) = (way.about, way.original);
                retried.node = if message.has_exchange { message.node } else { way.node };
                retried.pulled = None;
                retried.place = Place::Waits;
                if let (true, Some(request)) = (way.last, way.about) {
                    self.close(request);
                }
            }
            (false, Place::Quarantined) => self.reject(number),
            (false, Place::Waits) if message.attempts.surely_not_sent() => self.reject(number),
            _ => return Err("standing"),
        }
        Ok(())
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.closed()
    }
}
