//! The bus goes away, loses answers, repeats itself, refuses and lies: everything accepted still arrives once, in the
//! order of its lane, and answers come home.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod attempts;
#[path = "../common/mod.rs"]
mod common;
mod links;
mod outage;
mod paused;
mod pulling;
mod rulings;
mod tls;

use emulator::{Emulator, Ledger, Participant, Selector};
use harness::Region;

use common::{FEDERAL, LATER, answered_text, eventually, next_response_of, text_of};

/// The texts of the requests that the bus accepted and that begin with `prefix`, in order.
fn accepted_texts(ledger: &Ledger, prefix: &str) -> Vec<String> {
    let texts = ledger
        .requests()
        .filter_map(|accepted| accepted.message.payload().map(text_of));
    texts.filter(|text| text.starts_with(prefix)).collect()
}

/// Waits until the bus has accepted so many requests.
async fn wait_requests(bus: &Emulator, count: usize) {
    let reached = bus
        .wait_for(LATER, |ledger| (ledger.requests().count() >= count).then_some(()))
        .await;
    assert!(
        reached.is_ok(),
        "{} of {count} requests reached the bus",
        bus.ledger().requests().count()
    );
}

/// Takes so many answers: the request that each answers, and its text.
async fn take_answers(system: &Participant, selector: &Selector, count: usize) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let taken = next_response_of(system, selector).await;
        system.ack(&taken.data.message_id).await.unwrap();
        answers.push((taken.original_message_id.clone().unwrap(), answered_text(&taken)));
    }
    answers
}

async fn forwarded(region: &Region, outcome: &str) -> u64 {
    let labels = [("upstream", FEDERAL), ("outcome", outcome)];
    region
        .metrics()
        .await
        .unwrap()
        .count("messages_forwarded_total", &labels)
}

/// Waits until so many attempts ended like this: they are counted a moment after their message moved.
async fn wait_forwarded(region: &Region, outcome: &str, expected: u64) {
    eventually(&format!("{expected} attempts ended as {outcome}"), async || {
        (forwarded(region, outcome).await == expected).then_some(())
    })
    .await;
}
