//! What can go wrong on the bus, to be switched on and off while it runs.
//!
//! Every knob has a [`Scope`] (which calls) and [`Times`] (how many of them), and gives back a [`Knob`] that tells how
//! often it worked and can take it away:
//!
//! ```ignore
//! bus.knobs().lose_answers(Operation::SendRequest, 3);
//! bus.knobs().overflow(Operation::SendRequest.of_kind("urn://kind/1.0"), Times::Always);
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fault::Fault;
use crate::version::Operation;

/// Which calls a knob is about: all that match everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    operation: Option<Operation>,
    kind: Option<String>,
    sender: Option<String>,
}

impl Scope {
    /// Every call.
    pub fn any() -> Scope {
        Scope::default()
    }

    /// Only calls that send a payload of this namespace, or select it.
    #[must_use]
    pub fn of_kind(mut self, namespace: &str) -> Scope {
        self.kind = Some(namespace.to_owned());
        self
    }

    /// Only calls signed by this participant.
    #[must_use]
    pub fn from_participant(mut self, mnemonic: &str) -> Scope {
        self.sender = Some(mnemonic.to_owned());
        self
    }

    fn covers(&self, call: &CallFacts) -> bool {
        self.operation.is_none_or(|operation| operation == call.operation)
            && self.kind.as_ref().is_none_or(|kind| call.kind.as_ref() == Some(kind))
            && self
                .sender
                .as_ref()
                .is_none_or(|sender| call.sender.as_ref() == Some(sender))
    }
}

impl From<Operation> for Scope {
    fn from(operation: Operation) -> Scope {
        Scope {
            operation: Some(operation),
            ..Scope::default()
        }
    }
}

impl Operation {
    /// This operation with payloads of one namespace only.
    pub fn of_kind(self, namespace: &str) -> Scope {
        Scope::from(self).of_kind(namespace)
    }

    /// This operation called by one participant only.
    pub fn from_participant(self, mnemonic: &str) -> Scope {
        Scope::from(self).from_participant(mnemonic)
    }
}

/// How many calls a knob works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many, then no more.
    Count(u64),
    /// Until it is taken away.
    Always,
}

impl From<u64> for Times {
    fn from(count: u64) -> Times {
        Times::Count(count)
    }
}

impl From<i32> for Times {
    fn from(count: i32) -> Times {
        Times::Count(u64::try_from(count).unwrap_or(0))
    }
}

/// In which way the bus's signature is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongSignature {
    /// A sound signature by a key that nobody knows.
    OtherKey,
    /// The signature value does not match.
    BrokenValue,
    /// The digest does not match.
    BrokenDigest,
    /// No signature at all.
    Missing,
}

/// A knob that was turned.
#[derive(Debug, Clone)]
pub struct Knob(Arc<Rule>);

impl Knob {
    /// How many calls it worked on.
    pub fn worked(&self) -> u64 {
        self.0.worked.load(Ordering::SeqCst)
    }

    /// Turns it back.
    pub fn off(&self) {
        self.0.left.store(0, Ordering::SeqCst);
    }

    /// Whether it may still work.
    pub fn is_on(&self) -> bool {
        self.0.left.load(Ordering::SeqCst) > 0
    }
}

/// All knobs of a bus.
#[derive(Debug, Default)]
pub struct Knobs(Mutex<Vec<Arc<Rule>>>);

impl Knobs {
    /// Calls are carried out after a while.
    pub fn slow(&self, scope: impl Into<Scope>, delay: Duration, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::Slow(delay), times)
    }

    /// Calls are taken and neither carried out nor answered; the connection stays open.
    pub fn hang(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::Hang, times)
    }

    /// The connection closes before anything is carried out.
    pub fn drop_calls(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::DropCall, times)
    }

    /// Calls are carried out, then the connection closes without an answer. A repeated call counts again, whatever its
    /// answer would have been.
    pub fn lose_answers(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::LoseAnswer, times)
    }

    /// Calls are carried out, then the connection closes in the middle of the answer.
    pub fn half_answers(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::HalfAnswer, times)
    }

    /// Calls are refused with a fault; nothing is carried out.
    pub fn fault(&self, scope: impl Into<Scope>, fault: Fault, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::Fault(fault), times)
    }

    /// Calls are refused because the recipient's queue is full.
    pub fn overflow(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.fault(scope, Fault::overflow("delivery.emulated._REQUEST_"), times)
    }

    /// Calls are answered by a bare HTTP status, as by a proxy in between; nothing is carried out.
    pub fn http_status(&self, scope: impl Into<Scope>, status: u16, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::HttpStatus(status), times)
    }

    /// Calls are carried out and answered with status 200 and something that is no XML.
    pub fn garbage(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::Garbage, times)
    }

    /// Answers carry a bad signature of the bus. Calls whose answer has none do not count.
    pub fn wrong_signature(&self, scope: impl Into<Scope>, how: WrongSignature, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::WrongSignature(how), times)
    }

    /// Answers, faults and empty queues included, come as multipart, as the real bus sends them.
    pub fn multipart(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::Multipart, times)
    }

    /// Files stand in the answer as base64 text and not as parts of a multipart message.
    pub fn inline_files(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::InlineFiles, times)
    }

    /// GetRequest and GetResponse deliver again what the caller acknowledged last. Calls before any Ack do not count.
    pub fn deliver_again(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::DeliverAgain, times)
    }

    /// The bus forgets identifiers: a duplicate is accepted as if it were new. Only duplicates count.
    pub fn accept_duplicates(&self, scope: impl Into<Scope>, times: impl Into<Times>) -> Knob {
        self.turn(scope, Effect::AcceptDuplicate, times)
    }

    /// Turns every knob back.
    pub fn clear(&self) {
        for rule in self.lock().drain(..) {
            rule.left.store(0, Ordering::SeqCst);
        }
    }

    /// What is to happen to a call; the knobs that are used are used up.
    pub(super) fn plan(&self, call: &CallFacts) -> Plan {
        let mut rules = self.lock();
        rules.retain(|rule| rule.left.load(Ordering::SeqCst) > 0);
        let covering: Vec<Arc<Rule>> = rules
            .iter()
            .filter(|rule| rule.scope.covers(call))
            .map(Arc::clone)
            .collect();
        drop(rules);

        let mut plan = Plan::default();
        for rule in covering {
            match &rule.effect {
                Effect::Slow(delay) if rule.use_up() => plan.delay += *delay,
                Effect::Slow(_) => {}
                Effect::WrongSignature(_) => plan.signature.push(rule),
                Effect::DeliverAgain => plan.again.push(rule),
                Effect::AcceptDuplicate => plan.duplicates.push(rule),
                Effect::Multipart if rule.use_up() => plan.multipart = true,
                Effect::InlineFiles if rule.use_up() => plan.inline_files = true,
                Effect::Multipart | Effect::InlineFiles => {}
                _ if plan.trouble.is_none() && rule.use_up() => plan.trouble = Some(rule.effect.clone()),
                _ => {}
            }
        }
        plan
    }

    fn turn(&self, scope: impl Into<Scope>, effect: Effect, times: impl Into<Times>) -> Knob {
        let left = match times.into() {
            Times::Count(count) => count,
            Times::Always => u64::MAX,
        };
        let rule = Arc::new(Rule {
            scope: scope.into(),
            effect,
            left: left.into(),
            worked: 0.into(),
        });
        self.lock().push(Arc::clone(&rule));
        Knob(rule)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Rule>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a call before it is carried out.
#[derive(Debug)]
pub(super) struct CallFacts {
    pub(super) operation: Operation,
    pub(super) kind: Option<String>,
    pub(super) sender: Option<String>,
}

/// What the knobs want with one call.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) trouble: Option<Effect>,
    pub(super) multipart: bool,
    pub(super) inline_files: bool,
    signature: Vec<Arc<Rule>>,
    again: Vec<Arc<Rule>>,
    duplicates: Vec<Arc<Rule>>,
}

impl Plan {
    /// How the signature that is being made is to be bad.
    pub(super) fn wrong_signature(&self) -> Option<WrongSignature> {
        self.signature
            .iter()
            .find(|rule| rule.use_up())
            .and_then(|rule| match rule.effect {
                Effect::WrongSignature(how) => Some(how),
                _ => None,
            })
    }

    /// Whether the acknowledged message that was found is to be delivered again.
    pub(super) fn deliver_again(&self) -> bool {
        self.again.iter().any(|rule| rule.use_up())
    }

    /// Whether the duplicate that was found is to be accepted.
    pub(super) fn accept_duplicate(&self) -> bool {
        self.duplicates.iter().any(|rule| rule.use_up())
    }
}

#[derive(Debug, Clone)]
pub(super) enum Effect {
    Slow(Duration),
    Hang,
    DropCall,
    LoseAnswer,
    HalfAnswer,
    Fault(Fault),
    HttpStatus(u16),
    Garbage,
    WrongSignature(WrongSignature),
    Multipart,
    InlineFiles,
    DeliverAgain,
    AcceptDuplicate,
}

#[derive(Debug)]
struct Rule {
    scope: Scope,
    effect: Effect,
    left: AtomicU64,
    worked: AtomicU64,
}

impl Rule {
    /// Takes one of the times that are left. `u64::MAX` never runs out.
    fn use_up(&self) -> bool {
        let take = |left| {
            if left == u64::MAX {
                Some(left)
            } else {
                u64::checked_sub(left, 1)
            }
        };
        let used = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
        if used {
            self.worked.fetch_add(1, Ordering::SeqCst);
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(kind: &str) -> CallFacts {
        CallFacts {
            operation: Operation::SendRequest,
            kind: Some(kind.to_owned()),
            sender: Some("A".to_owned()),
        }
    }

    #[test]
    fn a_knob_works_on_its_calls_only_and_so_often_as_it_was_told() {
        let knobs = Knobs::default();
        let knob = knobs.overflow(Operation::SendRequest.of_kind("urn:one"), 2);
        assert!(knobs.plan(&send("urn:two")).trouble.is_none());
        let other = CallFacts {
            operation: Operation::Ack,
            kind: Some("urn:one".to_owned()),
            sender: None,
        };
        assert!(knobs.plan(&other).trouble.is_none());
        assert!(knobs.plan(&send("urn:one")).trouble.is_some());
        assert!(knobs.plan(&send("urn:one")).trouble.is_some());
        assert!(knobs.plan(&send("urn:one")).trouble.is_none());
        assert_eq!(knob.worked(), 2);
        assert!(!knob.is_on());
    }

    #[test]
    fn one_trouble_at_a_time_and_delays_beside_it() {
        let knobs = Knobs::default();
        let first = knobs.lose_answers(Scope::any(), 1);
        let second = knobs.half_answers(Scope::any(), 1);
        knobs.slow(Scope::any(), Duration::from_millis(5), Times::Always);
        let plan = knobs.plan(&send("urn:one"));
        assert!(matches!(plan.trouble, Some(Effect::LoseAnswer)));
        assert_eq!(plan.delay, Duration::from_millis(5));
        assert_eq!((first.worked(), second.worked()), (1, 0));
        knobs.clear();
        assert!(knobs.plan(&send("urn:one")).trouble.is_none());
    }
}
