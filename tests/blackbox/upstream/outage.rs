//! The bus is away, for moments and for days.

use std::collections::BTreeMap;

use emulator::{Clock, Operation, Reply, Selector, Times};
use jiff::Timestamp;

use crate::common::{
    CONSUMER, EGRN, FEDERAL, OTHER, PROVIDER, SPRAVKA, World, answered_text, assert_journal_whole, assert_no_response,
    echo, emptied, eventually, quarantine, queue, queues, request, send, send_data, system, take_response,
    upstream_condition,
};
use crate::{accepted_texts, take_answers, wait_forwarded, wait_requests};

#[tokio::test]
async fn what_was_accepted_during_an_outage_arrives_once_and_in_the_order_of_its_lane() {
    let World { bus, region } = World::start().await;
    let (consumer, other) = (system(&region, CONSUMER), system(&region, OTHER));
    bus.go_down().await;
    eventually("the outage is noticed", async || {
        (!upstream_condition(&region, FEDERAL).await.0).then_some(())
    })
    .await;
    let mut sent = BTreeMap::new();
    for number in 0..8 {
        for (system, letter) in [(&consumer, "A"), (&other, "B")] {
            let text = format!("{letter}{number}");
            sent.insert(send(system, request(EGRN, &text)).await, text);
        }
    }
    assert_eq!(queues(&region).await.get("upstream/federal"), Some(&16));
    assert_eq!(queue(&region, "upstream/federal").await.len(), 16);
    let metrics = region.metrics().await.unwrap();
    assert_eq!(metrics.value("upstream_up", &[("upstream", FEDERAL)]), Some(0.0));
    assert!(metrics.value("upstream_lag_seconds", &[("upstream", FEDERAL)]) > Some(0.0));
    assert_eq!(
        region.ready().await.unwrap().0,
        200,
        "an upstream is never a reason not to be ready"
    );
    // Inside the region everything goes on.
    send(&consumer, request(SPRAVKA, "местное")).await;
    echo(&system(&region, PROVIDER)).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "местное");

    bus.come_back().await.unwrap();
    wait_requests(&bus, 16).await;
    let ledger = bus.ledger();
    for letter in ["A", "B"] {
        let expected: Vec<String> = (0..8).map(|number| format!("{letter}{number}")).collect();
        assert_eq!(accepted_texts(&ledger, letter), expected, "a lane keeps its order");
    }
    let mut answers = take_answers(&consumer, &Selector::any(), 8).await;
    answers.extend(take_answers(&other, &Selector::any(), 8).await);
    for (original, text) in answers {
        assert_eq!(sent.remove(&original), Some(text));
    }
    assert!(sent.is_empty(), "unanswered: {sent:?}");
    let ledger = bus.ledger();
    assert!(ledger.accepted_more_than_once().is_empty());
    assert_eq!(ledger.requests().count(), 16);
    assert!(upstream_condition(&region, FEDERAL).await.0);
    emptied(&region).await;
    wait_forwarded(&region, "accepted", 16).await;
}

#[tokio::test]
async fn after_four_days_of_outage_everything_arrives_once_and_answers_come_home_under_the_senders_ids() {
    let clock = Clock::running(Timestamp::now(), 1.0);
    let World { bus, mut region } = World::start_with(Some(clock.clone()), |builder| builder).await;
    let (consumer, other) = (system(&region, CONSUMER), system(&region, OTHER));
    let days = |count: u64| std::time::Duration::from_secs(count * 86_400);

    // One message reaches the bus, but its receipt does not come back before the outage.
    let lost = bus.knobs().lose_answers(Operation::SendRequest, 1);
    let broken = bus.knobs().http_status(Operation::SendRequest, 503, Times::Always);
    let uncertain = send(&other, request(EGRN, "U")).await;
    eventually("the lost receipt", async || {
        (lost.worked() > 0 && broken.worked() > 0).then_some(())
    })
    .await;
    bus.go_down().await;
    bus.knobs().clear();

    let mut sent = BTreeMap::new();
    let mut send_some = async |letter: &str, count: usize| {
        for number in 0..count {
            let text = format!("{letter}{number}");
            let data = consumer.new_request(request(EGRN, &text)).node("NODE");
            send_data(&consumer, &data).await;
            sent.insert(data.message_id, text);
        }
    };
    send_some("A", 4).await;
    for letter in ["B", "C"] {
        region.stop().await.unwrap();
        clock.advance(days(2));
        region.start().await.unwrap();
        send_some(letter, 3).await;
    }
    bus.come_back().await.unwrap();
    wait_requests(&bus, 11).await;

    let mut order = accepted_texts(&bus.ledger(), "A");
    order.extend(accepted_texts(&bus.ledger(), "B"));
    order.extend(accepted_texts(&bus.ledger(), "C"));
    let in_lane: Vec<String> = accepted_texts(&bus.ledger(), "")
        .into_iter()
        .filter(|text| text != "U")
        .collect();
    assert_eq!(in_lane, order, "the lane kept its order");
    let answers = take_answers(&consumer, &Selector::any().node("NODE"), 10).await;
    for (original, text) in answers {
        assert_eq!(
            sent.remove(&original),
            Some(text),
            "answers come home under the sender's identifier"
        );
    }
    assert!(sent.is_empty(), "unanswered: {sent:?}");
    let ledger = bus.ledger();
    assert!(ledger.accepted_more_than_once().is_empty());
    for text in &order {
        let accepted = ledger.accepted_with(&format!(">{text}<"));
        assert_eq!(accepted.len(), 1, "{text}");
    }
    assert_eq!(ledger.times_accepted(&uncertain), 1);
    assert!(
        ledger
            .refused_with("StaleMessageId")
            .iter()
            .all(|refused| refused.id.as_deref() == Some(&uncertain))
    );
    // What may have been accepted is not sent under another identifier: a person is asked. Its answer comes all the same.
    let taken = take_response(&other).await;
    assert_eq!(
        (answered_text(&taken), taken.original_message_id),
        ("U".to_owned(), Some(uncertain.clone()))
    );
    assert_no_response(&other).await;
    let held: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
    assert!(held.iter().all(|id| *id == uncertain), "{held:?}");
    assert_journal_whole(&region).await;
}

#[tokio::test]
async fn what_expires_while_the_bus_is_away_is_not_sent_any_more() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    bus.go_down().await;
    let data = consumer
        .new_request(request(EGRN, "срочно"))
        .eol(consumer.now() + jiff::SignedDuration::from_secs(2));
    send_data(&consumer, &data).await;
    send(&consumer, request(EGRN, "не срочно")).await;
    let taken = take_response(&consumer).await;
    let Reply::Async(status) = taken.data.reply else {
        panic!("not a notice: {:?}", taken.data.reply)
    };
    assert_eq!(status.original_message_id, data.message_id);
    bus.come_back().await.unwrap();
    assert_eq!(answered_text(&take_response(&consumer).await), "не срочно");
    assert_eq!(bus.ledger().requests().count(), 1);
}
