//! Filling a queue and emptying it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use emulator::{Emulator, Operation, RequestData, Selector};
use tokio::task::JoinSet;

use crate::LoadError;
use crate::prepared;
use crate::region::Pair;
use crate::workers::{Line, between};

/// How long a queue may take to become empty at most, for each message.
const PATIENCE: Duration = Duration::from_millis(20);
/// And beside that.
const PATIENCE_BESIDE: Duration = Duration::from_secs(120);
/// Parts of a drain that are measured one by one.
const PARTS: usize = 10;

/// Who sends to whom.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) pairs: Vec<Pair>,
    pub(crate) url: String,
    pub(crate) connections: usize,
    pub(crate) size: usize,
}

/// How a queue became empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drained {
    pub(crate) messages: usize,
    /// From the first message to the last.
    pub(crate) took: Duration,
    /// The same for each tenth.
    pub(crate) parts: Vec<Duration>,
    /// Processor time of the gateway, if it was measured: it says what a message costs whatever else runs on the machine.
    pub(crate) cpu: Duration,
}

impl Drained {
    /// Messages in a second.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.messages, self.took)
    }

    /// Microseconds of the gateway's processor time for each message.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.messages as f64).max(1.0)
    }

    /// Messages in a second for each tenth.
    pub(crate) fn rates(&self) -> Vec<f64> {
        let of = self.messages / PARTS;
        self.parts.iter().map(|took| per_second(of, *took)).collect()
    }
}

fn per_second(count: usize, time: Duration) -> f64 {
    // Counts stay far below 2^52.
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// Sends so many messages.
pub(crate) async fn fill(flow: &Flow, count: usize) -> Result<(), LoadError> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for number in 0..flow.connections {
        let pair = flow.pairs[number % flow.pairs.len()].clone();
        let text = prepared::content(&pair.consumer, &pair.namespace, flow.size)?;
        let next = Arc::clone(&next);
        let mut line = Line::new(&flow.url)?;
        senders.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let request = RequestData::sent_at(pair.consumer.now(), text.as_str());
                let call = pair.consumer.sign_request(&request)?;
                let sent = line.post(Operation::SendRequest, &call.content_type, call.body).await;
                sent.map_err(LoadError::Refused)?;
            }
            Ok::<_, LoadError>(())
        });
    }
    while let Some(done) = senders.join_next().await {
        done.map_err(|error| LoadError::Refused(error.to_string()))??;
    }
    Ok(())
}

/// What receivers have so far.
struct Fetched {
    ids: HashSet<u128>,
    marks: Vec<Instant>,
    part: usize,
}

/// Fetches and acknowledges until every queue is empty. Every message must come once.
pub(crate) async fn fetch(flow: &Flow, count: usize) -> Result<Drained, LoadError> {
    let fetched = Arc::new(Mutex::new(Fetched {
        ids: HashSet::with_capacity(count),
        marks: vec![Instant::now()],
        part: (count / PARTS).max(1),
    }));
    let mut receivers = JoinSet::new();
    for number in 0..flow.connections {
        let pair = flow.pairs[number % flow.pairs.len()].clone();
        receivers.spawn(receive(pair, Line::new(&flow.url)?, Arc::clone(&fetched)));
    }
    while let Some(done) = receivers.join_next().await {
        done.map_err(|error| LoadError::Refused(error.to_string()))??;
    }
    let fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
    if fetched.ids.len() != count {
        return Err(LoadError::Refused(format!(
            "{} of {count} messages came",
            fetched.ids.len()
        )));
    }
    Ok(Drained {
        messages: count,
        took: fetched.marks[0].elapsed(),
        parts: fetched.marks.windows(2).map(|two| two[1] - two[0]).collect(),
        cpu: Duration::ZERO,
    })
}

async fn receive(pair: Pair, mut line: Line, fetched: Arc<Mutex<Fetched>>) -> Result<(), LoadError> {
    let get = pair.provider.sign_get_request(&Selector::any())?;
    loop {
        let answer = line
            .post(Operation::GetRequest, &get.content_type, get.body.clone())
            .await;
        let answer = answer.map_err(LoadError::Refused)?;
        let text = String::from_utf8_lossy(&answer);
        let Some(id) = between(&text, "MessageID>") else {
            return Ok(());
        };
        let ack = pair.provider.sign_ack(id, Some(true))?;
        let acknowledged = line.post(Operation::Ack, &ack.content_type, ack.body).await;
        acknowledged.map_err(LoadError::Refused)?;
        let number = u128::from_str_radix(&id.replace('-', ""), 16);
        let number = number.map_err(|error| LoadError::Refused(format!("MessageID {id}: {error}")))?;
        let mut fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if !fetched.ids.insert(number) {
            return Err(LoadError::Refused(format!("message {id} came twice")));
        }
        if fetched.ids.len().is_multiple_of(fetched.part) {
            fetched.marks.push(Instant::now());
        }
    }
}

/// Lets the bus come back, and waits until it has accepted so many messages more. It must accept each once.
pub(crate) async fn forward(bus: &Emulator, count: usize) -> Result<Drained, LoadError> {
    let before = bus.ledger().all_accepted().len();
    bus.come_back()
        .await
        .map_err(|error| LoadError::Refused(error.to_string()))?;
    let patience = PATIENCE_BESIDE + PATIENCE * u32::try_from(count).unwrap_or(u32::MAX);
    let all = |ledger: &emulator::Ledger| (ledger.all_accepted().len() >= before + count).then_some(());
    let waited = bus.wait_for(patience, all).await;
    let ledger = bus.ledger();
    let accepted = &ledger.all_accepted()[before..];
    let ids: HashSet<&str> = accepted.iter().map(|message| message.id.as_str()).collect();
    if waited.is_err() || ids.len() != count || accepted.len() != count {
        return Err(LoadError::Refused(format!(
            "the bus accepted {} messages, {} different ones, of {count}",
            accepted.len(),
            ids.len()
        )));
    }
    let part = (count / PARTS).max(1);
    let mut times: Vec<_> = accepted.iter().map(|message| message.at).collect();
    times.sort_unstable();
    let between = |from: usize, to: usize| times[to].duration_since(times[from]).unsigned_abs();
    Ok(Drained {
        messages: count,
        took: between(0, count - 1),
        parts: (0..count / part)
            .map(|n| between(n * part, (n + 1) * part - 1))
            .collect(),
        cpu: Duration::ZERO,
    })
}
