//! The steps of a message's life, with the rows and counters that go with each.

use journal::Location;

use crate::error::IndexError;
use crate::keys;
use crate::message::{Counters, Held, Message, Micros, Needed, State as Life};
use crate::names::Party;
use crate::state::State;

/// Puts a message into its queue, where its sequence number gives it its place.
pub(super) fn enter_queue(state: &mut State<'_>, seq: u64, message: &mut Message) -> Result<(), IndexError> {
    wait(state, seq, message);
    count(state, message, |counters, bytes| {
        counters.messages += 1;
        counters.bytes += bytes;
    })?;
    if let Some(when) = message.end_of_life {
        state.put(keys::end_of_life(when, seq), &());
    }
    Ok(())
}

/// Makes it available.
pub(super) fn wait(state: &mut State<'_>, seq: u64, message: &mut Message) {
    message.state = Life::Waiting;
    if let Some(queue) = message.queue() {
        state.put(keys::ready(&queue, &message.lane(), seq), &message.accepted_at);
    }
}

/// Hands a waiting message out until then.
pub(super) fn lease(state: &mut State<'_>, seq: u64, message: &mut Message, until: Micros) -> Result<(), IndexError> {
    if let Some(queue) = message.queue() {
        state.remove(keys::ready(&queue, &message.lane(), seq));
    }
    state.put(keys::lease(until, seq), &());
    message.state = Life::Leased { until };
    count(state, message, |counters, _| counters.leased += 1)
}

/// Ends the lease of a message that is handed out.
pub(super) fn leave_lease(state: &mut State<'_>, seq: u64, message: &Message) -> Result<(), IndexError> {
    let Life::Leased { until } = message.state else {
        return Ok(());
    };
    state.remove(keys::lease(until, seq));
    count(state, message, |counters, _| {
        counters.leased = counters.leased.saturating_sub(1);
    })
}

/// Takes a message out of its queue, wherever it stands there.
fn leave_queue(state: &mut State<'_>, seq: u64, message: &Message) -> Result<(), IndexError> {
    match message.state {
        Life::Waiting => {
            if let Some(queue) = message.queue() {
                state.remove(keys::ready(&queue, &message.lane(), seq));
            }
        }
        Life::Leased { .. } => leave_lease(state, seq, message)?,
        Life::Quarantined => {
            state.remove(keys::quarantine(seq));
            return Ok(());
        }
        Life::Finished { .. } => return Ok(()),
    }
    if let Some(when) = message.end_of_life {
        state.remove(keys::end_of_life(when, seq));
    }
    count(state, message, |counters, bytes| {
        counters.messages = counters.messages.saturating_sub(1);
        counters.bytes = counters.bytes.saturating_sub(bytes);
    })
}

/// Gives a message to the operator.
pub(super) fn hold(state: &mut State<'_>, seq: u64, message: &mut Message, held: &Held) -> Result<(), IndexError> {
    leave_queue(state, seq, message)?;
    message.state = Life::Quarantined;
    state.put(keys::quarantine(seq), held);
    Ok(())
}

/// Brings a message to its final state. The bodies stay for a while, a request's exchange until it is answered.
pub(super) fn finish(state: &mut State<'_>, seq: u64, message: &mut Message, at: Micros) -> Result<(), IndexError> {
    if message.finished() {
        return Ok(());
    }
    leave_queue(state, seq, message)?;
    if message.handed_out
        && let Some(Party::Participant(recipient)) = &message.recipient
    {
        let key = keys::handed_out(recipient.as_str(), message.id);
        let mut seqs: Vec<u64> = state.get(&key)?.unwrap_or_default();
        seqs.retain(|other| *other != seq);
        if seqs.is_empty() {
            state.remove(key);
        } else {
            state.put(key, &seqs);
        }
    }
    message.state = Life::Finished { at, bodies: true };
    state.put(keys::bodies_due(at, seq), &());
    if message
        .exchange
        .as_ref()
        .is_some_and(|exchange| exchange.closed.is_none())
    {
        state.put(keys::unanswered(at, seq), &());
    } else {
        state.put(keys::message_due(at, seq), &());
    }
    Ok(())
}

/// Counts a change for the queue, the lane and, towards an upstream, the sender.
fn count(state: &mut State<'_>, message: &Message, change: impl Fn(&mut Counters, u64)) -> Result<(), IndexError> {
    let Some(queue) = message.queue() else { return Ok(()) };
    let sender = match (&message.recipient, message.lane_sender()) {
        (Some(Party::Upstream(_)), Some(sender)) => Some(keys::count_sender(&queue, sender.as_str())),
        _ => None,
    };
    let lane = keys::count_lane(&queue, &message.lane());
    for key in [keys::count_queue(&queue), lane].into_iter().chain(sender) {
        let mut counters = state.counters(&key)?;
        change(&mut counters, message.bytes);
        if counters == Counters::default() {
            state.remove(key);
        } else {
            state.put(key, &counters);
        }
    }
    Ok(())
}

/// A body is needed from now on, or not any more.
pub(super) fn need(state: &mut State<'_>, seq: u64, place: &Location, needed: bool) -> Result<(), IndexError> {
    let octets = u64::from(place.len);
    let row = state.needed(place.segment)?;
    if row.is_none() && !needed {
        return Ok(());
    }
    let mut row = row.unwrap_or(Needed {
        octets: 0,
        first: seq,
        last: seq,
    });
    if needed {
        row.octets += octets;
        row.first = row.first.min(seq);
        row.last = row.last.max(seq);
    } else {
        row.octets = row.octets.saturating_sub(octets);
    }
    state.put(keys::segment(place.segment), &row);
    Ok(())
}

/// A body was copied: needed, and found by a row of its own, because its sequence number is far from its neighbours'.
pub(super) fn need_copy(state: &mut State<'_>, seq: u64, place: &Location) -> Result<(), IndexError> {
    let mut row = state.needed(place.segment)?.unwrap_or(Needed {
        octets: 0,
        first: u64::MAX,
        last: 0,
    });
    row.octets += u64::from(place.len);
    state.put(keys::segment(place.segment), &row);
    state.put(keys::copied(place.segment, seq), &());
    Ok(())
}
