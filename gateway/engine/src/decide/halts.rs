//! A person's word that a participant or a queue stands still, or goes on.

use crate::command::{Halting, Refusal};
use crate::event::{Event, PausedQueue, Person, ResumedParticipant, ResumedQueue, SuspendedParticipant};
use crate::halts::Halt;
use crate::names::{Mnemonic, Party};

use super::{Context, Decision};

/// Longest reason that is kept, in characters.
const REASON: usize = 500;

/// Takes a person at their word, unless it is so already. Answers with the halt that begins or ends.
pub(crate) fn change(context: &Context<'_, '_>, what: Halting, by: Person) -> Decision<Halt> {
    let begun = |by: &Person, reason: &str| Halt {
        since: context.now,
        by: by.clone(),
        reason: reason.to_owned(),
    };
    let halts = context.registry.halts();
    match what {
        Halting::Suspend { participant, reason } => {
            if let Some(refusal) = unknown(context, &participant) {
                return Decision::refuse(refusal);
            }
            if let Some(halt) = halts.suspended(&participant) {
                return refuse(format!("{participant} is suspended already, {halt}"));
            }
            let reason = bounded(&reason);
            let halt = begun(&by, &reason);
            let event = SuspendedParticipant {
                participant,
                by,
                reason,
            };
            Decision::one(Event::ParticipantSuspended(Box::new(event)), halt)
        }
        Halting::ResumeParticipant(participant) => {
            if let Some(refusal) = unknown(context, &participant) {
                return Decision::refuse(refusal);
            }
            match halts.suspended(&participant).cloned() {
                Some(halt) => {
                    let event = ResumedParticipant { participant, by };
                    Decision::one(Event::ParticipantResumed(Box::new(event)), halt)
                }
                None => refuse(format!("{participant} is not suspended")),
            }
        }
        Halting::Pause { queue, reason } => {
            if let Some(refusal) = queue.owner().and_then(|owner| unknown(context, owner)) {
                return Decision::refuse(refusal);
            }
            if let Some(halt) = halts.paused(&queue) {
                return refuse(format!("{queue} is paused already, {halt}"));
            }
            let reason = bounded(&reason);
            let halt = begun(&by, &reason);
            let event = PausedQueue { queue, by, reason };
            Decision::one(Event::QueuePaused(Box::new(event)), halt)
        }
        Halting::ResumeQueue(queue) => match halts.paused(&queue).cloned() {
            Some(halt) => {
                let event = ResumedQueue { queue, by };
                Decision::one(Event::QueueResumed(Box::new(event)), halt)
            }
            None => refuse(format!("{queue} is not paused")),
        },
    }
}

/// The refusal of whatever a suspended participant asks for.
pub(crate) fn suspended(context: &Context<'_, '_>, caller: &Mnemonic) -> Option<Refusal> {
    let halt = context.registry.halts().suspended(caller);
    halt.map(|_| Refusal::Suspended(caller.clone()))
}

/// The same of a party: an upstream is not suspended, its link is paused.
pub(crate) fn suspended_party(context: &Context<'_, '_>, sender: &Party) -> Option<Refusal> {
    match sender {
        Party::Participant(caller) => suspended(context, caller),
        Party::Upstream(_) | Party::Gateway => None,
    }
}

fn unknown(context: &Context<'_, '_>, participant: &Mnemonic) -> Option<Refusal> {
    match context.registry.participant(participant) {
        Some(_) => None,
        None => Some(Refusal::NotDone(format!("no participant {participant} is registered"))),
    }
}

fn refuse<T>(why: String) -> Decision<T> {
    Decision::refuse(Refusal::NotDone(why))
}

fn bounded(reason: &str) -> String {
    reason.chars().take(REASON).collect()
}
