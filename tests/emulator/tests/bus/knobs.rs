//! What tests can make go wrong, and the far side of the bus.

use std::time::{Duration, Instant};

use crate::common::{Bus, EGRN, SOON, SPRAVKA, bus, request, response};
use emulator::{
    AsyncStatus, CallError, Fault, FederalRequest, FederalResponse, Operation, Provider, Reply, RequestData,
    ResponseData, Scope, Selector, Times, TransportError, WrongSignature,
};

async fn send(b: &Bus, data: &RequestData) -> Result<(), CallError> {
    b.consumer.send_request(data).await.map(drop)
}

#[tokio::test]
async fn a_lost_answer_leaves_the_message_accepted() {
    let b = bus().await;
    for turn in [Knobs::Lost, Knobs::Half, Knobs::Garbage] {
        let data = b.consumer.new_request(request(SPRAVKA, "q"));
        let knob = match turn {
            Knobs::Lost => b.bus.knobs().lose_answers(Operation::SendRequest, 1),
            Knobs::Half => b.bus.knobs().half_answers(Operation::SendRequest, 1),
            Knobs::Garbage => b.bus.knobs().garbage(Operation::SendRequest, 1),
        };
        let error = send(&b, &data).await.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::Transport(TransportError::Broken(_)) | CallError::Status { status: 200, .. }
            ),
            "{error:?}"
        );
        assert_eq!(knob.worked(), 1);
        assert_eq!(
            send(&b, &data).await.unwrap_err().fault_name(),
            Some("MessageIsAlreadySent")
        );
        assert_eq!(b.bus.ledger().times_accepted(&data.message_id), 1);
    }
}

enum Knobs {
    Lost,
    Half,
    Garbage,
}

#[tokio::test]
async fn a_dropped_or_refused_call_leaves_nothing() {
    let b = bus().await;
    let data = b.consumer.new_request(request(SPRAVKA, "q"));
    b.bus.knobs().drop_calls(Operation::SendRequest, 1);
    assert!(matches!(
        send(&b, &data).await,
        Err(CallError::Transport(TransportError::Broken(_)))
    ));
    b.bus.knobs().http_status(Operation::SendRequest, 503, 1);
    assert!(matches!(
        send(&b, &data).await,
        Err(CallError::Status { status: 503, .. })
    ));
    b.bus
        .knobs()
        .fault(Operation::SendRequest, Fault::new("SMEVFailure"), 1);
    assert_eq!(send(&b, &data).await.unwrap_err().fault_name(), Some("SMEVFailure"));
    let full = b
        .bus
        .knobs()
        .overflow(Operation::SendRequest.of_kind(SPRAVKA), Times::Always);
    for _ in 0..3 {
        let error = send(&b, &data).await.unwrap_err();
        assert_eq!(
            error.fault().unwrap().field_text("MessageBrokerAddress"),
            Some("unknown")
        );
    }
    assert!(b.bus.ledger().all_accepted().is_empty());
    full.off();
    send(&b, &data).await.unwrap();
    assert_eq!(b.bus.ledger().refused_with("DestinationOverflow").len(), 3);
}

#[tokio::test]
async fn slow_answers_come_late_and_hanging_ones_never() {
    let b = bus().await;
    b.bus
        .knobs()
        .slow(Scope::any().from_participant("CONSUMER"), Duration::from_millis(150), 1);
    let before = Instant::now();
    send(&b, &b.consumer.new_request(request(SPRAVKA, "q"))).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(150));

    b.bus.knobs().hang(Operation::SendRequest, 1);
    let url = b.bus.url(b.consumer.version());
    let impatient = b
        .consumer
        .clone()
        .with_timeout(&url, Duration::from_millis(100))
        .unwrap();
    let error = impatient
        .send_request(&b.consumer.new_request(request(SPRAVKA, "q")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::Transport(TransportError::Timeout(_))),
        "{error:?}"
    );
    assert_eq!(b.bus.ledger().all_accepted().len(), 1);
}

#[tokio::test]
async fn bad_signatures_of_the_bus_are_noticed() {
    let b = bus().await;
    let ways = [
        WrongSignature::OtherKey,
        WrongSignature::BrokenValue,
        WrongSignature::BrokenDigest,
        WrongSignature::Missing,
    ];
    for way in ways {
        b.bus.knobs().wrong_signature(Operation::SendRequest, way, 1);
        let error = send(&b, &b.consumer.new_request(request(SPRAVKA, "q")))
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::Signature(_)), "{way:?}: {error:?}");
        let knob = b.bus.knobs().wrong_signature(Operation::GetRequest, way, 1);
        let error = b.provider.get_request(&Selector::any()).await.unwrap_err();
        assert!(matches!(error, CallError::Signature(_)), "{way:?}: {error:?}");
        assert_eq!(knob.worked(), 1);
    }
}

#[tokio::test]
async fn everything_can_come_as_multipart() {
    let b = bus().await;
    b.bus.knobs().multipart(Scope::any(), Times::Always);
    assert!(b.consumer.get_response(&Selector::any()).await.unwrap().is_none());
    let data = b.consumer.new_request(request(SPRAVKA, "q"));
    send(&b, &data).await.unwrap();
    assert_eq!(
        send(&b, &data).await.unwrap_err().fault_name(),
        Some("MessageIsAlreadySent")
    );
    b.provider.get_request(&Selector::any()).await.unwrap().unwrap();
    let answer = b
        .provider
        .call(&b.provider.sign_ack(&data.message_id, Some(true)).unwrap())
        .await
        .unwrap();
    assert!(answer.http().content_type.starts_with("multipart/related"));
    answer.acknowledged().unwrap();
}

#[tokio::test]
async fn an_acknowledged_message_can_come_again() {
    let b = bus().await;
    let knob = b.bus.knobs().deliver_again(Operation::GetRequest, 1);
    assert!(b.provider.get_request(&Selector::any()).await.unwrap().is_none());
    let data = b.consumer.new_request(request(SPRAVKA, "q"));
    send(&b, &data).await.unwrap();
    for _ in 0..2 {
        let got = b.provider.get_request(&Selector::any()).await.unwrap().unwrap();
        assert_eq!(got.data.message_id, data.message_id);
        b.provider.ack(&data.message_id).await.unwrap();
    }
    assert!(b.provider.get_request(&Selector::any()).await.unwrap().is_none());
    assert_eq!(knob.worked(), 1);
    let ledger = b.bus.ledger();
    assert_eq!(
        (
            ledger.times_delivered(&data.message_id),
            ledger.times_acknowledged(&data.message_id)
        ),
        (2, 2)
    );
}

#[tokio::test]
async fn a_forgetful_bus_accepts_twice_and_the_ledger_tells() {
    let b = bus().await;
    let data = b.consumer.new_request(request(SPRAVKA, "unique"));
    send(&b, &data).await.unwrap();
    assert!(b.bus.ledger().accepted_more_than_once().is_empty());
    b.bus.knobs().accept_duplicates(Operation::SendRequest, 1);
    send(&b, &data).await.unwrap();
    let ledger = b.bus.ledger();
    assert_eq!(ledger.times_accepted(&data.message_id), 2);
    assert_eq!(ledger.accepted_more_than_once().len(), 1);
    assert_eq!(ledger.accepted_with("unique").len(), 2);
}

#[tokio::test]
async fn a_federal_provider_answers_after_a_status() {
    let b = bus().await;
    let echo = |request: &RequestData| Reply::content(response(EGRN, &request.message_id));
    b.bus.set_provider(EGRN, Provider::new(echo).status_first(1, "принято"));
    let data = b.consumer.new_request(request(EGRN, "q"));
    send(&b, &data).await.unwrap();
    let status = b.consumer.get_response(&Selector::any()).await.unwrap().unwrap();
    assert_eq!(status.data.reply, Reply::status(1, "принято"));
    b.consumer.ack(&status.data.message_id).await.unwrap();
    let answer = b
        .consumer
        .get_response(&Selector::kind(EGRN, "Response"))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.data.reply.payload().unwrap().contains(&data.message_id));
    assert_eq!(answer.metadata.sender.unwrap().mnemonic.as_deref(), Some("FEDERAL"));
    assert!(answer.sender.certificate().is_some());
}

#[tokio::test]
async fn a_silent_provider_can_be_made_to_answer_later_and_the_bus_to_reject() {
    let b = bus().await;
    b.bus.set_provider(EGRN, Provider::silent());
    let data = b.consumer.new_request(request(EGRN, "q"));
    send(&b, &data).await.unwrap();
    assert!(b.consumer.get_response(&Selector::any()).await.unwrap().is_none());
    b.bus
        .answer(&data.message_id, Reply::rejected("FAILURE", "позже"))
        .unwrap();
    let answer = b.consumer.get_response(&Selector::any()).await.unwrap().unwrap();
    b.consumer.ack(&answer.data.message_id).await.unwrap();
    assert_eq!(answer.data.reply, Reply::rejected("FAILURE", "позже"));
    assert!(b.bus.answer("unknown", Reply::status(1, "x")).is_err());

    b.bus.set_provider(
        EGRN,
        Provider::rejected_by_bus(Fault::invalid_content("cvc-datatype-valid")),
    );
    let data = b.consumer.new_request(request(EGRN, "q"));
    send(&b, &data).await.unwrap();
    let notice = b.consumer.get_response(&Selector::any()).await.unwrap().unwrap();
    let Reply::Async(AsyncStatus {
        original_message_id,
        category,
        fault,
        ..
    }) = notice.data.reply
    else {
        panic!("not a notice: {:?}", notice.data.reply)
    };
    assert_eq!(
        (original_message_id, category.as_str()),
        (data.message_id, "requestIsRejectedBySmev")
    );
    let fault = fault.unwrap();
    assert_eq!(fault.element, "InvalidContent");
    assert_eq!(fault.field_text("ValidationError"), Some("cvc-datatype-valid"));
}

#[tokio::test]
async fn a_federal_consumer_asks_the_region() {
    let b = bus().await;
    let id = b
        .bus
        .push_request(FederalRequest::new(
            "FED01",
            RequestData::new(request(SPRAVKA, "из центра")),
        ))
        .unwrap();
    let got = b.provider.get_request(&Selector::any()).await.unwrap().unwrap();
    assert_eq!(got.data.message_id, id);
    assert_eq!(got.metadata.sender.unwrap().mnemonic.as_deref(), Some("FED01"));
    b.provider.ack(&id).await.unwrap();
    let answer = ResponseData::new(got.reply_to.unwrap(), Reply::content(response(SPRAVKA, "центру")));
    let waiting = b.bus.clone();
    let wanted = id.clone();
    let arrived = tokio::spawn(async move {
        waiting
            .wait_for(SOON, |ledger| {
                ledger.responses_to(&wanted).first().map(|one| one.id.clone())
            })
            .await
    });
    b.provider.send_response(&answer).await.unwrap();
    assert_eq!(arrived.await.unwrap().unwrap(), answer.message_id);
    let unknown = FederalRequest::new("FED01", RequestData::new("<a xmlns=\"urn:unknown\"/>"));
    assert!(b.bus.push_request(unknown).is_err());
}

#[tokio::test]
async fn answers_to_nothing_and_notices_can_be_pushed() {
    let b = bus().await;
    let data = ResponseData::new("somewhere", Reply::content(response(EGRN, "?")));
    let id = data.message_id.clone();
    b.bus
        .push_response(FederalResponse {
            from: "FED01".to_owned(),
            to: "CONSUMER".to_owned(),
            node_id: None,
            original_message_id: Some("c0938f39-9a55-11ea-8ec7-2dd0b486eb66".to_owned()),
            original_transaction_code: None,
            data,
        })
        .unwrap();
    assert_eq!(
        b.consumer
            .get_response(&Selector::any())
            .await
            .unwrap()
            .unwrap()
            .data
            .message_id,
        id
    );

    let notice = AsyncStatus {
        original_message_id: id,
        category: "responseIsRejectedBySmev".to_owned(),
        details: Some("нет".to_owned()),
        fault: Some(Fault::new("EndOfLifeReached").text("поздно")),
    };
    b.bus.push_status("PROVIDER", notice.clone()).unwrap();
    let got = b.provider.get_status().await.unwrap().unwrap();
    assert_eq!((got.category, got.details), (notice.category, notice.details));
    assert_eq!(got.fault.unwrap().element, "EndOfLifeReached");
    assert!(b.provider.get_status().await.unwrap().is_none());
}
