//! A person's decisions: about a message, and about the journal's cut.

use journal::Location;

use crate::command::{NotedCut, NoticeReason, QuarantineDecision, Refusal, Standing};
use crate::error::IndexError;
use crate::event::{Decided, Event, Placement};
use crate::keys;
use crate::message::{JournalCut, Message, State as Life};
use crate::names::Party;
use crate::restored;

use super::receive::{self, Facts};
use super::{Context, Decision, Planned, notice};

/// Longest reason that is kept, in characters.
const REASON: usize = 500;

/// Decides: `retry` is for what is in quarantine, `reject` also for what waits.
pub(crate) fn decide(
    context: &mut Context<'_, '_>,
    seq: u64,
    decision: QuarantineDecision,
    by: &str,
    facts: Option<&Facts>,
) -> Result<Decision<()>, IndexError> {
    let stands = |standing| Ok(Decision::refuse(Refusal::Standing { seq, standing }));
    let Some(message) = context.state.message(seq)? else {
        return stands(Standing::Unknown);
    };
    let by = by.to_owned();
    match (decision, message.state) {
        (QuarantineDecision::Retry, Life::Quarantined) => {
            let decision = if message.recipient.is_some() {
                Decided::Retry
            } else {
                match placement(context, &message, facts)? {
                    Ok(placement) => Decided::Place(Box::new(placement)),
                    Err(cause) => return Ok(Decision::refuse(Refusal::Unplaced(cause))),
                }
            };
            let event = Event::Decided {
                message: seq,
                by,
                decision,
            };
            Ok(Decision::one(event, ()))
        }
        (QuarantineDecision::Retry, _) => stands(Standing::NotQuarantined),
        (QuarantineDecision::Reject { reason }, Life::Quarantined) => reject(context, seq, &message, by, &reason),
        // After a restoration the session that was lost may have sent it.
        (QuarantineDecision::Reject { .. }, Life::Waiting)
            if matches!(message.recipient, Some(Party::Upstream(_))) && restored::hold(context.state)?.is_some() =>
        {
            stands(Standing::MaybeSent)
        }
        (QuarantineDecision::Reject { reason }, Life::Waiting) if message.attempts.certainly_not_sent() => {
            reject(context, seq, &message, by, &reason)
        }
        (QuarantineDecision::Reject { .. }, Life::Waiting) => stands(Standing::MaybeSent),
        (QuarantineDecision::Reject { .. }, Life::Leased { .. }) => stands(Standing::HandedOut),
        (QuarantineDecision::Reject { .. }, Life::Finished { .. }) => stands(Standing::Ended),
    }
}

/// A body of a message cannot be read at `place`. `true` if the message still has it there: it goes to quarantine, unless
/// it is there or has ended. `false` if whoever read it knew an old place.
pub(crate) fn unreadable(
    context: &Context<'_, '_>,
    seq: u64,
    place: &Location,
    cause: &str,
) -> Result<Decision<bool>, IndexError> {
    let Some(message) = context.state.message(seq)? else {
        return Ok(Decision::nothing(false));
    };
    // An answer is handed over with the note of its request.
    let request = message
        .about
        .map(|about| context.state.message(about))
        .transpose()?
        .flatten();
    let note = request.and_then(|request| request.note);
    let parts = message.parts.iter().map(|(_, at)| at);
    let mut places = parts.chain(&message.note).chain(&message.facts).chain(&note);
    if !places.any(|at| at == place) {
        return Ok(Decision::nothing(false));
    }
    let events = match message.state {
        Life::Waiting | Life::Leased { .. } => {
            let cause = format!("the stored message cannot be read: {cause}");
            vec![Event::Quarantined { message: seq, cause }.into()]
        }
        Life::Quarantined | Life::Finished { .. } => Vec::new(),
    };
    Ok(Decision {
        events,
        answer: Ok(true),
    })
}

/// A person takes note of the journal's cut.
pub(crate) fn journal_cut(
    context: &Context<'_, '_>,
    by: String,
    reason: &str,
) -> Result<Decision<NotedCut>, IndexError> {
    let Some(JournalCut { known, end, .. }) = context.state.get(&keys::journal_cut())? else {
        return Ok(Decision::refuse(Refusal::NoCut));
    };
    let reason = reason.chars().take(REASON).collect();
    let event = Event::JournalCutAcknowledged { known, end, by, reason };
    Ok(Decision::one(event, NotedCut { known, end }))
}

fn reject(
    context: &mut Context<'_, '_>,
    seq: u64,
    message: &Message,
    by: String,
    reason: &str,
) -> Result<Decision<()>, IndexError> {
    let reason: String = reason.chars().take(REASON).collect();
    let notice = notice::rejection(context, seq, message, NoticeReason::Operator, &reason, Vec::new());
    let event: Planned = Event::Decided {
        message: seq,
        by,
        decision: Decided::Reject { reason },
    }
    .into();
    Ok(Decision {
        events: std::iter::once(event).chain(notice).collect(),
        answer: Ok(()),
    })
}

/// Tries again to place what came from an upstream, with the registry as it is now.
fn placement(
    context: &Context<'_, '_>,
    message: &Message,
    facts: Option<&Facts>,
) -> Result<Result<Placement, String>, IndexError> {
    let (Party::Upstream(upstream), Some(facts)) = (&message.sender, facts) else {
        return Ok(Err("what is needed to place it is not kept any more".to_owned()));
    };
    let mut placement = match receive::place(context, upstream, facts)? {
        Ok(placement) => placement,
        Err(unplaced) => return Ok(Err(unplaced.cause)),
    };
    if message.exchange.is_some() {
        // A request's own sub-queue stays: its answers go there.
        placement.role.node.clone_from(&message.node);
    }
    Ok(Ok(placement))
}
