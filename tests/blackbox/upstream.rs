//! The bus goes away, loses answers, repeats itself, refuses and lies: everything accepted still arrives once, in the
//! order of its lane, and answers come home.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::collections::BTreeMap;

use common::{
    CONSUMER, EGRN, FEDERAL, GATEWAY, LATER, OTHER, PROVIDER, SOON, SPRAVKA, World, answer, answered_text,
    assert_journal_whole, assert_no_request, assert_no_response, bus, echo, eventually, identity, journal,
    local_region, next_response_of, quarantine, queue, queues, request, response, send, send_data, system,
    take_request, take_response, text_of, upstream_condition, within,
};
use emulator::{
    Attachment, Clock, Emulator, Fault, FederalRequest, FederalResponse, Ledger, Operation, Participant, Provider,
    Reply, RequestData, ResponseData, Scope, Selector, Times, Version, WrongSignature,
};
use harness::{Kind, Region, Upstream};
use jiff::Timestamp;

/// The texts of the requests that the bus accepted and that begin with `prefix`, in order.
fn accepted_texts(ledger: &Ledger, prefix: &str) -> Vec<String> {
    let texts = ledger
        .requests()
        .filter_map(|accepted| accepted.message.payload().map(text_of));
    texts.filter(|text| text.starts_with(prefix)).collect()
}

/// Waits until the bus has accepted so many requests.
async fn wait_requests(bus: &Emulator, count: usize) {
    let reached = bus
        .wait_for(LATER, |ledger| (ledger.requests().count() >= count).then_some(()))
        .await;
    assert!(
        reached.is_ok(),
        "{} of {count} requests reached the bus",
        bus.ledger().requests().count()
    );
}

/// Takes so many answers: the request that each answers, and its text.
async fn take_answers(system: &Participant, selector: &Selector, count: usize) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let taken = next_response_of(system, selector).await;
        system.ack(&taken.data.message_id).await.unwrap();
        answers.push((taken.original_message_id.clone().unwrap(), answered_text(&taken)));
    }
    answers
}

async fn forwarded(region: &Region, outcome: &str) -> u64 {
    let labels = [("upstream", FEDERAL), ("outcome", outcome)];
    region
        .metrics()
        .await
        .unwrap()
        .count("messages_forwarded_total", &labels)
}

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
    assert_eq!(forwarded(&region, "accepted").await, 16);
    assert!(queues(&region).await.is_empty());
}

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
        eventually("the message is off the queue", async || {
            queues(&region).await.is_empty().then_some(())
        })
        .await;
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
    assert_eq!(forwarded(&region, "already_sent").await, already_sent);
    assert_eq!(forwarded(&region, "accepted").await, turns.len() as u64 - already_sent);
    assert!(quarantine(&region).await.is_empty());
}

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
async fn a_refusal_of_the_bus_for_good_becomes_a_notice_to_the_sender() {
    let World { bus, region } = World::start().await;
    let faults = [
        "InvalidContent",
        "BusinessDataTypeIsNotSupported",
        "RecipientIsNotFound",
        "AccessDenied",
        "EndOfLifeReached",
        "AttachmentContentMiscoordination",
        "AttachmentSizeLimitExceeded",
    ];
    for (fault, version) in faults.iter().zip(Version::ALL.iter().cycle()) {
        let consumer = region.participant(CONSUMER, *version).unwrap();
        let knob = bus
            .knobs()
            .fault(Operation::SendRequest, Fault::new(fault).text("так решила СМЭВ"), 1);
        let data = consumer.new_request(request(EGRN, fault)).node("NODE");
        send_data(&consumer, &data).await;
        let taken = next_response_of(&consumer, &Selector::any().node("NODE")).await;
        consumer.ack(&taken.data.message_id).await.unwrap();
        let Reply::Async(status) = &taken.data.reply else {
            panic!("{fault}: not a notice: {:?}", taken.data.reply)
        };
        assert_eq!(status.original_message_id, data.message_id);
        assert_eq!(status.category, "requestIsRejectedBySmev");
        let told = format!("{status:?}");
        assert!(
            told.contains(fault) && told.contains("так решила СМЭВ"),
            "{fault}: {told}"
        );
        assert_eq!(knob.worked(), 1);
        assert_eq!(bus.ledger().times_accepted(&data.message_id), 0);
    }
    assert_eq!(forwarded(&region, "rejected").await, faults.len() as u64);
    assert!(queues(&region).await.is_empty() && quarantine(&region).await.is_empty());
    // The lane goes on.
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(EGRN, "дальше")).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "дальше");
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

#[tokio::test]
async fn what_nobody_can_rule_on_waits_for_a_person_who_retries_or_rejects_it() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    let faults = [
        "MessageIsAlreadySent",
        "TransactionCodeInvalid",
        "InvalidMessageIdFormat",
        "PersonalAccessDenied",
    ];
    let mut ids = Vec::new();
    for fault in faults {
        bus.knobs().fault(Operation::SendRequest, Fault::new(fault), 1);
        let id = send(&consumer, request(EGRN, fault)).await;
        eventually("the message is in quarantine", async || {
            quarantine(&region).await.iter().find(|(held, _)| *held == id).cloned()
        })
        .await;
        ids.push(id);
    }
    assert_eq!(forwarded(&region, "quarantined").await, faults.len() as u64);
    assert_eq!(
        region.metrics().await.unwrap().count("quarantine_depth", &[]),
        faults.len() as u64
    );
    for (id, cause) in quarantine(&region).await {
        let place = ids.iter().position(|one| *one == id).unwrap();
        assert!(cause.contains(faults[place]), "{cause}");
    }
    assert_eq!(bus.ledger().requests().count(), 0);
    // The lane did not wait for them.
    send(&consumer, request(EGRN, "дальше")).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "дальше");

    region
        .command(&["quarantine", "retry", &ids[1], &ids[2]])
        .await
        .unwrap()
        .success()
        .unwrap();
    let answers: BTreeMap<_, _> = take_answers(&consumer, &Selector::any(), 2).await.into_iter().collect();
    assert_eq!(answers.get(&ids[1]).map(String::as_str), Some(faults[1]));
    assert_eq!(answers.get(&ids[2]).map(String::as_str), Some(faults[2]));

    let reason = "номер перепутан, отправьте заново";
    region
        .command(&["quarantine", "reject", &ids[0], "--reason", reason])
        .await
        .unwrap()
        .success()
        .unwrap();
    let taken = take_response(&consumer).await;
    let Reply::Async(status) = taken.data.reply else {
        panic!("not a notice: {:?}", taken.data.reply)
    };
    assert_eq!(status.original_message_id, ids[0]);
    assert!(
        format!("{status:?}").contains(reason),
        "the sender is told why: {status:?}"
    );

    let left: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, std::slice::from_ref(&ids[3]));
    let unknown = region.command(&["quarantine", "retry", &ids[0]]).await.unwrap();
    assert_eq!(unknown.code, Some(1), "what is not there cannot be retried");
    let usage = region.command(&["quarantine", "reject", &ids[3]]).await.unwrap();
    assert_eq!(usage.code, Some(2), "a rejection has a reason");
    let decided = journal(&region, &["--type", "decided"]).await;
    assert_eq!(decided.len(), 3, "{decided:?}");
    assert!(bus.ledger().accepted_more_than_once().is_empty());
}

#[tokio::test]
async fn one_refused_signature_is_the_messages_and_a_refused_probe_stops_the_link() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    bus.knobs()
        .fault(Operation::SendRequest, Fault::signature("SignatureIsInvalid"), 1);
    let suspicious = send(&consumer, request(EGRN, "подозрительно")).await;
    send(&consumer, request(EGRN, "следом")).await;
    assert_eq!(
        answered_text(&take_response(&consumer).await),
        "следом",
        "the link goes on"
    );
    let held: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(held, std::slice::from_ref(&suspicious));
    assert!(!journal(&region, &["--type", "incident"]).await.is_empty());

    // The bus has forgotten the gateway altogether.
    let forgotten = bus
        .knobs()
        .fault(Scope::any(), Fault::new("SenderIsNotRegistered"), Times::Always);
    eventually("the link stops", async || {
        let (up, message) = upstream_condition(&region, FEDERAL).await;
        (!up && message.contains("stopped")).then_some(())
    })
    .await;
    let mut waiting = Vec::new();
    for number in 0..5 {
        waiting.push(send(&consumer, request(EGRN, &format!("ждёт {number}"))).await);
    }
    assert_eq!(
        queue(&region, "upstream/federal").await,
        waiting,
        "nothing is wasted on a link that is stopped"
    );
    forgotten.off();
    wait_requests(&bus, 6).await;
    let expected: Vec<String> = (0..5).map(|number| format!("ждёт {number}")).collect();
    assert_eq!(accepted_texts(&bus.ledger(), "ждёт"), expected);
    region
        .command(&["quarantine", "retry", &suspicious])
        .await
        .unwrap()
        .success()
        .unwrap();
    wait_requests(&bus, 7).await;
    assert!(bus.ledger().accepted_more_than_once().is_empty());
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
    let local = common::refused(&consumer, &sign("urn://test/tajna/1.0")).await;
    assert_eq!(local.element, "RecipientIsNotFound");
    let denied = common::refused(&consumer, &sign("urn://test/chuzhoe/1.0")).await;
    assert_eq!(denied.element, "AccessDenied", "the upstream may not provide it");
    // A route upstream for a local kind is a mistake in the registry that is told.
    let file = std::fs::read_to_string(region.registry_file()).unwrap();
    let route = "\n[[route]]\nkind = \"tajna\"\nupstream = \"federal\"\n";
    std::fs::write(region.registry_file(), format!("{file}{route}")).unwrap();
    let applied = region
        .command(&["registry", "apply", &region.registry_file().display().to_string()])
        .await
        .unwrap();
    let fault = common::refused(&consumer, &sign("urn://test/tajna/1.0")).await;
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
    let fault = common::refused(&consumer, &call).await;
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
