//! Queues: sub-queues, selectors, order, leases and acknowledgements, the end of a message's life.

use emulator::{Clock, Reply, Selector, Version};
use harness::{Kind, Region};

use crate::common::{
    BINARY, CONSUMER, OTHER, PROVIDER, SOON, SPRAVKA, answer, answer_data, answered_text, assert_no_request,
    assert_no_response, journal, local_region, next_request, next_response, next_response_of, queues, refused, request,
    response, send, send_data, system, take_request, take_response, text_of,
};

#[tokio::test]
async fn an_answer_waits_in_the_sub_queue_that_the_request_named() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        let with = |node: &str| consumer.new_request(request(SPRAVKA, node)).node(node);
        let (first, second) = (with("NODE-1"), with("узел 2"));
        let plain = consumer.new_request(request(SPRAVKA, "общая"));
        for data in [&first, &second, &plain] {
            send_data(&consumer, data).await;
        }
        for _ in 0..3 {
            // A GetRequest gets the requests of its participant, whatever its NodeID.
            let selector = Selector::any().node("NODE-PROVIDER");
            let asked = provider.get_request(&selector).await.unwrap().unwrap();
            provider.ack(&asked.data.message_id).await.unwrap();
            answer(
                &provider,
                &asked,
                Reply::content(response(SPRAVKA, &text_of(&asked.data.content))),
            )
            .await;
        }
        assert!(
            consumer
                .get_response(&Selector::any().node("NODE-3"))
                .await
                .unwrap()
                .is_none()
        );
        for (node, data) in [("узел 2", &second), ("NODE-1", &first)] {
            let selector = Selector::any().node(node);
            let taken = consumer.get_response(&selector).await.unwrap().unwrap();
            assert_eq!(taken.original_message_id.as_ref(), Some(&data.message_id));
            consumer.ack(&taken.data.message_id).await.unwrap();
            assert!(consumer.get_response(&selector).await.unwrap().is_none());
        }
        assert_eq!(answered_text(&take_response(&consumer).await), "общая");
        assert_no_response(&consumer).await;
    }
}

#[tokio::test]
async fn selectors_choose_the_kind_and_empty_ones_choose_everything() {
    const VYPISKA: &str = "urn://test/vypiska/1.0";
    let region = local_region()
        .kind(Kind::new("vypiska", VYPISKA))
        .local_exchange("vypiska", &[CONSUMER], PROVIDER)
        .start()
        .await
        .unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        send(&consumer, request(SPRAVKA, "1")).await;
        send(&consumer, request(VYPISKA, "2")).await;
        send(&consumer, request(SPRAVKA, "3")).await;
        let later = provider
            .get_request(&Selector::kind(VYPISKA, "Request"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(text_of(&later.data.content), "2");
        assert!(
            provider
                .get_request(&Selector::kind(VYPISKA, "Request"))
                .await
                .unwrap()
                .is_none()
        );
        provider.ack(&later.data.message_id).await.unwrap();
        // Templates of real clients leave the pair empty; that filters nothing.
        let first = provider.get_request(&Selector::kind("", "")).await.unwrap().unwrap();
        assert_eq!(text_of(&first.data.content), "1");
        provider.ack(&first.data.message_id).await.unwrap();
        let last = take_request(&provider).await;
        assert_eq!(text_of(&last.data.content), "3");

        for asked in [&first, &later, &last] {
            let namespace = if asked.data.message_id == later.data.message_id {
                VYPISKA
            } else {
                SPRAVKA
            };
            let reply = Reply::content(response(namespace, &text_of(&asked.data.content)));
            answer(&provider, asked, reply).await;
        }
        for (namespace, text) in [(VYPISKA, "2"), (SPRAVKA, "1"), (SPRAVKA, "3")] {
            let selector = Selector::kind(namespace, "Response");
            let taken = next_response_of(&consumer, &selector).await;
            assert_eq!(answered_text(&taken), text, "version {version}");
            consumer.ack(&taken.data.message_id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_queue_keeps_its_order_and_a_redelivered_message_its_place() {
    // A quarter of an hour passes in three seconds.
    let clock = Clock::running(jiff::Timestamp::now(), 300.0);
    let region = local_region().clock(clock.clone()).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(send(&consumer, request(SPRAVKA, &number.to_string())).await);
    }
    let handed_out_at = clock.now();
    // The first and the third are taken and not acknowledged.
    for (place, id) in ids.iter().enumerate().take(4) {
        let taken = provider.get_request(&Selector::any()).await.unwrap().unwrap();
        assert_eq!(&taken.data.message_id, id, "in the order of acceptance");
        if place % 2 == 1 {
            provider.ack(id).await.unwrap();
        }
    }
    assert_eq!(queues(&region).await.get("GISOGD73/requests"), Some(&4));
    region
        .wait_metrics("free of leases again", SOON, |metrics| {
            metrics.count("leases", &[]) == 0
        })
        .await
        .unwrap();
    assert!(
        clock.now().duration_since(handed_out_at) >= crate::common::minutes(15),
        "a lease is a quarter of an hour"
    );
    for id in [&ids[0], &ids[2], &ids[4], &ids[5]] {
        let taken = take_request(&provider).await;
        assert_eq!(&taken.data.message_id, id, "a redelivered message keeps its place");
    }
    assert_no_request(&provider).await;
    let expired = journal(&region, &["--type", "lease_expired"]).await;
    assert_eq!(expired.len(), 2);
}

#[tokio::test]
async fn a_late_ack_is_honoured_and_a_foreign_or_repeated_one_is_not() {
    let clock = Clock::running(jiff::Timestamp::now(), 600.0);
    let region = local_region().clock(clock).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let (late, waiting) = (
        send(&consumer, request(SPRAVKA, "1")).await,
        send(&consumer, request(SPRAVKA, "2")).await,
    );
    assert_eq!(next_request(&provider).await.data.message_id, late);
    let unknown = async |who: &emulator::Participant, id: &str| {
        let fault = refused(who, &who.sign_ack(id, Some(true)).unwrap()).await;
        assert_eq!(fault.element, "TargetMessageIsNotFound");
        assert!(fault.description.unwrap().starts_with("SMEV-501:"));
    };
    unknown(&consumer, &late).await;
    unknown(&provider, &waiting).await;
    unknown(&provider, &consumer.new_request("x").message_id).await;
    region
        .wait_metrics("free of leases again", SOON, |metrics| {
            metrics.count("leases", &[]) == 0
        })
        .await
        .unwrap();
    provider.ack(&late).await.unwrap();
    unknown(&provider, &late).await;
    assert_eq!(
        take_request(&provider).await.data.message_id,
        waiting,
        "what was acknowledged late does not come again"
    );
    assert_no_request(&provider).await;
    let acknowledged = journal(&region, &["--type", "acknowledged"]).await;
    let late: Vec<bool> = acknowledged.iter().map(|event| event["late"] == true).collect();
    assert_eq!(late, [true, false]);
}

#[tokio::test]
async fn an_ack_that_does_not_accept_removes_the_message_and_is_an_incident() {
    let region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let id = send(&consumer, request(SPRAVKA, "1")).await;
    next_request(&provider).await;
    provider.ack_with(&id, Some(false)).await.unwrap();
    assert!(queues(&region).await.is_empty());
    let incidents = journal(&region, &["--type", "incident"]).await;
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0]["text"].as_str().unwrap().contains(&id));
}

#[tokio::test]
async fn an_unpolled_request_expires_and_its_sender_is_told() {
    let clock = Clock::running(jiff::Timestamp::now(), 300.0);
    let region = local_region().clock(clock.clone()).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let data = consumer
        .new_request(request(SPRAVKA, "срочно"))
        .eol(clock.now() + crate::common::minutes(10));
    send_data(&consumer, &data).await;
    let taken = take_response(&consumer).await;
    let Reply::Async(status) = taken.data.reply else {
        panic!("not a notice: {:?}", taken.data.reply)
    };
    assert_eq!(status.original_message_id, data.message_id);
    assert_eq!(status.category, "requestIsRejectedBySmev");
    assert!(clock.now() >= data.eol.unwrap().parse().unwrap(), "not before its time");
    assert_no_request(&provider).await;
}

#[tokio::test]
async fn one_request_is_for_one_provider_and_a_reply_to_for_who_was_handed_it() {
    let region = Region::builder(BINARY)
        .kind(Kind::new("spravka", SPRAVKA))
        .local_exchange("spravka", &[CONSUMER], PROVIDER)
        .grant(OTHER, "spravka", &["provide"])
        .start()
        .await
        .unwrap();
    let (consumer, provider, other) = (
        system(&region, CONSUMER),
        system(&region, PROVIDER),
        system(&region, OTHER),
    );
    send(&consumer, request(SPRAVKA, "1")).await;
    assert_no_request(&other).await;
    let asked = take_request(&provider).await;
    let theft = answer_data(&other, &asked, Reply::content(response(SPRAVKA, "чужой ответ")));
    let fault = refused(&other, &other.sign_response(&theft).unwrap()).await;
    assert_eq!(fault.element, "RecipientIsNotFound");
    let wrong = answer_data(
        &provider,
        &asked,
        Reply::content(request(SPRAVKA, "запрос вместо ответа")),
    );
    let fault = refused(&provider, &provider.sign_response(&wrong).unwrap()).await;
    assert_eq!(fault.element, "IncorrectResponseContentType");
    answer(&provider, &asked, Reply::content(response(SPRAVKA, "ответ"))).await;
    assert_eq!(answered_text(&next_response(&consumer).await), "ответ");
}
