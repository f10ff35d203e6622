//! The systems of the region: they send, provide and collect, and write down what they are told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use emulator::{
    CallError, DeliveredRequest, DeliveredResponse, Operation, Participant, Reply, ResponseData, Selector, SignedCall,
};

use crate::books::{Books, Sent};
use crate::common::{SPRAVKA, answered_text, request, response, text_of};

/// Pause of a client before it repeats a call that failed.
pub(crate) const AGAIN: Duration = Duration::from_millis(15);

/// Sends requests of a kind, one after the other, each until its acceptance is known.
pub(crate) async fn send_on(system: Participant, kind: &'static str, books: Arc<Books>) {
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
pub(crate) async fn provide_on(system: Participant, books: Arc<Books>) {
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
pub(crate) async fn collect_on(system: Participant, books: Arc<Books>) {
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
