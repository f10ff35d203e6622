//! SIGKILL at random moments under load: every message that was acknowledged to its sender is delivered, once per
//! acknowledgement of its receiver; none is missing, none is accepted twice upstream, and the journal is whole each time.
//!
//! `RSMEV_CRASH_ROUNDS` sets the number of kills (20), `RSMEV_CRASH_SEED` repeats a run's moments.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::{
    CONSUMER, EGRN, GATEWAY, LATER, OTHER, PROVIDER, SPRAVKA, World, answered_text, assert_journal_whole, quarantine,
    queues, request, response, system, text_of, within,
};
use emulator::{
    CallError, DeliveredRequest, DeliveredResponse, Ledger, Operation, Participant, Reply, ResponseData, Selector,
    SignedCall,
};

/// Requests on their way at the same time, so that the end is not far when the kills are over.
const OUTSTANDING: usize = 96;
/// Pause of a client before it repeats a call that failed.
const AGAIN: Duration = Duration::from_millis(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_when_the_gateway_is_killed() {
    let rounds = setting("RSMEV_CRASH_ROUNDS").unwrap_or(20);
    let seed = setting("RSMEV_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ (now_nanos() << 8));
    println!("RSMEV_CRASH_ROUNDS={rounds} RSMEV_CRASH_SEED={seed}");
    let mut chance = Chance(seed);

    // Whoever was killed between handing out and hearing of it gets the message again soon.
    let World { bus, mut region } = World::start_for_crashes("2s").await;
    let books = Arc::new(Books::default());
    let mut clients = Vec::new();
    for (mnemonic, kind) in [(CONSUMER, SPRAVKA), (CONSUMER, EGRN), (OTHER, SPRAVKA), (OTHER, EGRN)] {
        clients.push(tokio::spawn(send_on(
            system(&region, mnemonic),
            kind,
            Arc::clone(&books),
        )));
    }
    for mnemonic in [CONSUMER, OTHER, CONSUMER] {
        clients.push(tokio::spawn(collect_on(system(&region, mnemonic), Arc::clone(&books))));
    }
    for _ in 0..2 {
        clients.push(tokio::spawn(provide_on(system(&region, PROVIDER), Arc::clone(&books))));
    }

    for round in 1..=rounds {
        let accepted = books.lock().accepted.len();
        if chance.below(4) > 0 {
            // Under load: something must have happened since the last kill.
            within(LATER, "the load goes on", async || {
                (books.lock().accepted.len() > accepted).then_some(())
            })
            .await;
        }
        tokio::time::sleep(Duration::from_millis(chance.below(700))).await;
        region
            .kill()
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_journal_whole(&region).await;
        if chance.below(4) == 0 {
            // Killed again while it starts.
            region.launch().unwrap();
            tokio::time::sleep(Duration::from_millis(chance.below(150))).await;
            region.kill().await.unwrap();
            assert_journal_whole(&region).await;
        }
        region
            .start()
            .await
            .unwrap_or_else(|error| panic!("round {round}, seed {seed}: {error}"));
    }

    books.enough.store(true, Ordering::SeqCst);
    let settled = async || {
        let books = books.lock();
        let finished = books.sending == 0 && books.accepted.len() == books.answered.len();
        finished.then_some(())
    };
    let begun = Instant::now();
    while settled().await.is_none() {
        assert!(
            begun.elapsed() < LATER,
            "seed {seed}, unanswered: {:?}",
            books.lock().unanswered()
        );
        tokio::time::sleep(AGAIN).await;
    }
    within(LATER, "empty queues", async || {
        queues(&region).await.is_empty().then_some(())
    })
    .await;
    books.over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }

    println!("{}", books.check(&bus.ledger(), rounds, seed));
    assert!(quarantine(&region).await.is_empty());
    region.stop().await.unwrap();
    assert_journal_whole(&region).await;
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn now_nanos() -> u64 {
    u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs())
}

/// SplitMix64: moments that a seed repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What the clients together know to be true.
#[derive(Default)]
struct Books {
    book: Mutex<Book>,
    /// No new requests.
    enough: AtomicBool,
    /// No calls at all.
    over: AtomicBool,
    number: AtomicU64,
}

#[derive(Default)]
struct Book {
    /// Requests whose acceptance the sender knows of.
    accepted: BTreeMap<String, Sent>,
    /// Requests that are being sent.
    sending: usize,
    /// Local requests that the provider saw.
    delivered: BTreeSet<String>,
    /// Messages whose receiver's Ack was honoured, and when it was known.
    acknowledged: BTreeMap<String, Instant>,
    /// Requests whose answer was acknowledged.
    answered: BTreeMap<String, String>,
    /// Requests that the provider is answering or has answered.
    answering: BTreeSet<String>,
    unknown_acks: u64,
    mistakes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Sent {
    kind: &'static str,
    text: String,
}

impl Books {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_send(&self) -> bool {
        let mut book = self.lock();
        let room = book.accepted.len() + book.sending - book.answered.len() < OUTSTANDING;
        if room {
            book.sending += 1;
        }
        room
    }

    /// What the clients know, against what the bus knows; how much there was of it.
    fn check(&self, ledger: &Ledger, rounds: u64, seed: u64) -> String {
        let book = self.lock();
        assert!(book.accepted.len() as u64 > rounds, "there was load");
        assert_eq!(book.mistakes, Vec::<String>::new(), "seed {seed}");
        assert_eq!(
            ledger.accepted_more_than_once(),
            [],
            "seed {seed}: accepted twice upstream"
        );
        for (id, sent) in &book.accepted {
            if sent.kind == EGRN {
                assert_eq!(
                    ledger.accepted_with(&format!(">{}<", sent.text)).len(),
                    1,
                    "seed {seed}: {id} upstream"
                );
            } else {
                assert!(book.delivered.contains(id), "seed {seed}: {id} was never delivered");
            }
        }
        for accepted in ledger.requests() {
            let text = text_of(accepted.message.payload().unwrap_or_default());
            assert!(
                book.accepted.values().any(|sent| sent.text == text),
                "{text} was never accepted by the gateway"
            );
            assert_eq!(accepted.sender, GATEWAY);
        }
        format!(
            "{} requests over {rounds} kills, {} refused Acks",
            book.accepted.len(),
            book.unknown_acks
        )
    }
}

impl Book {
    fn unanswered(&self) -> Vec<(&String, &Sent)> {
        self.accepted
            .iter()
            .filter(|(id, _)| !self.answered.contains_key(*id))
            .take(5)
            .collect()
    }

    /// A message came by a call that began at `asked`.
    fn came(&mut self, id: &str, asked: Instant) {
        if self.acknowledged.get(id).is_some_and(|at| *at < asked) {
            self.mistakes
                .push(format!("{id} was delivered after it was acknowledged"));
        }
    }
}

/// Sends requests of a kind, one after the other, each until its acceptance is known.
async fn send_on(system: Participant, kind: &'static str, books: Arc<Books>) {
    while !books.enough.load(Ordering::SeqCst) {
        if !books.may_send() {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        let number = books.number.fetch_add(1, Ordering::SeqCst);
        let text = format!("{}-{number}", system.identity().mnemonic());
        let call = system.sign_request(&system.new_request(request(kind, &text)));
        let call = call.expect("a request can be signed");
        until_known(&system, &call, "MessageIsAlreadySent", &books).await;
        let mut book = books.lock();
        book.sending -= 1;
        book.accepted.insert(call.message_id, Sent { kind, text });
    }
}

/// Repeats a call until it succeeds or is refused with the fault that tells of an earlier success.
/// Gives whether it was refused so.
async fn until_known(system: &Participant, call: &SignedCall, known: &str, books: &Books) -> bool {
    loop {
        let answered = system.call(call).await.map_err(CallError::from);
        let result = match call.operation {
            Operation::Ack => answered.and_then(|answer| answer.acknowledged()),
            _ => answered.and_then(|answer| answer.receipt().map(drop)),
        };
        match result {
            Ok(()) => return false,
            Err(error) => match error.fault_name() {
                Some(fault) if fault == known => return true,
                None | Some("SMEVFailure") => {}
                Some(fault) => books.lock().mistakes.push(format!("refused with {fault}: {error}")),
            },
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Takes requests, acknowledges them and answers each.
async fn provide_on(system: Participant, books: Arc<Books>) {
    while !books.over.load(Ordering::SeqCst) {
        let asked = Instant::now();
        let Ok(Some(taken)) = system.get_request(&Selector::any()).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let id = taken.data.message_id.clone();
        {
            let mut book = books.lock();
            book.came(&id, asked);
            book.delivered.insert(id.clone());
        }
        acknowledge(&system, &id, &books).await;
        if books.lock().answering.insert(id) {
            reply(&system, &taken, &books).await;
        }
    }
}

async fn reply(system: &Participant, taken: &DeliveredRequest, books: &Books) {
    let Some(to) = taken.reply_to.clone() else {
        books
            .lock()
            .mistakes
            .push(format!("{} has no ReplyTo", taken.data.message_id));
        return;
    };
    let payload = response(SPRAVKA, &text_of(&taken.data.content));
    let data = ResponseData::sent_at(system.now(), to, Reply::content(payload));
    let call = system.sign_response(&data).expect("an answer can be signed");
    until_known(system, &call, "MessageIsAlreadySent", books).await;
}

/// Takes answers and acknowledges them.
async fn collect_on(system: Participant, books: Arc<Books>) {
    while !books.over.load(Ordering::SeqCst) {
        let asked = Instant::now();
        let Ok(Some(taken)) = system.get_response(&Selector::any()).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let id = taken.data.message_id.clone();
        books.lock().came(&id, asked);
        acknowledge(&system, &id, &books).await;
        enter(&taken, &books);
    }
}

/// Enters an answer into the books: it must fit its request, and be the only one.
fn enter(taken: &DeliveredResponse, books: &Books) {
    let id = &taken.data.message_id;
    let mut book = books.lock();
    let Some(original) = taken.original_message_id.clone() else {
        book.mistakes.push(format!("the answer {id} names no request"));
        return;
    };
    if taken.data.reply.payload().is_none() {
        book.mistakes
            .push(format!("{original} was answered with {:?}", taken.data.reply));
        return;
    }
    let text = answered_text(taken);
    if book.accepted.get(&original).is_some_and(|sent| sent.text != text) {
        book.mistakes.push(format!("{original} was answered with {text}"));
    }
    match book.answered.insert(original.clone(), id.clone()) {
        Some(other) if other != *id => book
            .mistakes
            .push(format!("{original} has two answers: {other} and {id}")),
        _ => {}
    }
}

/// Acknowledges until it is known that the Ack was honoured. A refusal tells that an earlier one was: by this client,
/// whose answer was lost, or by another that was handed the message when its lease had run out.
async fn acknowledge(system: &Participant, id: &str, books: &Books) {
    let call = system.sign_ack(id, Some(true)).expect("an Ack can be signed");
    let unknown = until_known(system, &call, "TargetMessageIsNotFound", books).await;
    let mut book = books.lock();
    if unknown {
        book.unknown_acks += 1;
    }
    book.acknowledged.entry(id.to_owned()).or_insert_with(Instant::now);
}
