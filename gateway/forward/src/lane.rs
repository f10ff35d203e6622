//! One turn of a lane: message by message from its head, each through one attempt, until the lane is empty, must wait,
//! or has had its turn.

use std::sync::Arc;

use engine::Unreadable;
use engine::command::{BodyRef, ForwardOutcome, Lane, LaneHead, MessageType, NOTICE_FORMAT, Notice};
use engine::names::MessageId;
use logbook::log;
use smev3::client::{BuildError, ClientError, Dispatch, DispatchContent, Outgoing};
use smev3::stored::ExchangeNote;

use crate::breaker::{Gate, Source};
use crate::logged;
use crate::metrics::Forwarded;
use crate::northbound::{Choice, History, choose};
use crate::outcome::{Attempt, LaneNext, LinkSign, Ruling, rule};
use crate::schedule::Turn;
use crate::shared::Shared;

/// Messages of one turn: enough to make turns cheap, few enough for more lanes than workers to get on.
const TURN: usize = 16;

/// Works a lane for one turn.
pub(crate) async fn work(shared: &Arc<Shared>, lane: &Lane) -> Turn {
    let mut turn = Turn {
        progressed: false,
        wait: false,
    };
    for _ in 0..TURN {
        if shared.is_stopping() || shared.gate() != Gate::Open {
            break;
        }
        let head = match shared.engine.lane_head(lane) {
            Ok(Some(head)) => head,
            Ok(None) => break,
            Err(error) => {
                log!(logged::LANE_UNREADABLE, upstream = %lane.upstream, %error, "the lane cannot be read");
                turn.wait = true;
                break;
            }
        };
        match attempt(shared, lane, &head).await {
            Step::Left => turn.progressed = true,
            Step::LeftAndWait => (turn.progressed, turn.wait) = (true, true),
            Step::Again => {}
            Step::Wait => turn.wait = true,
            Step::LinkWaits => break,
        }
        if turn.wait {
            break;
        }
    }
    turn
}

/// How an attempt leaves the lane.
enum Step {
    /// The message is gone from it.
    Left,
    /// It is gone, and the lane waits.
    LeftAndWait,
    /// The same message at once.
    Again,
    /// The same message after a back-off.
    Wait,
    /// The same message when the link is fit for use: its own back-off counts.
    LinkWaits,
}

async fn attempt(shared: &Arc<Shared>, lane: &Lane, head: &LaneHead) -> Step {
    let history = History {
        attempts: head.attempts,
        last_id: head.last_id,
        certainly_failed: head.certainly_not_sent,
        unknown_outcomes: head.unknown_outcomes,
    };
    let id = match choose(head.message.message_id, &history, shared.engine.now()) {
        Choice::Keep(id) => id,
        Choice::Fresh => shared.fresh_id(),
    };
    let outgoing = match prepare(shared, head, id).await {
        Ok(outgoing) => outgoing,
        Err(Unprepared::Never(cause)) => return quarantine(shared, head, cause).await,
        Err(Unprepared::Quarantined(cause)) => {
            in_quarantine(head, &cause);
            shared.counters.forwarded(Forwarded::Quarantined);
            return Step::Left;
        }
        Err(Unprepared::NotNow(cause)) => {
            log!(logged::NOT_READY, upstream = %lane.upstream, message_id = %head.message.message_id, cause, "a message is not ready to be sent");
            return Step::Wait;
        }
    };
    // Durable before the first octet leaves: whatever happens from here, the next attempt knows of this one.
    if let Err(refusal) = shared.engine.forward_started(head.message.seq, id).await {
        log!(logged::NOT_RECORDED, upstream = %lane.upstream, %refusal, "no attempt can be recorded");
        return Step::Wait;
    }
    let result = match shared.client.send(&outgoing).await {
        Ok(()) => Attempt::Accepted,
        Err(ClientError::Fault(fault)) => Attempt::Fault(fault),
        Err(ClientError::NotSent(cause)) => Attempt::NotSent(cause),
        Err(error @ ClientError::BadSignature(_)) => {
            shared
                .incident("upstream_signature", format!("a receipt is not believed: {error}"))
                .await;
            Attempt::Unknown(error.to_string())
        }
        Err(error) => Attempt::Unknown(error.to_string()),
    };
    let ruling = rule(&result, &history, shared.settings.unknown_tries);
    conclude(shared, lane, head, ruling).await
}

/// Records the outcome and tells everybody whom it concerns.
async fn conclude(shared: &Arc<Shared>, lane: &Lane, head: &LaneHead, ruling: Ruling) -> Step {
    let outcome = Forwarded::from(&ruling.outcome);
    let cause = cause(&ruling.outcome);
    tracing::debug!(upstream = %lane.upstream, message_id = %head.message.message_id, outcome = outcome.as_str(), cause);
    if ruling.link == LinkSign::Suspicious {
        shared
            .incident(
                "upstream_refuses_signature",
                format!("message {}: {cause}", head.message.message_id),
            )
            .await;
    }
    let recorded = shared
        .engine
        .forward_outcome(head.message.seq, ruling.outcome.clone())
        .await;
    shared.counters.forwarded(outcome);
    shared.report(&Source::Lane(lane.clone()), ruling.link, &cause);
    if outcome == Forwarded::Quarantined {
        in_quarantine(head, &cause);
    }
    if let Err(refusal) = recorded {
        // The attempt is known as begun; the next one, under the same identifier, finds out.
        log!(logged::NOT_RECORDED, upstream = %lane.upstream, %refusal, "the outcome cannot be recorded");
        return Step::Wait;
    }
    tell(head, outcome, &cause);
    if outcome == Forwarded::Accepted && head.message.message_type == MessageType::Request {
        shared.expect_answer.notify_waiters();
    }
    let stays = matches!(outcome, Forwarded::Retry | Forwarded::SlowDown);
    match (stays, ruling.lane) {
        (false, LaneNext::Continue) => Step::Left,
        (false, LaneNext::Wait) => Step::LeftAndWait,
        (true, _) if ruling.link == LinkSign::NoConnection => Step::LinkWaits,
        (true, LaneNext::Continue) => Step::Again,
        (true, LaneNext::Wait) => Step::Wait,
    }
}

/// The line of a message that has left its lane.
fn tell(head: &LaneHead, outcome: Forwarded, cause: &str) {
    let (upstream, message_id) = (&head.lane.upstream, head.message.message_id);
    match outcome {
        Forwarded::Accepted | Forwarded::AlreadySent => log!(
            target: logbook::MESSAGES,
            logged::FORWARDED,
            %upstream,
            %message_id,
            outcome = outcome.as_str(),
            "forwarded"
        ),
        Forwarded::Rejected => log!(
            target: logbook::MESSAGES,
            logged::REJECTED,
            %upstream,
            %message_id,
            cause,
            "the upstream refused a message"
        ),
        // In quarantine: told already. The others stay in their lane.
        Forwarded::Quarantined | Forwarded::Retry | Forwarded::SlowDown => {}
    }
}

fn cause(outcome: &ForwardOutcome) -> String {
    match outcome {
        ForwardOutcome::Accepted | ForwardOutcome::AlreadySent => String::new(),
        ForwardOutcome::Renew => "the identifier is stale".to_owned(),
        ForwardOutcome::NotSent { cause }
        | ForwardOutcome::Unknown { cause }
        | ForwardOutcome::Quarantined { cause } => cause.clone(),
        ForwardOutcome::SlowDown { fault } | ForwardOutcome::Rejected { fault, .. } => fault.clone(),
    }
}

/// A person must know of it.
fn in_quarantine(head: &LaneHead, cause: &str) {
    log!(logged::QUARANTINED, upstream = %head.lane.upstream, message_id = %head.message.message_id, cause, "in quarantine");
}

/// Without an attempt: the message cannot even be written for this upstream.
async fn quarantine(shared: &Arc<Shared>, head: &LaneHead, cause: String) -> Step {
    in_quarantine(head, &cause);
    let outcome = ForwardOutcome::Quarantined { cause };
    match shared.engine.forward_outcome(head.message.seq, outcome).await {
        Ok(()) => {
            shared.counters.forwarded(Forwarded::Quarantined);
            Step::Left
        }
        Err(refusal) => {
            log!(logged::NOT_RECORDED, upstream = %head.lane.upstream, %refusal, "the outcome cannot be recorded");
            Step::Wait
        }
    }
}

/// Why a message is not ready to be sent.
enum Unprepared {
    /// Nor will it ever be.
    Never(String),
    /// It may be later.
    NotNow(String),
    /// It is in quarantine already.
    Quarantined(String),
}

impl From<Unreadable> for Unprepared {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Quarantined(cause) => Self::Quarantined(cause),
            Unreadable::Now(error) => Self::NotNow(format!("the stored message: {error}")),
        }
    }
}

/// Reads a message from the spool, writes it for the upstream and signs it, off the async threads.
async fn prepare(shared: &Arc<Shared>, head: &LaneHead, id: MessageId) -> Result<Outgoing, Unprepared> {
    let mut parts = Vec::with_capacity(head.message.parts.len());
    for body in &head.message.parts {
        parts.push(shared.engine.body_of(head.message.seq, *body).await?);
    }
    let reply_to = match &head.message.exchange_note {
        Some(note) if head.message.message_type != MessageType::Request => {
            reply_to(shared, head.message.seq, *note).await?
        }
        _ => None,
    };
    let (client, format) = (shared.client.clone(), head.message.format.clone());
    let write = move || {
        let (first, attachments) = parts
            .split_first()
            .ok_or_else(|| Unprepared::Never("the stored message has no content".to_owned()))?;
        let notice: Notice;
        let content = if format == NOTICE_FORMAT {
            notice = serde_json::from_slice(first)
                .map_err(|error| Unprepared::Never(format!("the stored notice cannot be read: {error}")))?;
            DispatchContent::Notice(&notice)
        } else {
            DispatchContent::Message {
                stored: first,
                attachments,
            }
        };
        client
            .prepare(&Dispatch {
                content,
                id,
                reply_to: reply_to.as_deref(),
            })
            .map_err(|error| match error {
                BuildError::Sign(_) => Unprepared::NotNow(error.to_string()),
                error => Unprepared::Never(error.to_string()),
            })
    };
    let written = tokio::task::spawn_blocking(write).await;
    written.unwrap_or_else(|_| {
        Err(Unprepared::Never(
            "writing the message for the upstream panicked".to_owned(),
        ))
    })
}

async fn reply_to(shared: &Arc<Shared>, seq: u64, note: BodyRef) -> Result<Option<String>, Unprepared> {
    let note = shared.engine.body_of(seq, note).await?;
    let note = ExchangeNote::decode(&note).map_err(|error| Unprepared::Never(error.to_string()))?;
    Ok(note.upstream_reply_to)
}
