//! From an event to changed rows: the only way in which rows change, for the writer as well as for a replay.
//!
//! What an event does depends on the rows before it and on nothing else: not on settings, not on the clock. So the index
//! is a function of the journal (I6).

mod forget;
mod life;

pub(crate) use forget::family;

use jiff::Timestamp;
use journal::Location;

use crate::backup::LastBackup;
use crate::command::{ForwardOutcome, MessageType};
use crate::destruction::{self, Proposal, Stage};
use crate::episodes;
use crate::error::IndexError;
use crate::event::{AcceptedMessage, BodyName, Decided, Event, Placement};
use crate::gaps;
use crate::halts;
use crate::keys;
use crate::message::{Attempts, Exchange, Held, JournalCut, Message, Micros, Pulled, State as Life};
use crate::names::Party;
use crate::restored;
use crate::state::State;

/// Changes the rows as the event with this sequence number and time says.
pub(crate) fn apply(state: &mut State<'_>, seq: u64, at: Timestamp, event: &Event) -> Result<(), IndexError> {
    let at = Micros::from(at);
    match event {
        Event::Accepted(accepted) => apply_accepted(state, seq, at, accepted),
        Event::HandedOut { message, until } => handed_out(state, *message, at, until.map(Micros::from)),
        Event::LeaseExpired { message } => go_on(state, *message, |state, seq, message| {
            life::leave_lease(state, seq, message)?;
            life::wait(state, seq, message);
            Ok(())
        }),
        Event::Acknowledged { message, .. } => change(state, *message, |state, seq, message| {
            life::finish(state, seq, message, at)
        }),
        Event::Expired { message } | Event::SchemaRejected { message } => reject(state, *message, at),
        Event::ForwardStarted { message, id } => go_on(state, *message, |state, seq, message| {
            let attempts = &mut message.attempts;
            attempts.uncertain |= attempts.in_flight;
            attempts.in_flight = true;
            attempts.started += 1;
            attempts.last_id = Some(*id);
            if !attempts.ids.contains(id) {
                attempts.ids.push(*id);
                if let Some(Party::Upstream(upstream)) = &message.recipient {
                    state.put(keys::northbound(upstream, *id), &seq);
                }
            }
            Ok(())
        }),
        Event::ForwardOutcome { message, outcome } => forward_outcome(state, *message, at, outcome),
        Event::Quarantined { message, cause } => {
            // An attempt that is on its way may have arrived, whatever the stored message is like.
            change(state, *message, |_, _, message| {
                message.attempts.uncertain |= message.attempts.in_flight;
                Ok(())
            })?;
            hold(state, *message, at, cause)
        }
        Event::Decided { message, decision, .. } => decided(state, *message, at, decision),
        Event::UpstreamAcknowledged { upstream, id } => {
            let key = keys::pulled(upstream, *id);
            if let Some(mut pulled) = state.get::<Pulled>(&key)?
                && pulled.acknowledged.is_none()
            {
                pulled.acknowledged = Some(at);
                state.put(key, &pulled);
                state.put(keys::pulled_due(at, upstream, *id), &());
            }
            Ok(())
        }
        Event::Registry { digest, diff, .. } => {
            state.put(keys::registry(), digest);
            halts::forget_removed(state, diff)
        }
        Event::ParticipantSuspended(suspended) => {
            let key = keys::suspended(&suspended.participant);
            halts::begin(state, key, at, &suspended.by, &suspended.reason);
            Ok(())
        }
        Event::ParticipantResumed(resumed) => {
            state.remove(keys::suspended(&resumed.participant));
            Ok(())
        }
        Event::QueuePaused(paused) => {
            halts::begin(state, keys::paused(&paused.queue), at, &paused.by, &paused.reason);
            Ok(())
        }
        Event::QueueResumed(resumed) => {
            state.remove(keys::paused(&resumed.queue));
            Ok(())
        }
        Event::JournalCut {
            known,
            end,
            aside,
            made,
            ..
        } => {
            // What a gap asks for goes on until somebody takes note.
            let earlier: Option<JournalCut> = state.get(&keys::journal_cut())?;
            let cut = JournalCut {
                at,
                known: *known,
                end: *end,
                aside: aside.clone(),
                gap: earlier.is_some_and(|earlier| earlier.gap),
            };
            state.put(keys::journal_cut(), &cut);
            let through = known.saturating_sub(1).min(*end);
            restored::hold_back(state, at, (through, Micros::from(*made)), Some(*known.max(end)))
        }
        Event::JournalCutAcknowledged { .. } => {
            state.remove(keys::journal_cut());
            Ok(())
        }
        Event::GapAccepted { gap, .. } => {
            state.put(keys::gap(gap.first), &gaps::Told::of(gap));
            Ok(())
        }
        Event::GapPassed {
            first,
            last,
            made,
            aside,
        } => gaps::told(state, at, (*first, *last), *made, aside.as_deref()),
        Event::ClockAccepted { .. } => {
            state.put(keys::clock_accepted(), &seq);
            Ok(())
        }
        Event::DataKey { id, .. } => {
            state.put(keys::data_key(), id);
            Ok(())
        }
        Event::Relocated { message, body, to, .. } => relocated(state, *message, *body, *to),
        Event::SpoolRemoved { segment } => {
            let copies = keys::copies(*segment);
            let rows: Result<Vec<_>, _> = state.scan(&copies, copies.as_slice()).collect();
            for (key, _) in rows? {
                state.remove(keys::Key::from_slice(&key));
            }
            state.remove(keys::segment(*segment));
            Ok(())
        }
        Event::Archived { last, .. } => {
            state.put(keys::archived(), last);
            Ok(())
        }
        Event::DestructionProposed(proposed) => {
            state.put(keys::destruction(seq), &Proposal::new(at, proposed));
            Ok(())
        }
        Event::DestructionApproved { proposal, act } => {
            let by = act.approved_by.clone();
            destruction::change_stage(state, *proposal, Stage::Approved { by, act: seq })
        }
        Event::DestructionClosed { proposal, by, reason } => {
            let (by, reason) = (by.clone(), reason.clone());
            destruction::change_stage(state, *proposal, Stage::Closed { by, reason })
        }
        Event::JournalDestroyed { proposal, .. } => destruction::done(state, *proposal),
        Event::BackedUp { made, .. } => {
            let through = made.through;
            state.put(keys::backed_up(), &LastBackup { at, through });
            Ok(())
        }
        Event::Restored { through, made, .. } => restored::hold_back(state, at, (*through, Micros::from(*made)), None),
        Event::UpstreamResumed { doubtful, .. } => restored::resume(state, at, doubtful),
        Event::IncidentOpened(opened) => episodes::opened(state, seq, at, opened),
        Event::IncidentClosed {
            incident,
            text,
            affected,
            ..
        } => episodes::closed(state, *incident, at, text, affected),
        Event::IncidentNotified { incident, notice } => episodes::notified(state, *incident, at, notice),
        Event::Forgotten { what, through } => forget::forget(state, *what, through),
        Event::ForgottenEach { what, keys } => forget::forget_each(state, *what, keys),
        Event::Started { .. }
        | Event::Stopped
        | Event::Refused { .. }
        | Event::Incident { .. }
        | Event::MasterKey { .. }
        | Event::Checkpoint { .. }
        | Event::Snapshot { .. } => Ok(()),
    }
}

/// Takes a message out of its queue for a person to decide about.
pub(crate) fn quarantine(
    state: &mut State<'_>,
    seq: u64,
    message: &mut Message,
    held: &Held,
) -> Result<(), IndexError> {
    life::hold(state, seq, message, held)
}

/// Changes a message; one that is not there any more needs no change.
fn change(
    state: &mut State<'_>,
    seq: u64,
    with: impl FnOnce(&mut State<'_>, u64, &mut Message) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    if let Some(mut message) = state.message(seq)? {
        with(state, seq, &mut message)?;
        state.set_message(seq, &message);
    }
    Ok(())
}

/// Changes a message that has not ended. An event about one that has ended is met only in a replay of records that had been
/// missing: what was decided without them does not bring it back.
fn go_on(
    state: &mut State<'_>,
    seq: u64,
    with: impl FnOnce(&mut State<'_>, u64, &mut Message) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    change(state, seq, |state, seq, message| match message.finished() {
        true => Ok(()),
        false => with(state, seq, message),
    })
}

fn apply_accepted(state: &mut State<'_>, seq: u64, at: Micros, event: &AcceptedMessage) -> Result<(), IndexError> {
    let AcceptedMessage { sent, admission } = event;
    let role = &admission.role;
    let mut message = Message {
        id: sent.id,
        message_type: role.message_type,
        sender: sent.sender.clone(),
        remote_sender: sent.remote_sender.clone(),
        recipient: admission.recipient.clone(),
        kind: role.kind.clone(),
        node: role.node.clone(),
        on_behalf: admission.on_behalf.clone(),
        reference: sent.reference,
        format: sent.format.clone(),
        parts: admission.parts.clone(),
        note: admission.note,
        facts: admission.facts,
        bytes: admission.parts.iter().map(|(_, at)| u64::from(at.len)).sum(),
        accepted_at: at,
        end_of_life: sent.end_of_life.map(Micros::from),
        test: sent.test,
        about: role.about,
        original: role.original,
        state: Life::Waiting,
        handed_out: false,
        attempts: Attempts::default(),
        exchange: admission.token.map(|token| Exchange { token, closed: None }),
        sealed: admission.sealed,
    };
    restored::accepted(state, seq, &mut message)?;
    match &sent.sender {
        Party::Participant(sender) => state.put(keys::identifier(sent.id), &(seq, sender)),
        Party::Upstream(upstream) => {
            state.put(
                keys::pulled(upstream, sent.id),
                &Pulled {
                    seq,
                    acknowledged: None,
                },
            );
        }
        Party::Gateway => {}
    }
    let parts = admission.parts.iter().map(|(_, at)| at);
    for place in parts.chain(&admission.note).chain(&admission.facts) {
        life::need(state, seq, place, true)?;
    }
    if role.closes
        && let Some(request) = role.about
    {
        close_exchange(state, request, at)?;
    }
    match &admission.quarantine {
        Some(cause) => {
            message.state = Life::Quarantined;
            state.put(
                keys::quarantine(seq),
                &Held {
                    since: at,
                    cause: cause.clone(),
                },
            );
        }
        None => life::enter_queue(state, seq, &mut message)?,
    }
    state.set_message(seq, &message);
    Ok(())
}

fn handed_out(state: &mut State<'_>, seq: u64, at: Micros, until: Option<Micros>) -> Result<(), IndexError> {
    go_on(state, seq, |state, seq, message| {
        let Some(until) = until else {
            return life::finish(state, seq, message, at);
        };
        life::lease(state, seq, message, until)?;
        if !message.handed_out
            && let Some(Party::Participant(recipient)) = &message.recipient
        {
            let key = keys::handed_out(recipient.as_str(), message.id);
            let mut seqs: Vec<u64> = state.get(&key)?.unwrap_or_default();
            seqs.push(seq);
            state.put(key, &seqs);
        }
        message.handed_out = true;
        Ok(())
    })
}

fn forward_outcome(state: &mut State<'_>, seq: u64, at: Micros, outcome: &ForwardOutcome) -> Result<(), IndexError> {
    match outcome {
        ForwardOutcome::Rejected { .. } => return reject(state, seq, at),
        ForwardOutcome::Quarantined { cause } => {
            return hold(state, seq, at, cause);
        }
        _ => {}
    }
    go_on(state, seq, |state, seq, message| {
        let attempts = &mut message.attempts;
        attempts.in_flight = false;
        match outcome {
            ForwardOutcome::Accepted | ForwardOutcome::AlreadySent => return life::finish(state, seq, message, at),
            ForwardOutcome::Unknown { .. } => {
                attempts.uncertain = true;
                attempts.unknown += 1;
            }
            ForwardOutcome::SlowDown { .. } | ForwardOutcome::NotSent { .. } => attempts.unknown = 0,
            ForwardOutcome::Renew => {
                attempts.unknown = 0;
                attempts.last_id = None;
            }
            ForwardOutcome::Rejected { .. } | ForwardOutcome::Quarantined { .. } => {}
        }
        Ok(())
    })
}

/// A person must decide about a message.
fn hold(state: &mut State<'_>, seq: u64, at: Micros, cause: &str) -> Result<(), IndexError> {
    go_on(state, seq, |state, seq, message| {
        message.attempts.in_flight = false;
        let held = Held {
            since: at,
            cause: cause.to_owned(),
        };
        life::hold(state, seq, message, &held)
    })
}

fn decided(state: &mut State<'_>, seq: u64, at: Micros, decision: &Decided) -> Result<(), IndexError> {
    if let Decided::Reject { .. } = decision {
        return reject(state, seq, at);
    }
    if let Decided::Place(placement) = decision
        && placement.role.closes
        && let Some(request) = placement.role.about
    {
        close_exchange(state, request, at)?;
    }
    go_on(state, seq, |state, seq, message| {
        if let Decided::Place(placement) = decision {
            let Placement { recipient, role } = &**placement;
            message.recipient = Some(recipient.clone());
            message.message_type = role.message_type;
            message.kind.clone_from(&role.kind);
            message.node.clone_from(&role.node);
            message.about = role.about;
            message.original = role.original;
            if let Some(facts) = message.facts.take() {
                life::need(state, seq, &facts, false)?;
            }
        }
        message.attempts.unknown = 0;
        state.remove(keys::quarantine(seq));
        life::enter_queue(state, seq, message)
    })
}

/// Ends a message that will never be delivered, and with a request its exchange.
fn reject(state: &mut State<'_>, seq: u64, at: Micros) -> Result<(), IndexError> {
    go_on(state, seq, |state, seq, message| {
        message.attempts.in_flight = false;
        if let (MessageType::Request, Some(exchange)) = (message.message_type, &mut message.exchange) {
            exchange.closed.get_or_insert(at);
        }
        life::finish(state, seq, message, at)
    })
}

fn close_exchange(state: &mut State<'_>, request: u64, at: Micros) -> Result<(), IndexError> {
    change(state, request, |state, seq, message| {
        let Some(exchange) = &mut message.exchange else {
            return Ok(());
        };
        if exchange.closed.is_none() {
            exchange.closed = Some(at);
            if let Life::Finished { at: finished, .. } = message.state {
                state.remove(keys::unanswered(finished, seq));
                state.put(keys::message_due(at, seq), &());
            }
        }
        Ok(())
    })
}

fn relocated(state: &mut State<'_>, seq: u64, body: BodyName, to: Location) -> Result<(), IndexError> {
    change(state, seq, |state, seq, message| {
        let place = match body {
            BodyName::Part(number) => message.parts.iter_mut().find(|(n, _)| *n == number).map(|(_, at)| at),
            BodyName::Note => message.note.as_mut(),
            BodyName::Facts => message.facts.as_mut(),
        };
        let Some(place) = place else { return Ok(()) };
        let from = std::mem::replace(place, to);
        life::need(state, seq, &from, false)?;
        life::need_copy(state, seq, &to)
    })
}
