//! Exchanges with a bus of each version, both ways.

use emulator::{AsyncStatus, Attachment, Clock, FederalRequest, Provider, Reply, RequestData, Selector, Version};
use harness::{Kind, Region, Upstream};

use crate::common::{
    CONSUMER, EGRN, GATEWAY, PROVIDER, SOON, SPRAVKA, World, answer, answered_text, bus, emptied, eventually, identity,
    local_region, next_response_of, request, response, send, send_data, take_request, take_response, text_of,
};
use crate::{assert_is_rejection, bare, bare_reply, full_request};

/// One region under three buses, one a version; each has a federal provider of its own kind and asks the region for SPRAVKA.
struct ThreeBuses {
    region: Region,
    buses: Vec<(Version, emulator::Emulator)>,
}

fn name_of(version: Version) -> String {
    format!("bus-{}", version.number().replace('.', ""))
}

fn kind_of(version: Version) -> String {
    format!("urn://test/egrn/{}", version.number())
}

async fn three_buses() -> ThreeBuses {
    let gateway = identity(GATEWAY);
    let mut builder = local_region().gateway(gateway.clone());
    let mut buses = Vec::new();
    for version in Version::ALL {
        let bus = bus(&gateway, Clock::system()).await;
        let (name, kind, namespace) = (name_of(version), format!("egrn-{}", name_of(version)), kind_of(version));
        bus.register_kind(emulator::Kind::new(&namespace, "Request", "Response", "FEDERAL"));
        let echo = {
            let namespace = namespace.clone();
            move |asked: &RequestData| {
                let file = Attachment::new("out.bin", "application/octet-stream", vec![1u8, 2, 3]);
                Reply::with_files(response(&namespace, &text_of(&asked.content)), vec![file])
            }
        };
        bus.set_provider(&namespace, Provider::new(echo).status_first(7, "принято"));
        builder = builder
            .upstream(Upstream::emulated(&name, &bus, version))
            .kind(Kind::new(&kind, &namespace))
            .local_exchange(&kind, &[CONSUMER], &name)
            .grant(&name, "spravka", &["request"]);
        buses.push((version, bus));
    }
    ThreeBuses {
        region: builder.start().await.unwrap(),
        buses,
    }
}

#[tokio::test]
async fn requests_reach_a_bus_of_every_version_from_participants_of_every_version() {
    let ThreeBuses { region, buses } = three_buses().await;
    for (version, bus) in &buses {
        let namespace = kind_of(*version);
        for own in Version::ALL {
            let consumer = region.participant(CONSUMER, own).unwrap();
            let mut data = full_request(&consumer, &namespace, &format!("{own} через {version}"));
            data.node_id = Some("NODE".to_owned());
            send_data(&consumer, &data).await;
            let accepted = bus
                .wait_for(SOON, |ledger| ledger.accepted(&data.message_id).cloned())
                .await
                .unwrap();
            assert_eq!((accepted.version, accepted.sender.as_str()), (*version, GATEWAY));
            let mut expected = bare(data.clone());
            expected.node_id = None;
            let arrived = accepted.message.request().cloned().map(bare);
            assert_eq!(arrived, Some(expected), "{own} through {version}");

            let selector = Selector::any().node("NODE");
            let status = next_response_of(&consumer, &selector).await;
            assert_eq!(status.data.reply, Reply::status(7, "принято"));
            consumer.ack(&status.data.message_id).await.unwrap();
            let last = next_response_of(&consumer, &selector).await;
            consumer.ack(&last.data.message_id).await.unwrap();
            assert_eq!(answered_text(&last), format!("{own} через {version}"));
            assert_eq!(last.data.reply.attachments()[0].content, [1, 2, 3]);
            for taken in [&status, &last] {
                assert_eq!(taken.original_message_id.as_ref(), Some(&data.message_id));
                assert_eq!(taken.original_transaction_code, data.transaction_code);
                assert_eq!(
                    taken.metadata.sender.as_ref().unwrap().mnemonic.as_deref(),
                    Some("FEDERAL")
                );
            }
            bus.wait_for(SOON, |ledger| ledger.acknowledged(&last.data.message_id).map(drop))
                .await
                .unwrap();
        }
        assert!(bus.ledger().accepted_more_than_once().is_empty());
        assert_eq!(bus.waiting(GATEWAY), (0, 0));
    }
    emptied(&region).await;
}

#[tokio::test]
async fn requests_from_a_bus_of_every_version_are_answered_by_participants_of_every_version() {
    let ThreeBuses { region, buses } = three_buses().await;
    for (version, bus) in &buses {
        for own in Version::ALL {
            let provider = region.participant(PROVIDER, own).unwrap();
            let text = format!("{version} к {own}");
            let file = Attachment::new("in.bin", "application/octet-stream", vec![9u8; 500]);
            let data = RequestData::new(request(SPRAVKA, &text))
                .transaction_code("код")
                .test()
                .attach(file);
            let id = bus.push_request(FederalRequest::new("FED01", data.clone())).unwrap();

            let asked = take_request(&provider).await;
            assert_eq!(bare(asked.data.clone()), bare(data.clone()), "{version} to {own}");
            assert_eq!(
                asked.metadata.sender.as_ref().unwrap().mnemonic.as_deref(),
                Some("FED01")
            );
            assert_eq!(
                asked.sender.certificate().is_some(),
                own == *version,
                "the federal sender's signature holds"
            );
            let replies = [
                Reply::status(1, "принято"),
                Reply::status(2, "в работе"),
                Reply::with_files(
                    response(SPRAVKA, &text),
                    vec![Attachment::new(
                        "answer.bin",
                        "application/octet-stream",
                        vec![8u8; 700],
                    )],
                ),
            ];
            for reply in &replies {
                answer(&provider, &asked, reply.clone()).await;
            }
            let arrived = bus
                .wait_for(SOON, |ledger| {
                    let all = ledger.responses_to(&id);
                    (all.len() == replies.len()).then(|| all.into_iter().cloned().collect::<Vec<_>>())
                })
                .await
                .unwrap();
            let arrived: Vec<_> = arrived
                .iter()
                .map(|one| bare_reply(&one.message.response().unwrap().reply))
                .collect();
            assert_eq!(arrived, replies, "{own} to {version}, in order");
            bus.wait_for(SOON, |ledger| ledger.acknowledged(&id).map(drop))
                .await
                .unwrap();
            assert_eq!(bus.ledger().times_acknowledged(&id), 1);
        }
    }
    emptied(&region).await;
}

#[tokio::test]
async fn rejections_and_notices_of_the_bus_come_home() {
    let world = World::start().await;
    let consumer = world.system(CONSUMER);
    world
        .bus
        .set_provider(EGRN, Provider::new(|_| Reply::rejected("NO_DATA", "нет данных")));
    let id = send(&consumer, request(EGRN, "1")).await;
    let taken = take_response(&consumer).await;
    assert_eq!(
        (taken.data.reply, taken.original_message_id),
        (Reply::rejected("NO_DATA", "нет данных"), Some(id))
    );

    let fault = emulator::Fault::invalid_content("cvc-datatype-valid");
    world.bus.set_provider(EGRN, Provider::rejected_by_bus(fault));
    let id = send(&consumer, request(EGRN, "2")).await;
    let taken = take_response(&consumer).await;
    assert_is_rejection(&taken.data.reply, &id, "requestIsRejectedBySmev");
    assert_eq!(taken.original_message_id, Some(id));

    // The region's provider rejects a request of the bus; then the bus's notice about an answer reaches the provider.
    let provider = world.system(PROVIDER);
    let asked = RequestData::new(request(SPRAVKA, "3"));
    let id = world.bus.push_request(FederalRequest::new("FED01", asked)).unwrap();
    let asked = take_request(&provider).await;
    let answer_id = answer(&provider, &asked, Reply::rejected("FAILURE", "не сегодня")).await;
    let arrived = world
        .bus
        .wait_for(SOON, |ledger| ledger.responses_to(&id).first().map(|&one| one.clone()))
        .await
        .unwrap();
    assert_eq!(
        arrived.message.response().unwrap().reply,
        Reply::rejected("FAILURE", "не сегодня")
    );
    assert_eq!(arrived.id, answer_id, "a young identifier is kept");
    let notice = AsyncStatus {
        original_message_id: arrived.id.clone(),
        category: "requestIsRejectedBySmev".to_owned(),
        details: Some("не то".to_owned()),
        fault: Some(emulator::Fault::invalid_content("ошибка")),
    };
    world.bus.push_status(GATEWAY, notice).unwrap();
    let status = eventually("the bus's notice", async || provider.get_status().await.unwrap()).await;
    assert_is_rejection(&Reply::Async(status), &answer_id, "requestIsRejectedBySmev");
}
