//! What the clients together know to be true, and what must follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use emulator::Ledger;
use serde_json::Value;

use crate::common::{EGRN, FEDERAL, GATEWAY, text_of};

/// Requests on their way at the same time, so that the end is not far when the kills are over.
const OUTSTANDING: usize = 96;

/// The clients' books.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) book: Mutex<Book>,
    /// No new requests.
    pub(crate) enough: AtomicBool,
    /// No calls at all.
    pub(crate) over: AtomicBool,
    pub(crate) number: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Book {
    /// Requests whose acceptance the sender knows of.
    pub(crate) accepted: BTreeMap<String, Sent>,
    /// Requests that are being sent.
    pub(crate) sending: usize,
    /// Local requests that the provider saw.
    pub(crate) delivered: BTreeSet<String>,
    /// Messages whose receiver's Ack was honoured, and when it was known.
    pub(crate) acknowledged: BTreeMap<String, Instant>,
    /// Requests whose answer was acknowledged.
    pub(crate) answered: BTreeMap<String, String>,
    /// Requests that the provider is answering or has answered.
    pub(crate) answering: BTreeSet<String>,
    /// What the bus asked: the identifier and the text of each request.
    pub(crate) asked: BTreeMap<String, String>,
    pub(crate) unknown_acks: u64,
    pub(crate) mistakes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Books {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn may_send(&self) -> bool {
        let mut book = self.lock();
        let room = book.accepted.len() + book.sending - book.answered.len() < OUTSTANDING;
        if room {
            book.sending += 1;
        }
        room
    }

    /// What the clients know, against what the bus knows and what the journal says.
    pub(crate) fn check(&self, ledger: &Ledger, journal: &[Value], seed: u64) -> Told {
        let book = self.lock();
        assert_eq!(book.mistakes, Vec::<String>::new(), "seed {seed}");
        assert_eq!(
            ledger.accepted_more_than_once(),
            [],
            "seed {seed}: accepted twice upstream"
        );
        for (id, sent) in &book.accepted {
            if sent.kind == EGRN {
                let upstream = ledger.accepted_with(&format!(">{}<", sent.text));
                assert_eq!(upstream.len(), 1, "seed {seed}: {id} upstream");
            } else {
                assert!(book.delivered.contains(id), "seed {seed}: {id} was never delivered");
            }
        }
        for accepted in ledger.requests() {
            let text = text_of(accepted.message.payload().unwrap_or_default());
            let known = book.accepted.values().any(|sent| sent.text == text);
            assert!(known, "{text} was never accepted by the gateway");
            assert_eq!(accepted.sender, GATEWAY);
        }
        for (id, text) in &book.asked {
            let answers = ledger.responses_to(id);
            let texts: Vec<_> = answers
                .iter()
                .filter_map(|answer| answer.message.payload().map(text_of))
                .collect();
            assert_eq!(texts, [text.as_str()], "seed {seed}: what the bus heard to {id}");
            assert!(book.delivered.contains(id), "seed {seed}: {id} was never delivered");
        }
        Told {
            requests: book.accepted.len(),
            asked: book.asked.len(),
            upstream: in_order(ledger, journal, seed),
            unknown_acks: book.unknown_acks,
        }
    }
}

/// Every message that the journal has for the bus is in the bus's ledger once, those of a lane in the journal's order;
/// nothing else is. How many they are.
fn in_order(ledger: &Ledger, journal: &[Value], seed: u64) -> usize {
    let mut lanes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for event in journal.iter().filter(|event| event["recipient"]["upstream"] == FEDERAL) {
        let lane = format!("{} {}", event["sender"], event["kind"]);
        let id = event["id"].as_str().expect("a message has an identifier");
        lanes.entry(lane).or_default().push(id);
    }
    let upstream: Vec<&str> = ledger
        .requests()
        .chain(ledger.responses())
        .map(|one| one.id.as_str())
        .collect();
    for (lane, ids) in &lanes {
        let own: BTreeSet<_> = ids.iter().collect();
        let heard: Vec<_> = upstream.iter().filter(|id| own.contains(id)).copied().collect();
        assert_eq!(heard, *ids, "seed {seed}: lane {lane}");
    }
    assert_eq!(
        upstream.len(),
        lanes.values().map(Vec::len).sum::<usize>(),
        "seed {seed}"
    );
    upstream.len()
}

/// How much there was.
pub(crate) struct Told {
    pub(crate) requests: usize,
    asked: usize,
    upstream: usize,
    unknown_acks: u64,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            asked,
            upstream,
            unknown_acks,
        } = self;
        write!(
            f,
            "{requests} requests of the region and {asked} of the bus, all answered; {upstream} messages accepted \
             upstream, each once and in order; {unknown_acks} refused Acks; none lost, none doubled"
        )
    }
}

impl Book {
    pub(crate) fn unanswered(&self) -> Vec<(&String, &Sent)> {
        self.accepted
            .iter()
            .filter(|(id, _)| !self.answered.contains_key(*id))
            .take(5)
            .collect()
    }

    /// A message came by a call that began at `asked`.
    pub(crate) fn came(&mut self, id: &str, asked: Instant) {
        if self.acknowledged.get(id).is_some_and(|at| *at < asked) {
            self.mistakes
                .push(format!("{id} was delivered after it was acknowledged"));
        }
    }
}
