//! Identifiers and moments: malformed, stale, ahead, used before.

use emulator::{Operation, Selector, Version};

use crate::Refusals;
use crate::common::{
    CONSUMER, OTHER, PROVIDER, SPRAVKA, journal, local_region, refused, request, send, send_data, system, take_request,
};

#[tokio::test]
async fn identifiers_that_are_malformed_stale_or_ahead_are_refused() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let mut refusals = Refusals::begin(&region).await;
        let with_id = |id: &str| {
            consumer
                .sign_request(&consumer.new_request(request(SPRAVKA, "1")).id(id))
                .unwrap()
        };
        let at = |hours: i64| emulator::message_id(consumer.now() + crate::common::hours(hours));
        let cases = [
            (
                "version 4",
                "c0938f39-9a55-41ea-8ec7-2dd0b486eb66".to_owned(),
                "InvalidMessageIdFormat",
            ),
            ("upper case", at(0).to_uppercase(), "InvalidMessageIdFormat"),
            ("no UUID", "1".to_owned(), "InvalidMessageIdFormat"),
            ("nothing", String::new(), "InvalidContent"),
            ("49 hours old", at(-49), "StaleMessageId"),
            ("an hour ahead", at(1), "StaleMessageId"),
        ];
        if version == Version::V1_1 {
            for (case, id, fault) in &cases {
                refusals.expect(case, &consumer, &with_id(id), fault).await;
            }
            refusals.conclude(&[CONSUMER]).await;
        } else {
            for (case, id, fault) in &cases[3..] {
                let found = refused(&consumer, &with_id(id)).await;
                assert_eq!(found.element, *fault, "{case} in version {version}");
            }
        }
        send_data(
            &consumer,
            &consumer.new_request(request(SPRAVKA, "47 часов")).id(at(-47)),
        )
        .await;
    }
}

#[tokio::test]
async fn an_identifier_is_accepted_once_and_never_from_somebody_else() {
    let region = local_region().start().await.unwrap();
    let (consumer, other) = (system(&region, CONSUMER), system(&region, OTHER));
    let data = consumer.new_request(request(SPRAVKA, "1"));
    send_data(&consumer, &data).await;

    let mut refusals = Refusals::begin(&region).await;
    let call = consumer.sign_request(&data).unwrap();
    let fault = refusals
        .expect("the same again", &consumer, &call, "MessageIsAlreadySent")
        .await;
    assert!(fault.description.unwrap().starts_with("SMEV-301:"));
    let changed = consumer.new_request(request(SPRAVKA, "2")).id(&data.message_id);
    let call = consumer.sign_request(&changed).unwrap();
    refusals
        .expect("another content", &consumer, &call, "MessageIsAlreadySent")
        .await;
    let foreign = other.new_request(request(SPRAVKA, "3")).id(&data.message_id);
    let call = other.sign_request(&foreign).unwrap();
    refusals
        .expect("a foreign identifier", &other, &call, "InvalidMessageIdFormat")
        .await;
    let incidents = journal(&region, &["--type", "incident"]).await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(incidents[0]["text"].as_str().unwrap().contains(OTHER));
    refusals.conclude(&[]).await;
    assert_eq!(
        take_request(&system(&region, PROVIDER)).await.data.message_id,
        data.message_id
    );

    // What was refused did not use its identifier up.
    let mut late = consumer.new_request(request(SPRAVKA, "4"));
    late.eol = Some("2020-01-01T00:00:00Z".to_owned());
    assert_eq!(
        refused(&consumer, &consumer.sign_request(&late).unwrap()).await.element,
        "EndOfLifeReached"
    );
    late.eol = None;
    send_data(&consumer, &late).await;
}

#[tokio::test]
async fn a_captured_poll_is_of_no_use_for_long() {
    let region = local_region().start().await.unwrap();
    let provider = system(&region, PROVIDER);
    send(&system(&region, CONSUMER), request(SPRAVKA, "1")).await;
    let mut refusals = Refusals::begin(&region).await;
    for hours in [-14, 14] {
        let timestamp = (provider.now() + crate::common::hours(hours)).to_string();
        for operation in [Operation::GetRequest, Operation::GetResponse] {
            let call = provider.sign_get(operation, &Selector::any(), &timestamp).unwrap();
            refusals
                .expect(
                    "a Timestamp 14 hours away",
                    &provider,
                    &call,
                    "SignatureVerificationFault",
                )
                .await;
        }
    }
    let call = provider
        .sign_get(Operation::GetRequest, &Selector::any(), "вчера")
        .unwrap();
    refusals
        .expect("no Timestamp", &provider, &call, "InvalidContent")
        .await;
    refusals.conclude(&[PROVIDER]).await;
}
