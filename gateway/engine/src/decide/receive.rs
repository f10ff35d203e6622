//! Acceptance of what was pulled from an upstream. The upstream has promised it to us already, so nothing is refused:
//! what cannot be placed is accepted into quarantine.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::command::{
    Accepted, Answer, AnswerTo, Content, MessageType, PayloadRoot, Received, Refusal, RoutingFacts, SchemaVerdict,
};
use crate::error::IndexError;
use crate::event::{Placement, Role};
use crate::keys;
use crate::message::Pulled;
use crate::names::{MessageId, Party, UpstreamName};
use crate::offer::OfferedPull;

use super::{Context, Decision, accept, answer};

/// Decides about a pulled message; the upstream is its sender.
pub(crate) fn receive(context: &mut Context<'_, '_>, pulled: OfferedPull) -> Result<Decision<Received>, IndexError> {
    let OfferedPull {
        upstream,
        offer,
        facts,
        stored_facts,
    } = pulled;
    if context
        .state
        .get::<Pulled>(&keys::pulled(&upstream, offer.sent.id))?
        .is_some()
    {
        return Ok(Decision::nothing(Received::Duplicate));
    }
    if let Err(refusal) = accept::open(context, &offer) {
        return Ok(Decision::refuse(refusal));
    }
    if let Err(fault) = offer.attachments {
        return Ok(Decision::refuse(Refusal::Attachments(fault)));
    }
    let seq = context.next_seq;
    let token = matches!(offer.content, Content::Request { .. }).then(|| context.token());
    let placed = place(context, &upstream, &facts)?.and_then(|placement| match facts.schema_errors {
        0 => Ok(placement),
        n => Err(Unplaced {
            cause: format!("the payload does not fit its schema ({n} errors)"),
            role: Some(placement.role),
        }),
    });
    match placed {
        Ok(Placement { recipient, role }) => {
            let accepted = Accepted {
                seq,
                at: context.now,
                recipient: recipient.clone(),
                kind: role.kind.clone(),
                message_type: role.message_type,
            };
            let event = accept::planned(offer, Some(recipient), role, token, None);
            Ok(Decision {
                events: vec![event],
                answer: Ok(Received::Accepted(accepted)),
            })
        }
        Err(Unplaced { cause, role }) => {
            // It must be placed again when a person retries it: until then it answers nothing.
            let role = Role {
                about: None,
                closes: false,
                ..role.unwrap_or_else(|| unknown(context, &facts))
            };
            let event = accept::planned(offer, None, role, token, Some((cause.clone(), stored_facts)));
            Ok(Decision {
                events: vec![event],
                answer: Ok(Received::Quarantined { seq, cause }),
            })
        }
    }
}

/// Why a message has no place; `role` if it has one, but must not go there unasked.
pub(super) struct Unplaced {
    pub(super) cause: String,
    pub(super) role: Option<Role>,
}

impl From<String> for Unplaced {
    fn from(cause: String) -> Self {
        Self { cause, role: None }
    }
}

/// Finds the place of a pulled message.
pub(super) fn place(
    context: &Context<'_, '_>,
    upstream: &UpstreamName,
    facts: &Facts,
) -> Result<Result<Placement, Unplaced>, IndexError> {
    match (facts.is_answer, facts.original) {
        (false, _) => Ok(place_request(context, upstream, facts)),
        (true, Some(original)) => place_answer(context, upstream, original, facts),
        (true, None) => Ok(Err("the answer names no request".to_owned().into())),
    }
}

fn place_request(context: &Context<'_, '_>, upstream: &UpstreamName, facts: &Facts) -> Result<Placement, Unplaced> {
    let Some(root) = facts.root() else {
        return Err("the request has no payload".to_owned().into());
    };
    let sender = Party::Upstream(upstream.clone());
    let routing = facts.routing();
    let placement = accept::request(context, &sender, &root, &routing).map_err(|refusal| refusal.to_string())?;
    match &placement.recipient {
        Party::Upstream(to) => Err(format!("the route leads on to upstream {to}: no transit").into()),
        _ => Ok(placement),
    }
}

fn place_answer(
    context: &Context<'_, '_>,
    upstream: &UpstreamName,
    original: MessageId,
    facts: &Facts,
) -> Result<Result<Placement, Unplaced>, IndexError> {
    let unknown = || {
        Ok(Err(format!(
            "no message went to {upstream} under the identifier {original}"
        )
        .into()))
    };
    let Some(seq) = context.state.get::<u64>(&keys::northbound(upstream, original))? else {
        return unknown();
    };
    let Some(about) = context.state.message(seq)? else {
        return unknown();
    };
    if about.sender == Party::Gateway {
        // Nobody waits for it, and in no queue would anybody see it.
        return Ok(Err(format!(
            "it is about the gateway's own notice {}, of which no system knows",
            about.id
        )
        .into()));
    }
    if about.message_type != MessageType::Request {
        // A status about an answer of ours goes to the provider that gave the answer.
        return Ok(Ok(Placement {
            recipient: about.sender.clone(),
            role: Role {
                message_type: MessageType::Status,
                kind: about.kind.clone(),
                node: None,
                about: Some(seq),
                original: Some(about.id),
                closes: false,
            },
        }));
    }
    if about.exchange.as_ref().is_none_or(|exchange| exchange.closed.is_some()) {
        return Ok(Err(format!("the request {} is already answered", about.id).into()));
    }
    let answer = facts.answer();
    if let Answer::Payload(root) = &answer {
        match answer::payload_kind(context.registry, root) {
            Ok(kind) if Some(&kind) == about.kind.as_ref() => {}
            Ok(_) => return Ok(Err(answer::incorrect(root).to_string().into())),
            Err(refusal) => return Ok(Err(refusal.to_string().into())),
        }
    }
    Ok(Ok(answer::back(seq, &about, &answer)))
}

/// What little is known of a message without a place.
fn unknown(context: &Context<'_, '_>, facts: &Facts) -> Role {
    let kind = facts.root().and_then(|root| {
        let (kind, _) = context.registry.kind_by_root(&root.namespace, &root.local)?;
        Some(kind.name.clone())
    });
    let message_type = if facts.is_answer {
        MessageType::Response
    } else {
        MessageType::Request
    };
    Role {
        message_type,
        kind,
        node: None,
        about: None,
        original: None,
        closes: false,
    }
}

/// What placing a message needs: kept in the spool, because it holds values from the payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    is_answer: bool,
    original: Option<MessageId>,
    #[serde(default)]
    root: Option<(String, String)>,
    #[serde(default)]
    status: bool,
    #[serde(default)]
    rejection: Option<bool>,
    #[serde(default)]
    payload: BTreeMap<String, String>,
    #[serde(default)]
    dynamic: Vec<String>,
    #[serde(default)]
    identifier: Vec<String>,
    #[serde(default)]
    schema_errors: usize,
}

impl Facts {
    pub(crate) fn of(content: &Content) -> Self {
        let mut facts = Self {
            is_answer: matches!(content, Content::Response { .. }),
            original: None,
            root: None,
            status: false,
            rejection: None,
            payload: BTreeMap::new(),
            dynamic: Vec::new(),
            identifier: Vec::new(),
            schema_errors: 0,
        };
        let schema = match content {
            Content::Request { root, routing, schema } => {
                facts.root = Some((root.namespace.clone(), root.local.clone()));
                facts.payload.clone_from(&routing.payload);
                facts.dynamic.clone_from(&routing.dynamic);
                facts.identifier.clone_from(&routing.identifier);
                schema
            }
            Content::Response { to, answer, schema } => {
                facts.original = match to {
                    AnswerTo::Original(original) => Some(*original),
                    AnswerTo::Token(_) => None,
                };
                match answer {
                    Answer::Payload(root) => facts.root = Some((root.namespace.clone(), root.local.clone())),
                    Answer::Rejected => {}
                    Answer::Status => facts.status = true,
                    Answer::Async { rejection } => facts.rejection = Some(*rejection),
                }
                schema
            }
        };
        if let SchemaVerdict::Invalid(errors) = schema {
            facts.schema_errors = errors.len().max(1);
        }
        facts
    }

    fn root(&self) -> Option<PayloadRoot> {
        let (namespace, local) = self.root.clone()?;
        Some(PayloadRoot { namespace, local })
    }

    fn routing(&self) -> RoutingFacts {
        RoutingFacts {
            payload: self.payload.clone(),
            dynamic: self.dynamic.clone(),
            identifier: self.identifier.clone(),
        }
    }

    fn answer(&self) -> Answer {
        match (self.root(), self.rejection, self.status) {
            (Some(root), _, _) => Answer::Payload(root),
            (None, Some(rejection), _) => Answer::Async { rejection },
            (None, None, true) => Answer::Status,
            (None, None, false) => Answer::Rejected,
        }
    }
}
