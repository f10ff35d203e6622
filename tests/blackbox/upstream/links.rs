//! Several upstreams, and what may go to them at all.

use emulator::{Clock, FederalRequest, Provider, Reply, RequestData, Version};
use harness::{Kind, Upstream};

use crate::common::{
    CONSUMER, EGRN, FEDERAL, GATEWAY, OTHER, PROVIDER, SOON, SPRAVKA, World, answered_text, bus, echo, eventually,
    identity, local_region, queue, queues, request, response, send, system, take_response, text_of, upstream_condition,
};
use crate::{accepted_texts, wait_requests};

#[tokio::test]
async fn two_upstreams_work_beside_each_other_and_one_that_is_down_does_not_slow_the_other() {
    const SOSED: &str = "urn://test/sosed/1.0";
    let gateway = identity(GATEWAY);
    let (federal, neighbour) = (
        bus(&gateway, Clock::system()).await,
        bus(&gateway, Clock::system()).await,
    );
    neighbour.register_kind(emulator::Kind::new(SOSED, "Request", "Response", "RSMEV63"));
    neighbour.set_provider(
        SOSED,
        Provider::new(|asked| Reply::content(response(SOSED, &text_of(&asked.content)))),
    );
    let region = local_region()
        .gateway(gateway)
        .upstream(Upstream::emulated(FEDERAL, &federal, Version::V1_2))
        .upstream(Upstream::emulated("neighbour", &neighbour, Version::V1_3))
        .kind(Kind::new("egrn", EGRN))
        .local_exchange("egrn", &[CONSUMER], FEDERAL)
        .kind(Kind::new("sosed", SOSED))
        .local_exchange("sosed", &[CONSUMER], "neighbour")
        .grant("neighbour", "spravka", &["request"])
        .start()
        .await
        .unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    send(&consumer, request(EGRN, "в центр")).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "в центр");

    federal.go_down().await;
    eventually("the outage is noticed", async || {
        (!upstream_condition(&region, FEDERAL).await.0).then_some(())
    })
    .await;
    let waiting = send(&consumer, request(EGRN, "ждёт")).await;
    for number in 0..3 {
        send(&consumer, request(SOSED, &format!("соседу {number}"))).await;
        let taken = take_response(&consumer).await;
        assert_eq!(answered_text(&taken), format!("соседу {number}"));
        assert_eq!(taken.metadata.sender.unwrap().mnemonic.as_deref(), Some("RSMEV63"));
    }
    let id = neighbour
        .push_request(FederalRequest::new(
            "OMS63",
            RequestData::new(request(SPRAVKA, "от соседа")),
        ))
        .unwrap();
    echo(&provider).await;
    neighbour
        .wait_for(SOON, |ledger| (ledger.responses_to(&id).len() == 1).then_some(()))
        .await
        .unwrap();
    assert!(upstream_condition(&region, "neighbour").await.0);
    assert_eq!(queue(&region, "upstream/federal").await, [waiting]);

    federal.come_back().await.unwrap();
    assert_eq!(answered_text(&take_response(&consumer).await), "ждёт");
    assert_eq!(
        (
            federal.ledger().requests().count(),
            neighbour.ledger().requests().count()
        ),
        (2, 3)
    );
}

#[tokio::test]
async fn what_is_local_never_leaves_and_what_has_no_grant_is_not_forwarded() {
    let World { bus, region } = World::start_with(None, |builder| {
        builder
            .kind(Kind::new("tajna", "urn://test/tajna/1.0").local())
            .grant(CONSUMER, "tajna", &["request"])
            .kind(Kind::new("chuzhoe", "urn://test/chuzhoe/1.0"))
            .grant(CONSUMER, "chuzhoe", &["request"])
            .route("chuzhoe", FEDERAL)
    })
    .await;
    let consumer = system(&region, CONSUMER);
    let sign = |namespace: &str| {
        consumer
            .sign_request(&consumer.new_request(request(namespace, "1")))
            .unwrap()
    };
    let local = crate::common::refused(&consumer, &sign("urn://test/tajna/1.0")).await;
    assert_eq!(local.element, "RecipientIsNotFound");
    let denied = crate::common::refused(&consumer, &sign("urn://test/chuzhoe/1.0")).await;
    assert_eq!(denied.element, "AccessDenied", "the upstream may not provide it");
    // A route upstream for a local kind is a mistake in the registry that is told.
    let file = std::fs::read_to_string(region.registry_file()).unwrap();
    let route = "\n[[route]]\nkind = \"tajna\"\nupstream = \"federal\"\n";
    std::fs::write(region.registry_file(), format!("{file}{route}")).unwrap();
    let applied = region
        .command(&["registry", "apply", &region.registry_file().display().to_string()])
        .await
        .unwrap();
    let fault = crate::common::refused(&consumer, &sign("urn://test/tajna/1.0")).await;
    assert_eq!(
        fault.element, "RecipientIsNotFound",
        "apply said: {:?} {}",
        applied.code, applied.stderr
    );
    assert_eq!(bus.ledger().all_accepted().len(), 0);
}

#[tokio::test]
async fn a_sender_that_fills_its_share_of_an_upstream_leaves_the_others_theirs() {
    let World { bus, region } =
        World::start_with(None, |builder| builder.setting("limits", "queue_messages", "3")).await;
    let (consumer, other) = (system(&region, CONSUMER), system(&region, OTHER));
    bus.go_down().await;
    for number in 0..3 {
        send(&consumer, request(EGRN, &format!("доля {number}"))).await;
    }
    let call = consumer
        .sign_request(&consumer.new_request(request(EGRN, "доля 3")))
        .unwrap();
    let fault = crate::common::refused(&consumer, &call).await;
    assert_eq!(fault.element, "DestinationOverflow");
    send(&other, request(EGRN, "чужая доля")).await;
    bus.come_back().await.unwrap();
    wait_requests(&bus, 4).await;
    eventually("there is room again", async || {
        (!queues(&region).await.contains_key("upstream/federal")).then_some(())
    })
    .await;
    consumer.call(&call).await.unwrap().receipt().unwrap();
    wait_requests(&bus, 5).await;
    assert_eq!(accepted_texts(&bus.ledger(), "доля").len(), 4);
}
