//! What the bus refuses, and how it says so.

use crate::common::{EGRN, SPRAVKA, bus, hours, now, request, response};
use emulator::{
    Attachment, CallError, Identity, Operation, Participant, Reply, RequestData, ResponseData, Selector, SignedCall,
    Version,
};

async fn fault_of(participant: &Participant, call: &SignedCall) -> emulator::Fault {
    let answer = participant.call(call).await.expect("the bus answers");
    assert_eq!(answer.http().status, 500);
    match answer.receipt().expect_err("the call is refused") {
        CallError::Fault(fault) => *fault,
        other => panic!("not a fault but {other:?}"),
    }
}

#[tokio::test]
async fn identifiers_must_be_fresh_new_and_of_version_1() {
    let b = bus().await;
    for version in Version::ALL {
        let consumer = b.consumer.clone().with_version(version);
        let content = request(SPRAVKA, "q");
        let send = async |data: &RequestData| fault_of(&consumer, &consumer.sign_request(data).unwrap()).await.element;

        assert_eq!(
            send(&RequestData::sent_at(now() - hours(49), &content)).await,
            "StaleMessageId"
        );
        assert_eq!(
            send(&RequestData::sent_at(now() + hours(1), &content)).await,
            "StaleMessageId"
        );
        let v4 = RequestData::new(&content).id("c0938f39-9a55-41ea-8ec7-2dd0b486eb66");
        assert_eq!(send(&v4).await, "InvalidMessageIdFormat");
        let upper = RequestData::new(&content).id(emulator::message_id(now()).to_uppercase());
        assert_eq!(send(&upper).await, "InvalidMessageIdFormat");

        let once = RequestData::sent_at(now() - hours(47), &content);
        consumer.send_request(&once).await.unwrap();
        assert_eq!(send(&once).await, "MessageIsAlreadySent");
        assert_eq!(b.bus.ledger().times_accepted(&once.message_id), 1);
        assert_eq!(b.bus.ledger().times_already_sent(&once.message_id), 1);
    }
}

#[tokio::test]
async fn an_identifier_ages_by_the_clock_of_the_bus() {
    let b = bus().await;
    let call = b
        .consumer
        .sign_request(&b.consumer.new_request(request(SPRAVKA, "q")))
        .unwrap();
    b.bus.clock().advance(std::time::Duration::from_secs(49 * 3600));
    assert_eq!(fault_of(&b.consumer, &call).await.element, "StaleMessageId");
    let late = b
        .consumer
        .sign_get(Operation::GetRequest, &Selector::any(), "2020-01-01T00:00:00Z")
        .unwrap();
    assert_eq!(fault_of(&b.consumer, &late).await.element, "SignatureVerificationFault");
}

#[tokio::test]
async fn what_was_changed_after_signing_is_refused() {
    let b = bus().await;
    let sent = b.consumer.new_request(request(SPRAVKA, "hundred"));
    let call = b.consumer.sign_request(&sent).unwrap();
    let fault = fault_of(&b.consumer, &call.clone().replace("hundred", "thousand")).await;
    assert_eq!(
        fault.field_text("SignatureVerificationFault"),
        Some("SignatureIsInvalid")
    );
    let elsewhere = call.clone().replace("URI=\"#SIGNED_BY_CALLER\"", "URI=\"#OTHER\"");
    let fault = fault_of(&b.consumer, &elsewhere).await;
    assert_eq!(
        fault.field_text("SignatureVerificationFault"),
        Some("IncorrectSignatureTarget")
    );
    assert!(b.bus.ledger().all_accepted().is_empty());
    b.consumer.call(&call).await.unwrap().receipt().unwrap();
}

#[tokio::test]
async fn strangers_and_expired_certificates_are_refused() {
    let b = bus().await;
    let url = b.bus.url(Version::V1_2);
    let stranger = Identity::generate("CONSUMER").unwrap();
    let stranger = Participant::new(stranger, Version::V1_2, &url, b.bus.certificate().clone()).unwrap();
    let call = stranger
        .sign_request(&stranger.new_request(request(SPRAVKA, "q")))
        .unwrap();
    assert_eq!(fault_of(&stranger, &call).await.element, "SenderIsNotRegistered");

    let until = now().as_second() - 3600;
    let (curve, algorithm) = (gost::Curve::Tc26A512, gost::KeyAlgorithm::Gost2012_512);
    let old = Identity::generate_with("OLD", curve, algorithm, until - 86_400..until).unwrap();
    b.bus.register(emulator::Registered {
        mnemonic: "OLD".to_owned(),
        name: "Old".to_owned(),
        certificates: vec![old.certificate().clone()],
    });
    let old = Participant::new(old, Version::V1_2, &url, b.bus.certificate().clone()).unwrap();
    let call = old.sign_request(&old.new_request(request(SPRAVKA, "q"))).unwrap();
    let fault = fault_of(&old, &call).await;
    assert_eq!(
        fault.field_text("SignatureVerificationFault"),
        Some("CertificateIsExpired")
    );
    assert!(
        fault
            .text
            .starts_with("Срок действия сертификата ЭП-ОВ истёк. Сертификат действителен до 20")
    );
}

#[tokio::test]
async fn missing_signatures_have_the_fault_of_their_operation() {
    let b = bus().await;
    let unsigned = |call: SignedCall| {
        let text = call.text();
        let start = text.find("<typ:CallerInformationSystemSignature>").unwrap();
        let end = text.find("</typ:CallerInformationSystemSignature>").unwrap();
        let gone = text[start..end].to_owned() + "</typ:CallerInformationSystemSignature>";
        call.replace(&gone, "")
    };
    let send = unsigned(
        b.consumer
            .sign_request(&b.consumer.new_request(request(SPRAVKA, "q")))
            .unwrap(),
    );
    assert_eq!(fault_of(&b.consumer, &send).await.element, "InvalidContent");
    let get = unsigned(b.consumer.sign_get_response(&Selector::any()).unwrap());
    let fault = fault_of(&b.consumer, &get).await;
    assert_eq!(fault.field_text("SignatureVerificationFault"), Some("NoSignatureFound"));
    assert_eq!(fault.text, "Отсутствует ЭП-ОВ");
}

#[tokio::test]
async fn elements_have_their_order() {
    let b = bus().await;
    let call = b.consumer.sign_get_response(&Selector::any().node("n")).unwrap();
    let text = call.text();
    let at = |tag: &str| text.find(tag).unwrap();
    let timestamp = &text[at("<bas:Timestamp>")..at("<bas:NodeID>")];
    let swapped = call
        .clone()
        .replace(timestamp, "")
        .replace("</bas:NodeID>", &format!("</bas:NodeID>{timestamp}"));
    // The order is looked at after the signature, which does not hold either.
    assert_eq!(
        fault_of(&b.consumer, &swapped).await.element,
        "SignatureVerificationFault"
    );
    let twice = b
        .consumer
        .sign_request(&b.consumer.new_request(request(SPRAVKA, "q")))
        .unwrap();
    let twice = twice.replace("</soapenv:Body>", "<x xmlns=\"urn:x\"/></soapenv:Body>");
    assert_eq!(fault_of(&b.consumer, &twice).await.element, "InvalidContent");
    let broken = b
        .consumer
        .sign_get_response(&Selector::any())
        .unwrap()
        .replace("</soapenv:Envelope>", "");
    assert_eq!(fault_of(&b.consumer, &broken).await.element, "InvalidContent");
    assert_eq!(b.bus.ledger().all_refused().len(), 3);
}

#[tokio::test]
async fn kinds_access_life_and_files_are_checked() {
    let b = bus().await;
    let send = async |data: RequestData| fault_of(&b.consumer, &b.consumer.sign_request(&data).unwrap()).await;
    let fault = send(RequestData::new("<a xmlns=\"urn:unknown\"/>")).await;
    assert_eq!(fault.element, "BusinessDataTypeIsNotSupported");
    assert_eq!(fault.field_text("RootElementNamespaceURI"), Some("urn:unknown"));
    assert_eq!(
        send(RequestData::new(request(EGRN, "q"))).await.element,
        "RecipientIsNotFound"
    );
    b.bus
        .register_kind(emulator::Kind::new(EGRN, "Request", "Response", "PROVIDER").only_for(&["OTHER"]));
    assert_eq!(send(RequestData::new(request(EGRN, "q"))).await.element, "AccessDenied");
    assert_eq!(
        send(RequestData::new(request(SPRAVKA, "q")).eol(now() - hours(1)))
            .await
            .element,
        "EndOfLifeReached"
    );
    let large = Attachment::new("a", "text/plain", vec![0; (5 << 20) + 1]);
    let fault = send(RequestData::new(request(SPRAVKA, "q")).attach(large)).await;
    assert_eq!(fault.element, "AttachmentSizeLimitExceeded");
    assert_eq!(fault.field_text("RealTotalAttachmentSize"), Some("5242881"));
    let file = RequestData::new(request(SPRAVKA, "q")).attach(Attachment::new("a", "text/plain", "x"));
    let call = b
        .consumer
        .sign_request_as(&file, "S", false)
        .unwrap()
        .replace("<bas:Id>a</bas:Id>", "<bas:Id>b</bas:Id>");
    assert_eq!(
        fault_of(&b.consumer, &call).await.element,
        "AttachmentContentMiscoordination"
    );
}

#[tokio::test]
async fn answers_need_their_request_and_their_kind() {
    let b = bus().await;
    let sent = b.consumer.new_request(request(SPRAVKA, "q"));
    b.consumer.send_request(&sent).await.unwrap();
    let to = b
        .provider
        .get_request(&Selector::any())
        .await
        .unwrap()
        .unwrap()
        .reply_to
        .unwrap();
    let answer = async |to: &str, reply: Reply, who: &Participant| {
        fault_of(who, &who.sign_response(&ResponseData::new(to, reply)).unwrap())
            .await
            .element
    };
    let good = || Reply::content(response(SPRAVKA, "a"));
    assert_eq!(answer("nowhere", good(), &b.provider).await, "RecipientIsNotFound");
    assert_eq!(answer(&to, good(), &b.consumer).await, "RecipientIsNotFound");
    assert_eq!(
        answer(&to, Reply::content(request(SPRAVKA, "a")), &b.provider).await,
        "IncorrectResponseContentType"
    );
    let unknown = Reply::content("<a xmlns=\"urn:unknown\"/>");
    assert_eq!(
        answer(&to, unknown, &b.provider).await,
        "BusinessDataTypeIsNotSupported"
    );
    b.provider.send_response(&ResponseData::new(&to, good())).await.unwrap();
    assert_eq!(
        answer(&to, good(), &b.provider).await,
        "RecipientIsNotFound",
        "a second final answer"
    );
}

#[tokio::test]
async fn only_what_was_handed_out_is_acknowledged_and_what_was_not_comes_again() {
    let b = bus().await;
    let sent = b.consumer.new_request(request(SPRAVKA, "q"));
    b.consumer.send_request(&sent).await.unwrap();
    let fault = b.provider.ack(&sent.message_id).await.unwrap_err();
    assert_eq!(fault.fault_name(), Some("TargetMessageIsNotFound"));
    assert!(
        fault
            .fault()
            .unwrap()
            .description
            .as_deref()
            .unwrap()
            .starts_with("SMEV-501:")
    );
    assert!(b.provider.get_request(&Selector::any()).await.unwrap().is_some());
    assert!(
        b.provider.get_request(&Selector::any()).await.unwrap().is_none(),
        "leased"
    );
    b.bus.clock().advance(std::time::Duration::from_secs(15 * 60));
    assert!(b.provider.get_request(&Selector::any()).await.unwrap().is_some());
    b.provider.ack_with(&sent.message_id, Some(false)).await.unwrap();
    assert!(!b.bus.ledger().acknowledged(&sent.message_id).unwrap().accepted);
    assert!(b.provider.ack(&sent.message_id).await.is_err());
    let foreign = b
        .provider
        .get_request(&Selector::kind(EGRN, "Request"))
        .await
        .unwrap_err();
    assert_eq!(foreign.fault_name(), Some("UnknownMessageType"));
}
