//! Sending again: lost receipts, passing failures, identifiers that went stale, full queues.

use emulator::{Fault, Operation, Provider, Times, WrongSignature};
use harness::Kind;

use crate::common::{
    CONSUMER, EGRN, FEDERAL, World, answered_text, assert_no_response, emptied, eventually, quarantine, queues,
    request, send, system, take_response, upstream_condition,
};
use crate::{accepted_texts, forwarded, wait_forwarded, wait_requests};

#[tokio::test]
async fn a_message_whose_receipt_was_lost_is_not_accepted_twice() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    let send_request = Operation::SendRequest;
    let knobs = bus.knobs();
    type Turn<'k> = (&'static str, u64, Box<dyn Fn() -> emulator::Knob + 'k>);
    let turns: [Turn<'_>; 7] = [
        (
            "the connection broke after acceptance",
            1,
            Box::new(|| knobs.lose_answers(send_request, 1)),
        ),
        ("several times", 3, Box::new(|| knobs.lose_answers(send_request, 3))),
        (
            "the connection broke within the answer",
            1,
            Box::new(|| knobs.half_answers(send_request, 1)),
        ),
        ("the answer was no XML", 1, Box::new(|| knobs.garbage(send_request, 1))),
        (
            "the receipt was signed by somebody else",
            1,
            Box::new(|| knobs.wrong_signature(send_request, WrongSignature::OtherKey, 1)),
        ),
        (
            "the connection broke before acceptance",
            0,
            Box::new(|| knobs.drop_calls(send_request, 1)),
        ),
        (
            "a proxy answered",
            0,
            Box::new(|| knobs.http_status(send_request, 503, 1)),
        ),
    ];
    let mut already_sent = 0;
    for (case, times, turn) in &turns {
        let knob = turn();
        let id = send(&consumer, request(EGRN, case)).await;
        assert_eq!(answered_text(&take_response(&consumer).await), *case);
        emptied(&region).await;
        assert!(knob.worked() > 0, "{case}");
        let ledger = bus.ledger();
        assert_eq!(ledger.times_accepted(&id), 1, "{case}");
        assert_eq!(ledger.accepted_with(case).len(), 1, "{case}");
        if *times > 0 {
            assert!(
                ledger.times_already_sent(&id) > 0,
                "{case}: the identifier of the first attempt is kept"
            );
            already_sent += 1;
        }
        assert_no_response(&consumer).await;
    }
    wait_forwarded(&region, "already_sent", already_sent).await;
    wait_forwarded(&region, "accepted", turns.len() as u64 - already_sent).await;
    assert!(quarantine(&region).await.is_empty());
}

#[tokio::test]
async fn a_full_queue_upstream_slows_its_own_lane_only() {
    const VIN: &str = "urn://test/vin/1.0";
    let World { bus, region } = World::start_with(None, |builder| {
        builder
            .kind(Kind::new("vin", VIN))
            .local_exchange("vin", &[CONSUMER], FEDERAL)
    })
    .await;
    bus.register_kind(emulator::Kind::new(VIN, "Request", "Response", "FEDERAL"));
    bus.set_provider(VIN, Provider::silent());
    let consumer = system(&region, CONSUMER);
    let full = bus
        .knobs()
        .overflow(Operation::SendRequest.of_kind(EGRN), Times::Always);
    for number in 0..3 {
        send(&consumer, request(EGRN, &format!("полна {number}"))).await;
    }
    eventually("the overflow", async || (full.worked() > 0).then_some(())).await;
    for number in 0..3 {
        send(&consumer, request(VIN, &format!("другая {number}"))).await;
    }
    wait_requests(&bus, 3).await;
    assert_eq!(accepted_texts(&bus.ledger(), "другая").len(), 3);
    eventually("only the full lane waits", async || {
        (queues(&region).await.get("upstream/federal") == Some(&3)).then_some(())
    })
    .await;
    assert!(upstream_condition(&region, FEDERAL).await.0, "the link itself is well");
    full.off();
    wait_requests(&bus, 6).await;
    let expected: Vec<String> = (0..3).map(|number| format!("полна {number}")).collect();
    assert_eq!(accepted_texts(&bus.ledger(), "полна"), expected);
    assert!(forwarded(&region, "slow_down").await > 0);
    assert_eq!(forwarded(&region, "rejected").await, 0);
}

#[tokio::test]
async fn a_passing_failure_of_the_bus_is_tried_again_and_a_stale_identifier_renewed() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    for (fault, renewed) in [
        ("SMEVFailure", false),
        ("QuoteLimitExceeded", false),
        ("StaleMessageId", true),
    ] {
        let knob = bus.knobs().fault(Operation::SendRequest, Fault::new(fault), 1);
        let id = send(&consumer, request(EGRN, fault)).await;
        let taken = take_response(&consumer).await;
        assert_eq!(
            (answered_text(&taken).as_str(), taken.original_message_id.as_ref()),
            (fault, Some(&id))
        );
        assert_eq!(knob.worked(), 1);
        let ledger = bus.ledger();
        assert_eq!(ledger.accepted_with(fault).len(), 1);
        assert_eq!(ledger.times_accepted(&id), usize::from(!renewed), "{fault}");
        if renewed {
            let renewed = &ledger.accepted_with(fault)[0].id;
            let story = region.json(&["trace", renewed]).await.unwrap().to_string();
            assert!(story.contains(&id), "the identifier upstream leads to the message");
        }
    }
    assert!(quarantine(&region).await.is_empty());
}
