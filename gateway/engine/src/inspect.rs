//! What operators, `forward` and metrics read from the index, beside the writer.

use std::collections::BTreeMap;

use crate::command::{Lane, LaneHead, Quarantined, QueueStatus, QueuedMessage};
use crate::decide::deliver::delivery;
use crate::error::IndexError;
use crate::halts::Halts;
use crate::keys::{self, Key};
use crate::message::{Counters, Held, Message, Micros, State as Life, parse_lane};
use crate::names::{Mnemonic, NodeId, Party, Queue, UpstreamName};
use crate::state::{State, bad_row, decode};

/// Queues that hold something, or are paused.
pub(crate) fn queues(state: &State<'_>) -> Result<Vec<QueueStatus>, IndexError> {
    let mut oldest: BTreeMap<String, Micros> = BTreeMap::new();
    for head in state.lane_heads(&Key::new(b'r'))? {
        let entry = oldest.entry(head.queue).or_insert(head.accepted_at);
        *entry = (*entry).min(head.accepted_at);
    }
    let Halts {
        participants,
        queues: mut paused,
    } = Halts::of(state)?;
    let suspended = |queue: &Queue| participants.get(queue.owner()?).cloned();
    let all = Key::new(b'c');
    let mut queues = Vec::new();
    for row in state.scan(&all, all.as_slice()) {
        let (key, value) = row?;
        let counters: Counters = decode(&key, &value)?;
        let name = keys::texts(&key, 0).and_then(|texts| texts.first().map(|text| (*text).to_owned()));
        let name = name.ok_or_else(|| bad_row(&key))?;
        let queue: Queue = name.parse().map_err(|_| bad_row(&key))?;
        queues.push(QueueStatus {
            messages: counters.messages,
            leased: counters.leased,
            bytes: counters.bytes,
            oldest: oldest.get(&name).copied().map(Micros::timestamp),
            paused: paused.remove(&queue),
            suspended: suspended(&queue),
            queue,
        });
    }
    queues.extend(paused.into_iter().map(|(queue, halt)| QueueStatus {
        messages: 0,
        leased: 0,
        bytes: 0,
        oldest: None,
        paused: Some(halt),
        suspended: suspended(&queue),
        queue,
    }));
    queues.sort_by_cached_key(|status| status.queue.to_string());
    Ok(queues)
}

/// First messages of a queue in the order of acceptance, handed-out ones included.
pub(crate) fn queue(state: &State<'_>, queue: &Queue, limit: usize) -> Result<Vec<QueuedMessage>, IndexError> {
    let mut seqs: Vec<u64> = Vec::new();
    let all = keys::ready_queue(queue);
    let lanes = state.lane_heads(&all)?;
    for head in lanes {
        let lane = keys::ready_lane(queue, &head.lane);
        for row in state.scan(&lane, lane.as_slice()).take(limit) {
            seqs.extend(keys::last_number(&row?.0));
        }
    }
    let leases = Key::new(b'l');
    for row in state.scan(&leases, leases.as_slice()) {
        let Some(seq) = keys::last_number(&row?.0) else {
            continue;
        };
        if state
            .message(seq)?
            .is_some_and(|message| message.queue().as_ref() == Some(queue))
        {
            seqs.push(seq);
        }
    }
    seqs.sort_unstable();
    seqs.truncate(limit);
    let mut messages = Vec::with_capacity(seqs.len());
    for seq in seqs {
        if let Some(message) = state.message(seq)? {
            messages.push(queued(seq, message));
        }
    }
    Ok(messages)
}

fn queued(seq: u64, message: Message) -> QueuedMessage {
    QueuedMessage {
        seq,
        message_id: message.id,
        sender: message.sender,
        kind: message.kind,
        accepted_at: message.accepted_at.timestamp(),
        bytes: message.bytes,
        leased_until: match message.state {
            Life::Leased { until } => Some(until.timestamp()),
            _ => None,
        },
    }
}

/// What is in quarantine, oldest first.
pub(crate) fn quarantine(state: &State<'_>) -> Result<Vec<Quarantined>, IndexError> {
    let all = Key::new(b'q');
    let mut held = Vec::new();
    for row in state.scan(&all, all.as_slice()) {
        let (key, value) = row?;
        let Held { since, cause } = decode(&key, &value)?;
        let seq = keys::last_number(&key).ok_or_else(|| bad_row(&key))?;
        let Some(message) = state.message(seq)? else { continue };
        held.push(Quarantined {
            seq,
            message_id: message.id,
            sender: message.sender,
            recipient: message.recipient,
            kind: message.kind,
            since: since.timestamp(),
            cause,
        });
    }
    Ok(held)
}

/// Number of rows of a family.
pub(crate) fn count(state: &State<'_>, family: u8) -> Result<u64, IndexError> {
    let all = Key::new(family);
    state
        .scan(&all, all.as_slice())
        .try_fold(0, |n, row| row.map(|_| n + 1))
}

/// Names of a participant's queues with the number of messages that wait in them: with a node its sub-queue of answers,
/// without one the common queue and every sub-queue in which something is.
pub(crate) fn statistics(
    state: &State<'_>,
    participant: &Mnemonic,
    node: Option<&NodeId>,
) -> Result<Vec<(String, u64)>, IndexError> {
    let owner = || participant.clone();
    let mut all = vec![Queue::Requests(owner()), Queue::Responses(owner(), node.cloned())];
    if node.is_none() {
        let of_nodes = queues(state)?.into_iter().map(|status| status.queue);
        all.extend(of_nodes.filter(|queue| matches!(queue, Queue::Responses(of, Some(_)) if of == participant)));
    }
    all.push(Queue::Status(owner()));
    let waiting = |queue: &Queue| {
        let counters = state.counters(&keys::count_queue(queue))?;
        Ok((queue.to_string(), counters.messages.saturating_sub(counters.leased)))
    };
    all.iter().map(waiting).collect()
}

/// Participants with a message on its way to an upstream.
pub(crate) fn senders_to(state: &State<'_>, upstream: &UpstreamName) -> Result<Vec<Mnemonic>, IndexError> {
    let all = keys::count_senders(&Queue::Upstream(upstream.clone()));
    let mut senders = Vec::new();
    for row in state.scan(&all, all.as_slice()) {
        let (key, _) = row?;
        let texts = keys::texts(&key, 0).ok_or_else(|| bad_row(&key))?;
        let sender = texts.last().and_then(|sender| sender.parse().ok());
        senders.push(sender.ok_or_else(|| bad_row(&key))?);
    }
    Ok(senders)
}

/// Lanes of an upstream in which something waits.
pub(crate) fn lanes(state: &State<'_>, upstream: &UpstreamName) -> Result<Vec<Lane>, IndexError> {
    let heads = state.lane_heads(&keys::ready_queue(&Queue::Upstream(upstream.clone())))?;
    Ok(heads
        .iter()
        .filter_map(|head| parse_lane(upstream, &head.lane))
        .collect())
}

/// First message of a lane.
pub(crate) fn lane_head(state: &State<'_>, lane: &Lane, now: jiff::Timestamp) -> Result<Option<LaneHead>, IndexError> {
    let queue = Queue::Upstream(lane.upstream.clone());
    let rows = keys::ready_lane(&queue, &format!("{}/{}", lane.sender, lane.kind));
    let Some(seq) = state.first(&rows)?.and_then(|(key, _)| keys::last_number(&key)) else {
        return Ok(None);
    };
    let Some(message) = state.message(seq)? else {
        return Ok(None);
    };
    let attempts = message.attempts.clone();
    let answer_to_upstream = match message.about {
        Some(about) => {
            let sender = state.message(about)?.map(|request| request.sender);
            matches!(sender, Some(Party::Upstream(_)))
        }
        None => false,
    };
    let Some(message) = delivery(state, seq, message, now)? else {
        return Ok(None);
    };
    Ok(Some(LaneHead {
        lane: lane.clone(),
        message,
        attempts: attempts.started,
        last_id: attempts.last_id,
        certainly_not_sent: attempts.certainly_not_sent(),
        unknown_outcomes: attempts.unknown,
        answer_to_upstream,
    }))
}
