//! Attempts upstream and what comes of them (the table in DESIGN §6).

use crate::command::{ForwardOutcome, NoticeReason, Refusal, Standing};
use crate::error::IndexError;
use crate::event::Event;
use crate::keys;
use crate::message::{Message, State as Life};
use crate::names::{MessageId, Party};
use crate::restored;

use super::{Context, Decision, Planned, notice};

/// Tries with unknown outcome in a row after which a person must look.
pub(crate) const UNKNOWN_OUTCOMES: u32 = 20;

/// An attempt begins: only for the first message of its lane.
pub(crate) fn started(context: &Context<'_, '_>, seq: u64, id: MessageId) -> Result<Decision<()>, IndexError> {
    if restored::hold(context.state)?.is_some() {
        let why = "nothing goes to upstreams after a restoration until a person says so";
        return Ok(Decision::refuse(Refusal::Unavailable(why.to_owned())));
    }
    let Some(message) = waiting(context, seq)? else {
        return Ok(Decision::refuse(Refusal::TargetNotFound(id)));
    };
    let Some(queue) = message.queue() else {
        return Ok(Decision::refuse(Refusal::TargetNotFound(id)));
    };
    if let Some(halt) = context.registry.halts().paused(&queue) {
        let why = format!("{queue} is paused {halt}");
        return Ok(Decision::refuse(Refusal::Unavailable(why)));
    }
    let first = context.state.first(&keys::ready_lane(&queue, &message.lane()))?;
    if first.and_then(|(key, _)| keys::last_number(&key)) != Some(seq) {
        return Ok(Decision::refuse(Refusal::TargetNotFound(id)));
    }
    Ok(Decision {
        events: vec![Event::ForwardStarted { message: seq, id }.into()],
        answer: Ok(()),
    })
}

/// An attempt has ended.
pub(crate) fn outcome(
    context: &mut Context<'_, '_>,
    seq: u64,
    outcome: ForwardOutcome,
) -> Result<Decision<()>, IndexError> {
    let Some(message) = waiting(context, seq)? else {
        let standing = Standing::NotForwarded;
        return Ok(Decision::refuse(Refusal::Standing { seq, standing }));
    };
    let outcome = judged(&message, outcome);
    let mut events: Vec<Planned> = Vec::new();
    if let ForwardOutcome::Rejected { fault, code, text } = &outcome {
        let reason = NoticeReason::UpstreamFault {
            fault: fault.clone(),
            code: code.clone(),
        };
        let errors = if text.is_empty() {
            Vec::new()
        } else {
            vec![text.clone()]
        };
        let details = format!("The upstream refused the message: {fault}");
        events.extend(notice::rejection(context, seq, &message, reason, &details, errors));
    }
    events.insert(0, Event::ForwardOutcome { message: seq, outcome }.into());
    Ok(Decision { events, answer: Ok(()) })
}

/// What an outcome means with this history: what could make the upstream accept a message twice, or hides that it did,
/// is a person's to decide.
fn judged(message: &Message, outcome: ForwardOutcome) -> ForwardOutcome {
    let attempts = &message.attempts;
    let cause = match &outcome {
        // Before its first attempt here a message is uncertain only after a restoration.
        ForwardOutcome::AlreadySent if attempts.started < 2 && !(attempts.uncertain && attempts.in_flight) => {
            "MessageIsAlreadySent on the first attempt: somebody else used the identifier".to_owned()
        }
        ForwardOutcome::Renew if attempts.uncertain => {
            "the identifier is stale, and an earlier attempt may have been accepted".to_owned()
        }
        ForwardOutcome::Unknown { cause } if attempts.unknown + 1 >= UNKNOWN_OUTCOMES => {
            format!("{UNKNOWN_OUTCOMES} tries with unknown outcome, the last: {cause}")
        }
        _ => return outcome,
    };
    ForwardOutcome::Quarantined { cause }
}

fn waiting(context: &Context<'_, '_>, seq: u64) -> Result<Option<Message>, IndexError> {
    let message = context.state.message(seq)?;
    Ok(message.filter(|m| m.state == Life::Waiting && matches!(m.recipient, Some(Party::Upstream(_)))))
}
