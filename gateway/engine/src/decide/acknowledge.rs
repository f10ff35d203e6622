//! Acknowledgement by the receiver.

use crate::command::{Acknowledged, Refusal};
use crate::error::IndexError;
use crate::event::Event;
use crate::keys;
use crate::message::{Micros, State as Life};
use crate::offer::OfferedAck;

use super::{Bodies, Context, Decision, Planned, halts};

/// Decides about an Ack: for a message that was handed out to this receiver and stands in its queue, in time or late.
pub(crate) fn acknowledge(context: &Context<'_, '_>, ack: OfferedAck) -> Result<Decision<Acknowledged>, IndexError> {
    if let Some(refusal) = halts::suspended(context, &ack.participant) {
        return Ok(Decision::refuse(refusal));
    }
    let key = keys::handed_out(ack.participant.as_str(), ack.target);
    let handed_out: Vec<u64> = context.state.get(&key)?.unwrap_or_default();
    let unknown = Refusal::TargetNotFound(ack.target);
    let Some(seq) = handed_out.last().copied() else {
        return Ok(Decision::refuse(unknown));
    };
    let Some(message) = context.state.message(seq)? else {
        return Ok(Decision::refuse(unknown));
    };
    let late = !matches!(message.state, Life::Leased { until } if until > Micros::from(context.now));
    let mut events: Vec<Planned> = Vec::new();
    if !ack.receipt.accepted {
        let text = format!(
            "{} says that our signature on message {} (record {seq}) does not verify",
            ack.participant, ack.target
        );
        events.push(
            Event::Incident {
                kind: "ack_not_accepted".to_owned(),
                text,
            }
            .into(),
        );
    }
    let acknowledged = Planned {
        event: Event::Acknowledged {
            receipt: ack.receipt,
            message: seq,
            late,
        },
        beginning: ack.beginning,
        bodies: Bodies::default(),
    };
    events.insert(0, acknowledged);
    Ok(Decision {
        events,
        answer: Ok(Acknowledged { seq, late }),
    })
}
