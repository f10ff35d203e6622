//! Everything that is not right gets its fault and leaves no trace but a journal record, for callers that are known, or a
//! counter.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod callers;
#[path = "../common/mod.rs"]
mod common;
mod content;
mod identifiers;
mod rates;
mod signatures;
mod suspended;

use emulator::{Fault, Participant, SignedCall};
use harness::Region;

use common::{SPRAVKA, eventually, journal, queues, refused, request};

/// What must not be there after a refusal, counted before and after.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    queues: std::collections::BTreeMap<String, u64>,
    accepted: u64,
    accept_events: usize,
    refused: usize,
}

impl Traces {
    async fn of(region: &Region) -> Traces {
        let metrics = region.metrics().await.unwrap();
        Traces {
            queues: queues(region).await,
            accepted: metrics.count("messages_accepted_total", &[]),
            accept_events: journal(region, &["--type", "accepted"]).await.len(),
            refused: journal(region, &["--type", "refused"]).await.len(),
        }
    }
}

/// Calls that must all be refused, with nothing else to be seen afterwards.
struct Refusals<'r> {
    region: &'r Region,
    before: Traces,
    counted: harness::Metrics,
    expected: Vec<&'static str>,
}

impl<'r> Refusals<'r> {
    async fn begin(region: &'r Region) -> Refusals<'r> {
        let counted = region.metrics().await.unwrap();
        Refusals {
            region,
            before: Traces::of(region).await,
            counted,
            expected: Vec::new(),
        }
    }

    /// `case` is refused with the fault `element`.
    async fn expect(&mut self, case: &str, system: &Participant, call: &SignedCall, element: &'static str) -> Fault {
        let fault = refused(system, call).await;
        assert_eq!(fault.element, element, "{case}: {fault}");
        assert!(!fault.text.is_empty(), "{case}: a fault says something to a person");
        self.expected.push(element);
        fault
    }

    /// The same with the cause of a bad signature.
    async fn expect_signature(&mut self, case: &str, system: &Participant, call: &SignedCall, cause: &str) {
        let fault = self.expect(case, system, call, "SignatureVerificationFault").await;
        assert_eq!(
            fault.field_text("SignatureVerificationFault"),
            Some(cause),
            "{case}: {fault}"
        );
    }

    /// Every refusal is counted, those of `known` callers are in the journal (at most 20 a minute), and nothing else changed.
    async fn conclude(self, known: &[&str]) {
        let metrics = self.region.metrics().await.unwrap();
        let mut by_fault = std::collections::BTreeMap::new();
        for fault in &self.expected {
            *by_fault.entry(*fault).or_insert(0u64) += 1;
        }
        for (fault, times) in by_fault {
            let count = |metrics: &harness::Metrics| metrics.count("messages_refused_total", &[("fault", fault)]);
            assert_eq!(count(&metrics) - count(&self.counted), times, "{fault}");
        }
        let wanted = self.expected.len() + self.before.refused;
        if !known.is_empty() {
            let found = eventually("the refusals in the journal", async || {
                let found = journal(self.region, &["--type", "refused"]).await;
                let named = found
                    .iter()
                    .filter(|event| known.iter().any(|one| event.to_string().contains(one)))
                    .count();
                assert_eq!(named, found.len(), "only known callers are named");
                assert!(named <= wanted, "{named} records of {wanted} refusals");
                (named == wanted).then_some(found)
            })
            .await;
            let mut journaled: Vec<_> = found[self.before.refused..]
                .iter()
                .map(|event| event["fault"].as_str().unwrap_or_default())
                .collect();
            journaled.sort_unstable();
            let mut heard = self.expected;
            heard.sort_unstable();
            assert_eq!(journaled, heard, "the journal calls a fault as the caller heard it");
        }
        let after = Traces {
            refused: self.before.refused,
            ..Traces::of(self.region).await
        };
        assert_eq!(after, self.before, "a refusal leaves nothing behind");
    }
}

fn signed(system: &Participant, text: &str) -> SignedCall {
    system
        .sign_request(&system.new_request(request(SPRAVKA, text)))
        .unwrap()
}

/// The call without what stands from `from` to `to`.
fn without(call: &SignedCall, from: &str, to: &str) -> SignedCall {
    let text = call.text();
    let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap() + to.len());
    let mut spoilt = call.clone();
    spoilt.body = format!("{}{}", &text[..start], &text[end..]).into();
    spoilt
}

/// The call with the first base64 letter after `after` exchanged for another.
fn spoil(call: &SignedCall, after: &str) -> SignedCall {
    let mut text = call.text();
    let at = text.find(after).unwrap() + after.len();
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    text.replace_range(at..=at, other);
    let mut spoilt = call.clone();
    spoilt.body = text.into();
    spoilt
}
