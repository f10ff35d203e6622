//! A start with a clock that stands before the journal's last time, or far after it. What a clock does that jumps while the gateway runs is tested beside
//! the engine, because only there a test owns the clock.

use super::{condition, incident};
use crate::common::{
    CONSUMER, PROVIDER, SPRAVKA, assert_journal_whole, hours, journal, local_region, refused, request, send, system,
    take_request,
};
use emulator::{Clock, SignedCall};
use harness::Region;
use jiff::Timestamp;

#[tokio::test]
async fn after_a_start_with_a_clock_set_back_nothing_is_accepted_twice_or_forgotten() {
    let start = Timestamp::now();
    let clock = Clock::running(start + hours(5), 1.0);
    let mut region = local_region().clock(clock.clone()).start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let call = consumer
        .sign_request(&consumer.new_request(request(SPRAVKA, "раз")))
        .unwrap();
    let first = consumer.call(&call).await.unwrap().receipt().unwrap().message_id;
    region.stop().await.unwrap();

    clock.set(start);
    region.launch().unwrap();
    let message = condition(&region, "clock", false).await;
    assert!(message.contains("behind the last record"), "{message}");
    let late = consumer
        .sign_request(&consumer.new_request(request(SPRAVKA, "рано")))
        .unwrap();
    assert_eq!(refused(&consumer, &late).await.element, "SMEVFailure");
    assert_eq!(refused(&consumer, &call).await.element, "SMEVFailure");
    assert!(incident(&region, "clock_behind").await.contains("behind"));
    region.stop().await.unwrap();

    clock.set(start + hours(5));
    region.start().await.unwrap();
    goes_on(&region, &call, &first).await;
}

/// The call is known, its message is handed over, and new ones are accepted.
async fn goes_on(region: &Region, call: &SignedCall, message: &str) {
    let (consumer, provider) = (system(region, CONSUMER), system(region, PROVIDER));
    assert_eq!(refused(&consumer, call).await.element, "MessageIsAlreadySent");
    assert_eq!(take_request(&provider).await.data.message_id, message);
    send(&consumer, request(SPRAVKA, "два")).await;
    assert_journal_whole(region).await;
}

/// `/ready` is at 503 on `clock`, and the gateway's door takes nothing new.
async fn doubted(region: &Region) {
    let message = condition(region, "clock", false).await;
    assert!(message.contains("after the last record"), "{message}");
    let consumer = system(region, CONSUMER);
    let early = consumer.new_request(request(SPRAVKA, "рано"));
    let early = consumer.sign_request(&early).unwrap();
    assert_eq!(refused(&consumer, &early).await.element, "SMEVFailure");
    assert!(incident(region, "clock_doubted").await.contains("clock_trusted_for"));
}

#[tokio::test]
async fn a_start_ten_years_ahead_is_not_believed_and_leaves_nothing_behind() {
    let start = Timestamp::now();
    let clock = Clock::running(start, 1.0);
    let mut region = local_region().clock(clock.clone()).start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let call = consumer
        .sign_request(&consumer.new_request(request(SPRAVKA, "раз")))
        .unwrap();
    let first = consumer.call(&call).await.unwrap().receipt().unwrap().message_id;
    region.stop().await.unwrap();

    clock.set(start + hours(10 * 365 * 24));
    region.launch().unwrap();
    doubted(&region).await;
    // A gateway that ends there has not written that year anywhere.
    region.stop().await.unwrap();

    clock.set(start + hours(1));
    region.start().await.unwrap();
    goes_on(&region, &call, &first).await;
}

#[tokio::test]
async fn a_person_says_that_the_clock_is_right_after_a_long_rest_and_after_times_that_were_wrong() {
    let start = Timestamp::now();
    let clock = Clock::running(start, 1.0);
    let mut region = local_region().clock(clock.clone()).start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let call = consumer
        .sign_request(&consumer.new_request(request(SPRAVKA, "раз")))
        .unwrap();
    consumer.call(&call).await.unwrap().receipt().unwrap();
    region.stop().await.unwrap();

    // First ahead by a month, where a person takes it for right, then back, where that was a mistake.
    for (at, doubtful) in [(start + hours(30 * 24), true), (start + hours(1), false)] {
        clock.set(at);
        region.launch().unwrap();
        if doubtful {
            doubted(&region).await;
        } else {
            let message = condition(&region, "clock", false).await;
            assert!(message.contains("behind the last record"), "{message}");
        }
        let wrong = region
            .command(&["clock", "accept", "2020-01-01T00:00:00Z"])
            .await
            .unwrap();
        assert!(
            wrong.code == Some(1) && wrong.stderr.contains("set it right first"),
            "{wrong:?}"
        );
        let accepted = region.command(&["clock", "accept", &at.to_string()]).await.unwrap();
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
        condition(&region, "clock", true).await;
        send(&system(&region, CONSUMER), request(SPRAVKA, "два")).await;
        region.restart().await.unwrap();
        send(&system(&region, CONSUMER), request(SPRAVKA, "три")).await;
        region.stop().await.unwrap();
    }
    region.start().await.unwrap();
    let again = refused(&consumer, &call).await.element;
    assert!(
        ["MessageIsAlreadySent", "StaleMessageId"].contains(&again.as_str()),
        "{again}"
    );
    let told = journal(&region, &["--type", "clock_accepted"]).await;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|event| event["by"]["name"].is_string()), "{told:?}");
    assert_journal_whole(&region).await;
}
