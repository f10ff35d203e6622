//! A clock that stands before the journal's last time. What a clock does that jumps while the gateway runs is tested beside
//! the engine, because only there a test owns the clock.

use super::{condition, incident};
use crate::common::{
    CONSUMER, PROVIDER, SPRAVKA, assert_journal_whole, hours, local_region, refused, request, send, system,
    take_request,
};
use emulator::Clock;
use jiff::Timestamp;

#[tokio::test]
async fn after_a_start_with_a_clock_set_back_nothing_is_accepted_twice_or_forgotten() {
    let start = Timestamp::now();
    let clock = Clock::running(start + hours(5), 1.0);
    let mut region = local_region().clock(clock.clone()).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
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
    assert_eq!(refused(&consumer, &call).await.element, "MessageIsAlreadySent");
    assert_eq!(take_request(&provider).await.data.message_id, first);
    send(&system(&region, CONSUMER), request(SPRAVKA, "два")).await;
    assert_journal_whole(&region).await;
}
