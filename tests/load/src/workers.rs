//! The connections at work: one call at a time each, the next as soon as the last is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use emulator::{Connection, Endpoint, Operation, Participant, Reply, ResponseData, SignedCall, TransportError};
use tokio::sync::watch;

use crate::prepared::{Batch, payload};

/// What one connection did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Microseconds of each call, or of each whole exchange.
    pub(crate) latencies: Vec<u32>,
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
    pub(crate) ran_out: bool,
}

/// Calls shared by connections: each takes the next.
#[derive(Debug)]
pub(crate) struct Supply {
    pub(crate) batch: Batch,
    next: AtomicUsize,
}

impl Supply {
    pub(crate) fn new(batch: Batch) -> Supply {
        Supply {
            batch,
            next: AtomicUsize::new(0),
        }
    }

    fn take(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.batch.fills.len()).then_some(number)
    }

    fn body(&self, number: usize) -> Bytes {
        self.batch.template.fill(&self.batch.fills[number])
    }
}

/// A kept connection to one endpoint, opened anew when it breaks.
pub(crate) struct Line {
    endpoint: Endpoint,
    path: String,
    open: Option<Connection>,
}

impl Line {
    pub(crate) fn new(url: &str) -> Result<Line, TransportError> {
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        Ok(Line {
            endpoint: Endpoint::parse(url)?,
            path: format!("/{path}"),
            open: None,
        })
    }

    /// Posts; what does not come back with status 200 is a failure, with the beginning of what did.
    pub(crate) async fn post(
        &mut self,
        operation: Operation,
        content_type: &str,
        body: Bytes,
    ) -> Result<Bytes, String> {
        let connection = match self.open.as_mut().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.open.insert(
                Connection::open(&self.endpoint)
                    .await
                    .map_err(|error| error.to_string())?,
            ),
        };
        let action = format!("urn:{operation}");
        let answer = connection
            .post(&self.path, content_type, Some(&action), body)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let text = String::from_utf8_lossy(&answer.body);
        let said = between(&text, "faultstring>").unwrap_or(&text);
        Err(format!(
            "{operation}: HTTP status {}: {}",
            answer.status,
            said.chars().take(300).collect::<String>()
        ))
    }
}

/// SendRequest after SendRequest until the time is over.
pub(crate) async fn accept(mut line: Line, supply: Arc<Supply>, until: Instant) -> Done {
    let mut done = Done::default();
    while Instant::now() < until {
        let Some(number) = supply.take() else {
            done.ran_out = true;
            break;
        };
        let body = supply.body(number);
        let since = Instant::now();
        let answer = line
            .post(Operation::SendRequest, &supply.batch.template.content_type, body)
            .await;
        done.count(since, 1, answer.map(drop));
    }
    done
}

/// What the exchanges of a pair need, all signed beforehand but the answers.
#[derive(Debug)]
pub(crate) struct Exchanges {
    pub(crate) requests: Supply,
    pub(crate) provider: Participant,
    pub(crate) get_request: SignedCall,
    pub(crate) get_response: SignedCall,
    /// The provider's acknowledgements: the n-th is of the n-th request.
    pub(crate) request_acks: Batch,
    /// The consumer's acknowledgements: the n-th is of the answer that has its identifier.
    pub(crate) response_acks: Batch,
    /// Numbers of requests by identifier.
    pub(crate) numbers: std::collections::HashMap<String, usize>,
    pub(crate) namespace: String,
}

/// Whole exchanges until the time is over. The queue belongs to all connections of a pair, so that a connection may
/// finish what another began: the work is the same.
pub(crate) async fn full(mut line: Line, exchanges: Arc<Exchanges>, until: Instant) -> Done {
    let mut done = Done::default();
    while Instant::now() < until {
        let Some(number) = exchanges.requests.take() else {
            done.ran_out = true;
            break;
        };
        let since = Instant::now();
        let outcome = exchange(&mut line, &exchanges, number).await;
        done.count(since, 6, outcome);
    }
    done
}

/// Whole exchanges at a fixed pace until told to stop. A latency counts from the moment at which the exchange was due, so that
/// a slow one does not hide those behind it.
pub(crate) async fn paced(
    mut line: Line,
    exchanges: Arc<Exchanges>,
    (first, every): (Instant, Duration),
    stopped: watch::Receiver<bool>,
) -> Done {
    let mut done = Done::default();
    let mut due = first;
    loop {
        tokio::time::sleep_until(due.into()).await;
        if *stopped.borrow() {
            return done;
        }
        let Some(number) = exchanges.requests.take() else {
            done.ran_out = true;
            return done;
        };
        let outcome = exchange(&mut line, &exchanges, number).await;
        done.count(due, 6, outcome);
        due += every;
    }
}

async fn exchange(line: &mut Line, all: &Exchanges, number: usize) -> Result<(), String> {
    let text_xml = &all.requests.batch.template.content_type;
    line.post(Operation::SendRequest, text_xml, all.requests.body(number))
        .await?;

    let delivered = line
        .post(Operation::GetRequest, text_xml, all.get_request.body.clone())
        .await?;
    let delivered = String::from_utf8_lossy(&delivered);
    let id = between(&delivered, "MessageID>").ok_or("GetRequest brought no message")?;
    let reply_to = between(&delivered, "ReplyTo>").ok_or("GetRequest brought no ReplyTo")?;
    let got = *all
        .numbers
        .get(id)
        .ok_or("GetRequest brought a message of somebody else")?;
    let ack = all.request_acks.template.fill(&all.request_acks.fills[got]);
    line.post(Operation::Ack, text_xml, ack).await?;

    // The only call that is signed while the clock runs: it must have the ReplyTo that has just come.
    let reply = Reply::content(payload(&all.namespace, "Response", 500));
    let data = ResponseData::new(reply_to, reply).id(all.response_acks.fills[got].id());
    let call = all.provider.sign_response(&data).map_err(|error| error.to_string())?;
    line.post(Operation::SendResponse, text_xml, call.body).await?;

    let answer = line
        .post(Operation::GetResponse, text_xml, all.get_response.body.clone())
        .await?;
    let answer = String::from_utf8_lossy(&answer);
    let original = between(&answer, "OriginalMessageId>").ok_or("GetResponse brought no message")?;
    let original = *all
        .numbers
        .get(original)
        .ok_or("GetResponse brought an answer to somebody else")?;
    let ack = all.response_acks.template.fill(&all.response_acks.fills[original]);
    line.post(Operation::Ack, text_xml, ack).await?;
    Ok(())
}

impl Done {
    fn count(&mut self, since: Instant, calls: u64, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                self.latencies
                    .push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
                self.calls += calls;
            }
            Err(failure) => {
                self.failures += 1;
                self.first_failure.get_or_insert(failure);
            }
        }
    }
}

/// The text after a tag's end, up to the next tag.
pub(crate) fn between<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let start = text.find(tag)? + tag.len();
    text[start..].find('<').map(|end| &text[start..start + end])
}
