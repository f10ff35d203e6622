//! What the bus holds for the region, however it delivers it.

use emulator::{
    Attachment, FederalRequest, FederalResponse, Ledger, Operation, Provider, Reply, RequestData, ResponseData, Scope,
    Selector, Times, WrongSignature,
};
use jiff::Timestamp;

use crate::common::{
    CONSUMER, EGRN, GATEWAY, LATER, PROVIDER, SOON, SPRAVKA, World, answer, answered_text, assert_no_request,
    assert_no_response, echo, eventually, journal, quarantine, request, response, send, send_data, system,
    take_request, take_response, text_of, within,
};

#[tokio::test]
async fn what_the_bus_delivers_again_is_accepted_once_and_acknowledged_again() {
    let World { bus, region } = World::start().await;
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));

    let again = bus.knobs().deliver_again(Operation::GetRequest, 2);
    let asked = RequestData::new(request(SPRAVKA, "дважды"));
    let id = bus.push_request(FederalRequest::new("FED01", asked)).unwrap();
    echo(&provider).await;
    // Between a delivery and its Ack the bus may deliver once more.
    let thrice = |ledger: &Ledger| (ledger.times_acknowledged(&id) >= 3).then_some(());
    bus.wait_for(SOON, thrice).await.unwrap();
    eventually("everything is acknowledged", async || {
        (bus.waiting(GATEWAY) == (0, 0)).then_some(())
    })
    .await;
    assert_eq!(again.worked(), 2);
    assert_no_request(&provider).await;
    bus.wait_for(SOON, |ledger| (ledger.responses_to(&id).len() == 1).then_some(()))
        .await
        .unwrap();

    let again = bus.knobs().deliver_again(Operation::GetResponse, 2);
    let id = send(&consumer, request(EGRN, "ответ дважды")).await;
    let taken = take_response(&consumer).await;
    assert_eq!(taken.original_message_id, Some(id));
    let answer = taken.data.message_id;
    bus.wait_for(SOON, |ledger| (ledger.times_acknowledged(&answer) >= 3).then_some(()))
        .await
        .unwrap();
    assert_eq!(again.worked(), 2);
    assert_no_response(&consumer).await;
    assert_eq!(region.metrics().await.unwrap().count("messages_received_total", &[]), 2);
    assert!(quarantine(&region).await.is_empty());
}

#[tokio::test]
async fn what_the_bus_has_not_signed_is_neither_accepted_nor_acknowledged() {
    let World { bus, region } = World::start_impatient().await;
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let ways = [
        WrongSignature::OtherKey,
        WrongSignature::BrokenValue,
        WrongSignature::BrokenDigest,
        WrongSignature::Missing,
    ];
    for (operation, way) in [Operation::GetRequest, Operation::GetResponse]
        .into_iter()
        .flat_map(|one| ways.map(|way| (one, way)))
    {
        let knob = bus.knobs().wrong_signature(operation, way, Times::Always);
        let text = format!("{operation} {way:?}");
        let id = if operation == Operation::GetRequest {
            bus.push_request(FederalRequest::new("FED01", RequestData::new(request(SPRAVKA, &text))))
                .unwrap()
        } else {
            send(&consumer, request(EGRN, &text)).await;
            let answered = bus.wait_for(SOON, |ledger| {
                ledger.accepted_with(&text).first().map(|&one| one.clone())
            });
            answered.await.unwrap();
            String::new()
        };
        within(LATER, "the bad signature", async || (knob.worked() > 0).then_some(())).await;
        let (requests, responses) = bus.waiting(GATEWAY);
        assert_eq!(requests + responses, 1, "{text}: it stays with the bus");
        assert_no_request(&provider).await;
        assert_no_response(&consumer).await;
        knob.off();
        if operation == Operation::GetRequest {
            let asked = within(LATER, "the request", async || {
                provider.get_request(&Selector::any()).await.unwrap()
            })
            .await;
            assert_eq!((&asked.data.message_id, text_of(&asked.data.content)), (&id, text));
            provider.ack(&id).await.unwrap();
        } else {
            assert_eq!(answered_text(&take_response(&consumer).await), text);
        }
    }
    let incidents = journal(&region, &["--type", "incident"]).await;
    let kinds = incidents
        .iter()
        .filter(|incident| incident["kind"] == "upstream_signature")
        .count();
    assert!(kinds >= 2, "{incidents:?}");
}

#[tokio::test]
async fn answers_of_the_bus_that_break_off_while_pulled_are_pulled_again() {
    let World { bus, region } = World::start_impatient().await;
    let consumer = system(&region, CONSUMER);
    let knobs = bus.knobs();
    knobs.half_answers(Operation::GetResponse.from_participant(GATEWAY), 1);
    knobs.multipart(Scope::any(), Times::Always);
    for number in 0..3 {
        knobs.lose_answers(Operation::Ack, 1);
        let id = send(&consumer, request(EGRN, &format!("обрыв {number}"))).await;
        let taken = take_response(&consumer).await;
        assert_eq!(
            (answered_text(&taken), taken.original_message_id),
            (format!("обрыв {number}"), Some(id))
        );
    }
    assert_no_response(&consumer).await;
    eventually("everything is acknowledged", async || {
        (bus.waiting(GATEWAY) == (0, 0)).then_some(())
    })
    .await;
    assert!(quarantine(&region).await.is_empty());
}

#[tokio::test]
async fn multipart_and_inline_answers_of_the_bus_are_read_alike() {
    let World { bus, region } = World::start().await;
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let octets: Vec<u8> = (0..100_000u32).map(|n| (n % 256) as u8).collect();
    let file = Attachment::new("выписка.pdf", "application/pdf", octets.clone());
    let reply = Reply::with_files(response(EGRN, "файл"), vec![file.clone()]);
    bus.set_provider(EGRN, Provider::new(move |_| reply.clone()));
    for inline in [false, true] {
        bus.knobs().clear();
        bus.knobs().multipart(Scope::any(), Times::Always);
        if inline {
            bus.knobs().inline_files(Scope::any(), Times::Always);
        }
        send_data(
            &consumer,
            &consumer.new_request(request(EGRN, "1")).attach(file.clone()),
        )
        .await;
        assert_eq!(
            take_response(&consumer).await.data.reply.attachments()[0].content,
            octets
        );
        let asked = RequestData::new(request(SPRAVKA, "2")).attach(file.clone());
        bus.push_request(FederalRequest::new("FED01", asked)).unwrap();
        let asked = take_request(&provider).await;
        assert_eq!(asked.data.attachments, std::slice::from_ref(&file));
        answer(&provider, &asked, Reply::content(response(SPRAVKA, "2"))).await;
    }
    bus.wait_for(SOON, |ledger| (ledger.responses().count() == 2).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_belongs_to_nothing_is_acknowledged_and_kept_for_a_person() {
    let World { bus, region } = World::start().await;
    let provider = system(&region, PROVIDER);
    // An answer to a request that never was.
    let data = ResponseData::new("x", Reply::content(response(EGRN, "ничей")));
    let nowhere = FederalResponse {
        from: "FEDERAL".to_owned(),
        to: GATEWAY.to_owned(),
        node_id: None,
        original_message_id: Some(emulator::message_id(Timestamp::now())),
        original_transaction_code: None,
        data,
    };
    let stray = bus.push_response(nowhere).unwrap();
    // A request of a kind that the bus may not send into the region.
    const NEW: &str = "urn://test/new/1.0";
    bus.register_kind(emulator::Kind::new(NEW, "Request", "Response", GATEWAY));
    let early = bus
        .push_request(FederalRequest::new("FED01", RequestData::new(request(NEW, "рано"))))
        .unwrap();
    for id in [&stray, &early] {
        bus.wait_for(SOON, |ledger| ledger.acknowledged(id).map(drop))
            .await
            .unwrap();
    }
    let held: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(held.len(), 2);
    assert!(held.contains(&stray) && held.contains(&early));
    assert_no_request(&provider).await;

    // The registry learns of the kind: then the request has a place.
    let file = std::fs::read_to_string(region.registry_file()).unwrap();
    let more = format!(
        "\n[[kind]]\nname = \"new\"\nnamespace = \"{NEW}\"\nrequest = \"Request\"\nresponse = \"Response\"\n\n\
         [[grant]]\nupstream = \"federal\"\nkind = \"new\"\nmay = [\"request\"]\n\n\
         [[grant]]\nparticipant = \"{PROVIDER}\"\nkind = \"new\"\nmay = [\"provide\"]\n\n\
         [[route]]\nkind = \"new\"\nto = \"{PROVIDER}\"\n"
    );
    std::fs::write(region.registry_file(), format!("{file}{more}")).unwrap();
    region.apply_registry().await.unwrap();
    region
        .command(&["quarantine", "retry", &early])
        .await
        .unwrap()
        .success()
        .unwrap();
    let asked = take_request(&provider).await;
    assert_eq!(
        (&asked.data.message_id, text_of(&asked.data.content)),
        (&early, "рано".to_owned())
    );
    answer(&provider, &asked, Reply::content(response(NEW, "вовремя"))).await;
    bus.wait_for(SOON, |ledger| (ledger.responses_to(&early).len() == 1).then_some(()))
        .await
        .unwrap();

    let rejected = region
        .command(&["quarantine", "reject", &stray, "--reason", "не наш"])
        .await
        .unwrap();
    rejected.success().unwrap();
    assert!(quarantine(&region).await.is_empty());
}

#[tokio::test]
async fn while_the_gateway_accepts_nothing_it_pulls_nothing_and_acknowledges_nothing() {
    let World { bus, mut region } = World::start_impatient().await;
    let settings = std::fs::read_to_string(region.config_file()).unwrap();
    let reserve = |size: &str| settings.replace("disk_reserve = \"10 MB\"", &format!("disk_reserve = \"{size}\""));
    region.stop().await.unwrap();
    std::fs::write(region.config_file(), reserve("900 TB")).unwrap();
    let asked = RequestData::new(request(SPRAVKA, "места нет"));
    let id = bus.push_request(FederalRequest::new("FED01", asked)).unwrap();
    region.launch().unwrap();
    let ready = eventually("pulling pauses", async || {
        let (status, ready) = region.ready().await.ok()?;
        ready
            .to_string()
            .contains("nothing is pulled")
            .then_some((status, ready))
    })
    .await;
    assert_eq!(ready.0, 503, "{}", ready.1);
    let ledger = bus.ledger();
    assert!(ledger.times_delivered(&id) > 0);
    assert_eq!(ledger.times_acknowledged(&id), 0);

    region.stop().await.unwrap();
    std::fs::write(region.config_file(), reserve("10 MB")).unwrap();
    region.start().await.unwrap();
    let taken = take_request(&system(&region, PROVIDER)).await;
    assert_eq!(taken.data.message_id, id);
    bus.wait_for(SOON, |ledger| (ledger.times_acknowledged(&id) > 0).then_some(()))
        .await
        .unwrap();
}
