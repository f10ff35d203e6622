//! Pulling: one message at a time from one of the upstream's queues, made durable by the engine, then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use engine::command::Received;
use engine::names::MessageId;
use logbook::log;
use smev3::client::{ClientError, Pull};
use smev3::fault::FaultName;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::breaker::{Gate, Probe, Source};
use crate::logged;
use crate::outcome::{LinkSign, is_suspicious};
use crate::pace::Pace;
use crate::shared::Shared;

/// Acknowledgements of one queue that may be under way while its next message is pulled.
const ACKS: usize = 16;
/// Tries of one acknowledgement; after that the upstream delivers the message again and gets another.
const ACK_TRIES: u32 = 3;

/// Polls one queue until the link stops.
pub(crate) async fn run(shared: Arc<Shared>, pull: Pull) {
    let mut pace = Pace::new(shared.settings.poll);
    let mut acks = JoinSet::new();
    let mut failures = 0_u32;
    while let Some(()) = until_fit(&shared).await {
        let pause = match once(&shared, pull).await {
            Ok(Some(message)) => {
                failures = 0;
                if let Some(id) = message.acknowledge {
                    acks.spawn(acknowledge(shared.clone(), id));
                }
                pace.message()
            }
            Ok(None) => {
                failures = 0;
                pace.empty()
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                report(&shared, pull, &error);
                backoff(&shared, failures)
            }
        };
        while acks.len() >= ACKS {
            acks.join_next().await;
        }
        while acks.try_join_next().is_some() {}
        wait(&shared, &mut pace, pause).await;
    }
    while acks.join_next().await.is_some() {}
}

/// The probe of the breaker: one ordinary poll, whatever it brings.
pub(crate) async fn probe(shared: Arc<Shared>) {
    let pull = Pull::Responses;
    match once(&shared, pull).await {
        Ok(message) => {
            shared.probed(Probe::Well);
            if let Some(id) = message.and_then(|message| message.acknowledge) {
                acknowledge(shared, id).await;
            }
        }
        Err(PullError::Engine) => shared.probed(Probe::Well),
        Err(PullError::Client(ClientError::Fault(fault))) if is_suspicious(&fault) => {
            shared.probed(Probe::Suspicious(ClientError::Fault(fault).to_string()));
        }
        Err(PullError::Client(ClientError::Fault(fault))) if fault.name != Some(FaultName::SMEVFailure) => {
            shared.probed(Probe::Well);
        }
        Err(PullError::Client(error)) => shared.probed(Probe::Failed(error.to_string())),
    }
}

/// A message that the engine has.
struct Taken {
    acknowledge: Option<MessageId>,
}

/// Why a poll brought nothing to acknowledge.
enum PullError {
    Client(ClientError),
    /// The engine takes nothing now; it was said why.
    Engine,
}

/// Pulls one message and hands it to the engine.
async fn once(shared: &Shared, pull: Pull) -> Result<Option<Taken>, PullError> {
    let registry = shared.engine.registry();
    let pulled = match shared.client.pull(pull, None, registry, shared.fresh_id()).await {
        Ok(pulled) => pulled,
        Err(error @ (ClientError::BadSignature(_) | ClientError::Protocol(_))) => {
            let bad_signature = matches!(error, ClientError::BadSignature(_));
            let kind = if bad_signature {
                "upstream_signature"
            } else {
                "upstream_protocol"
            };
            let operation = pull.operation().as_str();
            shared
                .incident(kind, format!("{operation}: not accepted, not acknowledged: {error}"))
                .await;
            return Err(PullError::Client(error));
        }
        Err(error) => return Err(PullError::Client(error)),
    };
    shared.report(&Source::Pull(pull), LinkSign::Answers, "");
    let Some(pulled) = pulled else {
        shared.set_paused(None);
        return Ok(None);
    };
    let id = pulled.incoming.message_id;
    match shared.engine.receive(&shared.settings.name, pulled.incoming).await {
        Ok(received) => {
            shared.set_paused(None);
            match received {
                Received::Accepted(_) => {
                    shared.counters.received();
                    log!(
                        target: logbook::MESSAGES,
                        logged::RECEIVED,
                        upstream = %shared.settings.name,
                        message_id = %id,
                        "received"
                    );
                }
                Received::Quarantined { cause, .. } => {
                    shared.counters.received();
                    log!(logged::QUARANTINED, upstream = %shared.settings.name, message_id = %id, cause, "in quarantine");
                }
                Received::Duplicate => {
                    tracing::debug!(upstream = %shared.settings.name, message_id = %id, "delivered again");
                }
            }
            Ok(Some(Taken {
                acknowledge: pulled.acknowledge,
            }))
        }
        Err(refusal) => {
            shared.set_paused(Some(refusal.to_string()));
            Err(PullError::Engine)
        }
    }
}

/// What a poll that failed says about the link.
fn report(shared: &Shared, pull: Pull, error: &PullError) {
    let source = Source::Pull(pull);
    match error {
        PullError::Engine => {}
        PullError::Client(ClientError::NotSent(cause)) => shared.report(&source, LinkSign::NoConnection, cause),
        PullError::Client(ClientError::Fault(fault)) if is_suspicious(fault) => {
            shared.probed(Probe::Suspicious(ClientError::Fault(fault.clone()).to_string()));
        }
        PullError::Client(ClientError::Fault(fault)) if fault.name != Some(FaultName::SMEVFailure) => {
            shared.report(&source, LinkSign::Answers, "");
        }
        PullError::Client(error) => shared.report(&source, LinkSign::LaneFailed, &error.to_string()),
    }
}

/// Acknowledges upstream what is durable here.
async fn acknowledge(shared: Arc<Shared>, id: MessageId) {
    for failures in 1..=ACK_TRIES {
        match shared.client.acknowledge(id).await {
            // If the upstream no longer waits for it, it will deliver the message again or has the Ack already: in
            // both cases the identifier is remembered long enough.
            Ok(()) => return acknowledged(&shared, id).await,
            Err(ClientError::Fault(fault)) if fault.name == Some(FaultName::TargetMessageIsNotFound) => {
                return acknowledged(&shared, id).await;
            }
            Err(error) => {
                log!(logged::ACK_NOT_TAKEN, upstream = %shared.settings.name, message_id = %id, %error, "not acknowledged upstream");
            }
        }
        tokio::select! {
            () = sleep(backoff(&shared, failures)) => {}
            () = shared.stopped() => return,
        }
    }
}

async fn acknowledged(shared: &Shared, id: MessageId) {
    if let Err(refusal) = shared.engine.upstream_acknowledged(&shared.settings.name, id).await {
        log!(logged::NOT_RECORDED, upstream = %shared.settings.name, %refusal, "the Ack cannot be recorded");
    }
}

/// Waits until polls may pass; `None` when the link is to stop.
async fn until_fit(shared: &Shared) -> Option<()> {
    let mut changes = shared.gate_changes();
    loop {
        if shared.is_stopping() {
            return None;
        }
        changes.mark_unchanged();
        let held = if shared.engine.is_held() {
            Some("the store was restored from a backup")
        } else {
            let unproven = shared.engine.clock_is_unproven();
            unproven.then_some("a person must say whether the clock is right")
        };
        if let Some(why) = held {
            shared.set_paused(Some(why.to_owned()));
            tokio::select! {
                () = sleep(shared.settings.poll.max) => {}
                () = shared.stopped() => {}
            }
            continue;
        }
        if shared.gate() != Gate::Shut {
            return Some(());
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = shared.stopped() => {}
        }
    }
}

/// The pause between two polls; cut short by the stop, and when an answer is to be expected.
async fn wait(shared: &Shared, pace: &mut Pace, pause: Duration) {
    if pause.is_zero() {
        return;
    }
    tokio::select! {
        () = sleep(pause) => {}
        () = shared.stopped() => {}
        () = shared.expect_answer.notified() => {
            pace.expect_answer();
            tokio::select! {
                () = sleep(pause.min(shared.settings.poll.min)) => {}
                () = shared.stopped() => {}
            }
        }
    }
}

/// The pause after a failure: at least that of an ordinary poll.
fn backoff(shared: &Shared, failures: u32) -> Duration {
    shared
        .settings
        .backoff
        .wait(failures, shared.settings.chance.as_ref())
        .max(shared.settings.poll.min)
}
