//! A participant that an operator has suspended.

use emulator::Selector;

use crate::common::{
    CONSUMER, PROVIDER, SPRAVKA, answered_text, echo, eventually, journal, local_region, next_request, queues, request,
    send, system, take_response,
};
use crate::{Refusals, signed};

#[tokio::test]
async fn a_suspended_participant_is_refused_whatever_it_calls_and_finds_all_its_messages_when_it_is_resumed() {
    let mut region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    send(&consumer, request(SPRAVKA, "раньше")).await;
    let asked = next_request(&provider).await;
    let suspend = ["participant", "suspend", PROVIDER, "--reason", "украден ключ"];
    region.command(&suspend).await.unwrap().success().unwrap();
    // Others go on, and send to it.
    let waiting = send(&consumer, request(SPRAVKA, "потом")).await;
    let calls = [
        ("a request", signed(&provider, "1")),
        ("GetRequest", provider.sign_get_request(&Selector::any()).unwrap()),
        ("GetResponse", provider.sign_get_response(&Selector::any()).unwrap()),
        ("GetStatus", provider.sign_get_status().unwrap()),
        ("Ack", provider.sign_ack(&asked.data.message_id, Some(true)).unwrap()),
    ];
    let mut refusals = Refusals::begin(&region).await;
    for (case, call) in &calls {
        let fault = refusals.expect(case, &provider, call, "SenderIsNotRegistered").await;
        assert!(fault.text.contains("приостановлен"), "{fault}");
        assert!(
            !fault.text.contains("украден"),
            "why is the operators' business: {fault}"
        );
    }
    refusals.conclude(&[PROVIDER]).await;
    let reasons: Vec<_> = journal(&region, &["--type", "refused"])
        .await
        .iter()
        .map(|event| (event["reason"].clone(), event["verified"].clone()))
        .collect();
    assert!(
        reasons.iter().all(|told| *told == ("suspended".into(), true.into())),
        "{reasons:?}"
    );

    region.restart().await.unwrap();
    let labels = [("participant", PROVIDER)];
    let metrics = region.metrics().await.unwrap();
    assert_eq!(metrics.value("participant_suspended", &labels), Some(1.0));
    assert_eq!(
        metrics.value("participant_suspended", &[("participant", CONSUMER)]),
        Some(0.0)
    );
    region.apply_registry().await.unwrap();
    let provider = system(&region, PROVIDER);
    let mut refusals = Refusals::begin(&region).await;
    let poll = provider.sign_get_request(&Selector::any()).unwrap();
    refusals
        .expect("after a restart", &provider, &poll, "SenderIsNotRegistered")
        .await;
    assert_eq!(queues(&region).await.get(&format!("{PROVIDER}/requests")), Some(&2));

    let resume = ["participant", "resume", PROVIDER];
    region.command(&resume).await.unwrap().success().unwrap();
    // What was out when it was suspended may still be acknowledged, in time or late.
    provider.ack(&asked.data.message_id).await.unwrap();
    assert_eq!(echo(&provider).await, waiting);
    let consumer = system(&region, CONSUMER);
    assert_eq!(answered_text(&take_response(&consumer).await), "потом");
    let named = journal(&region, &["--participant", PROVIDER, "--type", "participant_suspended"]).await;
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(
        named[0]["by"]["name"].is_string() && named[0]["reason"] == "украден ключ",
        "{named:?}"
    );
    eventually("it is not suspended any more", async || {
        let metrics = region.metrics().await.unwrap();
        (metrics.value("participant_suspended", &labels) == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_paused_queue_is_as_if_it_were_empty_and_takes_acknowledgements() {
    let region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    send(&consumer, request(SPRAVKA, "первое")).await;
    let asked = provider.get_request(&Selector::any()).await.unwrap().expect("it waits");
    let queue = format!("{PROVIDER}/requests");
    let pause = ["queue", "pause", &queue, "--reason", "maintenance"];
    region.command(&pause).await.unwrap().success().unwrap();
    let waiting = send(&consumer, request(SPRAVKA, "второе")).await;
    let taken = provider.get_request(&Selector::any()).await.unwrap();
    assert!(taken.is_none(), "{taken:?}");
    provider.ack(&asked.data.message_id).await.unwrap();
    let metrics = region.metrics().await.unwrap();
    assert_eq!(metrics.value("queue_paused", &[("queue", &queue)]), Some(1.0));
    assert_eq!(metrics.value("queue_depth", &[("queue", &queue)]), Some(1.0));
    assert_eq!(
        metrics.value("queue_paused", &[("queue", "upstream/federal")]),
        None,
        "there is none"
    );
    region
        .command(&["queue", "resume", &queue])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(echo(&provider).await, waiting);
    let metrics = region.metrics().await.unwrap();
    assert_eq!(metrics.value("queue_paused", &[("queue", &queue)]), Some(0.0));
}
