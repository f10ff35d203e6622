//! Handing messages out.

use crate::command::{BodyRef, Delivery, MessageType, PayloadRoot, Refusal, Take, TakeFrom};
use crate::error::IndexError;
use crate::event::{BodyName, Event};
use crate::keys;
use crate::message::{Message, Micros};
use crate::names::{KindName, Party, Queue};
use crate::registry::{Kind, May, Registry};
use crate::state::{Head, State};

use super::{Context, Decision, answer, halts, later, tick};

/// Messages past their end of life that one Get* may find and end before it gives up; the rest is the tick's.
const EXPIRED_AT_ONCE: usize = 32;

/// Decides which message a Get* gets: the oldest of its queue, or of one kind's lane.
pub(crate) fn take(context: &mut Context<'_, '_>, take: &Take) -> Result<Decision<Option<Delivery>>, IndexError> {
    if let Some(refusal) = halts::suspended(context, &take.participant) {
        return Ok(Decision::refuse(refusal));
    }
    let queue = queue(take);
    let lane = match selected_kind(context, take) {
        Ok(lane) => lane,
        Err(refusal) => return Ok(Decision::refuse(refusal)),
    };
    if context.registry.halts().paused(&queue).is_some() {
        return Ok(Decision::nothing(None));
    }
    let mut candidates = Candidates::new(context.state, &queue, lane.as_ref())?;
    let mut events = Vec::new();
    for _ in 0..EXPIRED_AT_ONCE {
        let Some((head, message)) = candidates.next(context, take)? else {
            break;
        };
        let seq = head.seq;
        if message.end_of_life.is_some_and(|end| end <= Micros::from(context.now)) {
            events.extend(tick::expire(context, seq, &message));
            candidates.advance(context.state, &head)?;
            continue;
        }
        let until = match take.from {
            TakeFrom::Status => None,
            TakeFrom::Requests | TakeFrom::Responses(_) => Some(later(context.now, context.settings.redelivery)),
        };
        let delivery = delivery(context.state, seq, message, context.now)?;
        events.push(Event::HandedOut { message: seq, until }.into());
        return Ok(Decision {
            events,
            answer: Ok(delivery),
        });
    }
    Ok(Decision {
        events,
        answer: Ok(None),
    })
}

fn queue(take: &Take) -> Queue {
    let owner = take.participant.clone();
    match &take.from {
        TakeFrom::Requests => Queue::Requests(owner),
        TakeFrom::Responses(node) => Queue::Responses(owner, node.clone()),
        TakeFrom::Status => Queue::Status(owner),
    }
}

/// What a participant must be allowed to be handed messages of a kind: requests are for who provides it, answers for
/// who requests it.
fn permission(from: &TakeFrom) -> May {
    match from {
        TakeFrom::Requests => May::Provide,
        TakeFrom::Responses(_) => May::Request,
        TakeFrom::Status => May::Provide,
    }
}

/// Whether a queue can hold messages with this root: requests in one, answers in the others.
fn of_queue(from: &TakeFrom, kind: &Kind, root: &PayloadRoot) -> bool {
    match from {
        TakeFrom::Requests => kind.request == root.local,
        TakeFrom::Responses(_) | TakeFrom::Status => Registry::is_response(kind, root),
    }
}

fn selected_kind(context: &Context<'_, '_>, take: &Take) -> Result<Option<KindName>, Refusal> {
    let Some(root) = &take.selector else { return Ok(None) };
    let found = context.registry.kind_by_root(&root.namespace, &root.local);
    let party = Party::Participant(take.participant.clone());
    match found {
        Some((kind, _))
            if of_queue(&take.from, kind, root)
                && context.registry.allows(&party, &kind.name, permission(&take.from)) =>
        {
            Ok(Some(kind.name.clone()))
        }
        _ => Err(Refusal::UnknownMessageType {
            namespace: root.namespace.clone(),
            local: root.local.clone(),
            participant: take.participant.clone(),
        }),
    }
}

/// First messages of a queue's lanes, the oldest last.
struct Candidates {
    queue: Queue,
    heads: Vec<Head>,
}

impl Candidates {
    fn new(state: &State<'_>, queue: &Queue, lane: Option<&KindName>) -> Result<Self, IndexError> {
        let prefix = match lane {
            Some(kind) => keys::ready_lane(queue, kind.as_str()),
            None => keys::ready_queue(queue),
        };
        let mut heads = state.lane_heads(&prefix)?;
        heads.sort_unstable_by_key(|head| std::cmp::Reverse(head.seq));
        Ok(Self {
            queue: queue.clone(),
            heads,
        })
    }

    fn next(&mut self, context: &Context<'_, '_>, take: &Take) -> Result<Option<(Head, Message)>, IndexError> {
        let party = Party::Participant(take.participant.clone());
        while let Some(head) = self.heads.pop() {
            let Some(message) = context.state.message(head.seq)? else {
                continue;
            };
            // What waits when a permission is withdrawn stays until an operator decides. Notices hold no data of others.
            let allowed = message.sender == Party::Gateway
                || message
                    .kind
                    .as_ref()
                    .is_none_or(|kind| context.registry.allows(&party, kind, permission(&take.from)));
            if allowed {
                return Ok(Some((head, message)));
            }
        }
        Ok(None)
    }

    fn advance(&mut self, state: &State<'_>, head: &Head) -> Result<(), IndexError> {
        let lane = keys::ready_lane(&self.queue, &head.lane);
        let after = keys::ready(&self.queue, &head.lane, head.seq + 1);
        let Some((key, value)) = state.scan(&lane, after.as_slice()).next().transpose()? else {
            return Ok(());
        };
        let next = Head::parse(&key, &value)?;
        let place = self.heads.partition_point(|other| other.seq > next.seq);
        self.heads.insert(place, next);
        Ok(())
    }
}

/// A message as its receiver, `forward` or an operator gets it.
pub(crate) fn delivery(
    state: &State<'_>,
    seq: u64,
    message: Message,
    at: jiff::Timestamp,
) -> Result<Option<Delivery>, IndexError> {
    let note_of = |message: &Message| {
        message.note.map(|place| BodyRef {
            message: message.id,
            name: BodyName::Note,
            place,
            sealed: message.sealed,
        })
    };
    let exchange_note = match (message.message_type, message.about) {
        (MessageType::Request, _) => note_of(&message),
        (_, Some(about)) => request_of(state, about)?.as_ref().and_then(note_of),
        (_, None) => None,
    };
    let parts = message.parts.iter().map(|(number, place)| BodyRef {
        message: message.id,
        name: BodyName::Part(*number),
        place: *place,
        sealed: message.sealed,
    });
    let parts = parts.collect();
    let Some(recipient) = message.recipient else {
        return Ok(None);
    };
    Ok(Some(Delivery {
        seq,
        accepted_at: message.accepted_at.timestamp(),
        delivered_at: at,
        message_id: message.id,
        reference_id: message.reference,
        message_type: message.message_type,
        sender: message.sender,
        remote_sender: message.remote_sender,
        recipient,
        kind: message.kind,
        format: message.format,
        parts,
        reply_token: message
            .exchange
            .map(|exchange| answer::token_text(seq, &exchange.token)),
        original_message_id: message.original,
        exchange_note,
        test: message.test,
        end_of_life: message.end_of_life.map(Micros::timestamp),
    }))
}

/// The request that stands behind an answer, or behind a notice about an answer.
fn request_of(state: &State<'_>, about: u64) -> Result<Option<Message>, IndexError> {
    let Some(message) = state.message(about)? else {
        return Ok(None);
    };
    match (message.message_type, message.about) {
        (MessageType::Request, _) => Ok(Some(message)),
        (_, Some(request)) => state.message(request),
        (_, None) => Ok(None),
    }
}
