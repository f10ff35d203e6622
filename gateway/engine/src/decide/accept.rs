//! Acceptance of what a participant sends. The checks stand in the order of DESIGN §6; the door made those before them.

use jiff::Timestamp;

use crate::command::{
    Accepted, AnswerTo, Content, MessageType, NoRecipient, NoticeReason, PayloadRoot, QueueLimit, Refusal,
    RoutingFacts, SchemaVerdict,
};
use crate::error::IndexError;
use crate::event::{AcceptedMessage, Admission, BodyName, Event, Placement, Role};
use crate::keys;
use crate::message::{self, Attempts, Message, State as Life};
use crate::names::{MessageId, Mnemonic, Party, Queue};
use crate::offer::Offer;
use crate::protection::SpoolBody;

use super::{Bodies, Context, Decision, Planned, Stop, answer, earlier, halts, later, notice, settle};

/// Decides about a message from a participant.
pub(crate) fn accept(context: &mut Context<'_, '_>, offer: Offer) -> Result<Decision<Accepted>, IndexError> {
    if let Some(refusal) = halts::suspended_party(context, &offer.sent.sender) {
        return Ok(Decision::refuse(refusal));
    }
    let known = context.state.get::<(u64, Mnemonic)>(&keys::identifier(offer.sent.id))?;
    match (&offer.sent.sender, known) {
        (Party::Participant(sender), Some((_, owner))) if *sender != owner => {
            Ok(foreign_identifier(sender, offer.sent.id, &owner))
        }
        (_, known) => settle(decide(context, offer, known.is_some())),
    }
}

fn decide(context: &mut Context<'_, '_>, offer: Offer, known: bool) -> Result<Decision<Accepted>, Stop> {
    let Party::Participant(sender) = offer.sent.sender.clone() else {
        return Err(Refusal::Unavailable("only participants send through a door".to_owned()).into());
    };
    open(context, &offer)?;
    fresh(context, offer.sent.id, known)?;
    let (mut placement, schema) = match &offer.content {
        Content::Request { root, routing, schema } => {
            (request(context, &offer.sent.sender, root, routing)?, schema.clone())
        }
        Content::Response {
            to: AnswerTo::Token(token),
            answer,
            schema,
        } => (answer::by_token(context, &sender, token, answer)?, schema.clone()),
        Content::Response {
            to: AnswerTo::Original(_),
            ..
        } => {
            return Err(Refusal::from(NoRecipient::UnknownToken).into());
        }
    };
    offer.attachments.map_err(Refusal::Attachments)?;
    if offer.file_references && matches!(placement.recipient, Party::Participant(_)) {
        return Err(Refusal::FileReferences.into());
    }
    alive(context, &offer)?;
    room(context, &placement, &offer, &sender)?;

    let seq = context.next_seq;
    let answer = Accepted {
        seq,
        at: context.now,
        recipient: placement.recipient.clone(),
        kind: placement.role.kind.clone(),
        message_type: placement.role.message_type,
    };
    let token = (placement.role.message_type == MessageType::Request).then(|| context.token());
    if matches!(schema, SchemaVerdict::Invalid(_)) {
        // It never reaches its receiver, so that it cannot end the exchange either.
        placement.role.closes = false;
    }
    let rejection = match schema {
        SchemaVerdict::Invalid(errors) => {
            let message = outline(&offer, &placement);
            let details = "The content does not fit the schema of its kind";
            let reason = NoticeReason::InvalidContent;
            let notice = notice::rejection(context, seq, &message, reason, details, errors);
            [Some(Event::SchemaRejected { message: seq }.into()), notice]
        }
        SchemaVerdict::NotChecked | SchemaVerdict::Valid => [None, None],
        SchemaVerdict::Unusable => {
            return Err(Refusal::Unavailable("the schema of the kind cannot be used".to_owned()).into());
        }
    };
    let accepted = planned(offer, Some(placement.recipient), placement.role, token, None);
    let events = std::iter::once(accepted)
        .chain(rejection.into_iter().flatten())
        .collect();
    Ok(Decision {
        events,
        answer: Ok(answer),
    })
}

/// I9: when nothing can be promised, nothing is accepted.
pub(super) fn open(context: &Context<'_, '_>, offer: &Offer) -> Result<(), Refusal> {
    if let Some(why) = context.closed {
        return Err(Refusal::Unavailable(why.to_owned()));
    }
    if offer.parts.iter().any(|(number, _)| *number > BodyName::LAST_PART) {
        return Err(Refusal::Unavailable("too many parts".to_owned()));
    }
    Ok(())
}

fn fresh(context: &Context<'_, '_>, id: MessageId, known: bool) -> Result<(), Stop> {
    let time = id.time().unwrap_or(Timestamp::MIN);
    let oldest = earlier(context.latest, context.settings.stale_after);
    // If it is the gateway's clock that was wrong until now, senders are not to suffer for it.
    let present = context.latest.max(context.wall);
    // What was forgotten while the clock was wrong may have been accepted, however young it is by the right one.
    let forgotten: Option<Vec<u8>> = context.state.get(&keys::identifiers_forgotten())?;
    let forgotten = forgotten.is_some_and(|last| keys::identifier(id).as_slice() <= last.as_slice());
    if forgotten || time < oldest || time > later(present, context.settings.future_skew) {
        return Err(Refusal::StaleMessageId { id, time }.into());
    }
    if known {
        Err(Refusal::AlreadySent(id).into())
    } else {
        Ok(())
    }
}

/// Somebody uses an identifier that belongs to another sender: refused with an incident, whatever else is wrong.
fn foreign_identifier(sender: &Mnemonic, id: MessageId, owner: &Mnemonic) -> Decision<Accepted> {
    let text = format!("{sender} used the identifier {id}, which belongs to a message of {owner}");
    let incident = Event::Incident {
        kind: "foreign_id".to_owned(),
        text,
    };
    Decision {
        events: vec![incident.into()],
        answer: Err(Refusal::ForeignId(id)),
    }
}

/// Kind, access and route of a request.
pub(super) fn request(
    context: &Context<'_, '_>,
    sender: &Party,
    root: &PayloadRoot,
    facts: &RoutingFacts,
) -> Result<Placement, Refusal> {
    let (kind, recipient) = context.registry.admit(sender, root, facts)?;
    Ok(Placement {
        recipient,
        role: Role {
            message_type: MessageType::Request,
            kind: Some(kind.name.clone()),
            node: None,
            about: None,
            original: None,
            closes: false,
        },
    })
}

fn alive(context: &Context<'_, '_>, offer: &Offer) -> Result<(), Refusal> {
    match offer.sent.end_of_life {
        Some(end) if end <= context.now => Err(Refusal::EndOfLife(end)),
        _ => Ok(()),
    }
}

/// The quota: of a participant's queue, or of this sender's share of an upstream's queue.
fn room(context: &Context<'_, '_>, placement: &Placement, offer: &Offer, sender: &Mnemonic) -> Result<(), Stop> {
    let Placement { recipient, role } = placement;
    let Some(queue) = message::queue(recipient, role.message_type, role.node.as_ref()) else {
        return Ok(());
    };
    let key = match &queue {
        Queue::Upstream(_) => keys::count_sender(&queue, sender.as_str()),
        _ => keys::count_queue(&queue),
    };
    let counters = context.state.counters(&key)?;
    let octets: u64 = offer.parts.iter().map(|(_, body)| body.octets.len() as u64).sum();
    let settings = context.settings;
    let limit = if counters.messages >= settings.queue_messages {
        QueueLimit::Messages(settings.queue_messages)
    } else if counters.bytes.saturating_add(octets) > settings.queue_bytes {
        QueueLimit::Octets(settings.queue_bytes)
    } else {
        return Ok(());
    };
    Err(Refusal::Overflow { queue, limit }.into())
}

/// The accept event and its bodies.
pub(super) fn planned(
    offer: Offer,
    recipient: Option<Party>,
    role: Role,
    token: Option<[u8; 16]>,
    quarantine: Option<(String, SpoolBody)>,
) -> Planned {
    let (quarantine, facts) = quarantine.unzip();
    let node = if role.message_type == MessageType::Request {
        offer.node
    } else {
        role.node
    };
    let admission = Admission {
        recipient,
        role: Role { node, ..role },
        on_behalf: None,
        parts: Vec::new(),
        note: None,
        facts: None,
        sealed: false,
        token,
        quarantine,
    };
    let bodies = Bodies {
        parts: offer.parts,
        note: offer.exchange_note,
        facts,
        notice: None,
    };
    let sent = offer.sent;
    Planned {
        event: Event::Accepted(Box::new(AcceptedMessage { sent, admission })),
        beginning: offer.beginning,
        bodies,
    }
}

/// The message as far as queues and notices care, before it exists.
fn outline(offer: &Offer, placement: &Placement) -> Message {
    let Placement { recipient, role } = placement;
    let node = if role.message_type == MessageType::Request {
        &offer.node
    } else {
        &role.node
    };
    Message {
        id: offer.sent.id,
        message_type: role.message_type,
        sender: offer.sent.sender.clone(),
        remote_sender: None,
        recipient: Some(recipient.clone()),
        kind: role.kind.clone(),
        node: node.clone(),
        on_behalf: None,
        reference: offer.sent.reference,
        format: String::new(),
        parts: Vec::new(),
        note: None,
        facts: None,
        sealed: false,
        bytes: 0,
        accepted_at: crate::message::Micros(0),
        end_of_life: None,
        test: offer.sent.test,
        about: role.about,
        original: role.original,
        state: Life::Waiting,
        handed_out: false,
        attempts: Attempts::default(),
        exchange: None,
    }
}
