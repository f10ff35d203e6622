//! What a participant can do on the bus, in every version.

use crate::common::{SPRAVKA, bus, request, response};
use emulator::{
    Attachment, CallError, DeliveredResponse, Reply, RequestData, ResponseData, Routing, Selector, SenderProof, Version,
};

#[tokio::test]
async fn six_calls_make_an_exchange_in_every_version() {
    let b = bus().await;
    for version in Version::ALL {
        let (consumer, provider) = (
            b.consumer.clone().with_version(version),
            b.provider.clone().with_version(version),
        );
        let text = format!("вопрос {version} <&>\"'");
        let content = request(SPRAVKA, &text.replace('&', "&amp;").replace('<', "&lt;"));
        let sent = consumer.new_request(&content).transaction_code("tc-1").test();
        let receipt = consumer.send_request(&sent).await.unwrap();
        assert_eq!(receipt.message_id, sent.message_id);
        assert_eq!(receipt.metadata.status.as_deref(), Some("requestIsQueued"));
        assert_eq!(
            receipt.metadata.recipient.unwrap().mnemonic.as_deref(),
            Some("PROVIDER")
        );

        let got = provider
            .get_request(&Selector::kind(SPRAVKA, "Request"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(got.data.message_id, sent.message_id);
        assert_eq!(got.data.transaction_code.as_deref(), Some("tc-1"));
        assert!(got.data.test_message);
        assert!(got.data.content.contains("&lt;&amp;>"), "{}", got.data.content);
        assert_eq!(
            got.metadata.sender.as_ref().unwrap().mnemonic.as_deref(),
            Some("CONSUMER")
        );
        assert_eq!(
            got.sender.certificate().unwrap().der(),
            consumer.identity().certificate().der()
        );
        provider.ack(&sent.message_id).await.unwrap();

        let answer = ResponseData::new(got.reply_to.unwrap(), Reply::content(response(SPRAVKA, "ответ")));
        provider.send_response(&answer).await.unwrap();
        let back = consumer.get_response(&Selector::any()).await.unwrap().unwrap();
        assert_eq!(back.data.message_id, answer.message_id);
        assert_eq!(back.original_message_id.as_deref(), Some(sent.message_id.as_str()));
        assert_eq!(back.original_transaction_code.as_deref(), Some("tc-1"));
        assert!(matches!(back.sender, SenderProof::Holds(_)));
        consumer.ack(&answer.message_id).await.unwrap();

        assert!(consumer.get_response(&Selector::any()).await.unwrap().is_none());
        assert!(provider.get_request(&Selector::any()).await.unwrap().is_none());
        let ledger = b.bus.ledger();
        assert_eq!(ledger.responses_to(&sent.message_id).len(), 1);
        assert_eq!(ledger.times_acknowledged(&answer.message_id), 1);
    }
    assert_eq!(b.bus.waiting("PROVIDER"), (0, 0));
}

#[tokio::test]
async fn every_form_of_an_answer_comes_through() {
    let b = bus().await;
    let replies = [
        Reply::status(7, "в работе"),
        Reply::rejected("NO_DATA", "нет данных"),
        Reply::with_files(
            response(SPRAVKA, "x"),
            vec![Attachment::new("f1", "application/zip", vec![0, 1, 2, 255])],
        ),
    ];
    for reply in replies {
        let sent = b.consumer.new_request(request(SPRAVKA, "q"));
        b.consumer.send_request(&sent).await.unwrap();
        let got = b.provider.get_request(&Selector::any()).await.unwrap().unwrap();
        b.provider.ack(&sent.message_id).await.unwrap();
        b.provider
            .send_response(&ResponseData::new(got.reply_to.unwrap(), reply.clone()))
            .await
            .unwrap();
        let DeliveredResponse { data, .. } = b.consumer.get_response(&Selector::any()).await.unwrap().unwrap();
        b.consumer.ack(&data.message_id).await.unwrap();
        // A payload comes with the declarations that it stood under, otherwise unchanged.
        let same = match (&data.reply, &reply) {
            (
                Reply::Content {
                    content, attachments, ..
                },
                Reply::Content { attachments: sent, .. },
            ) => content.ends_with("><k:Text>x</k:Text></k:Response>") && attachments == sent,
            (got, sent) => got == sent,
        };
        assert!(same, "{:?}", data.reply);
    }
}

#[tokio::test]
async fn files_travel_as_parts_and_as_text() {
    let b = bus().await;
    let mut file = Attachment::new(
        "1d0a.zip",
        "application/zip",
        (0..=255u8).cycle().take(70_000).collect::<Vec<_>>(),
    );
    file.signature_pkcs7 = Some(vec![48, 3, 2, 1, 1]);
    for as_parts in [true, false] {
        let sent = RequestData::new(request(SPRAVKA, "files")).attach(file.clone());
        let call = b.consumer.sign_request_as(&sent, "ANY", as_parts).unwrap();
        b.consumer.call(&call).await.unwrap().receipt().unwrap();
        let got = b.provider.get_request(&Selector::any()).await.unwrap().unwrap();
        assert_eq!(got.data.attachments, [file.clone()]);
        b.provider.ack(&sent.message_id).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_gets_its_own_answers_only() {
    let b = bus().await;
    let sent = b.consumer.new_request(request(SPRAVKA, "q")).node("node-1");
    b.consumer.send_request(&sent).await.unwrap();
    let got = b.provider.get_request(&Selector::any()).await.unwrap().unwrap();
    let answer = ResponseData::new(got.reply_to.unwrap(), Reply::content(response(SPRAVKA, "a")));
    b.provider.send_response(&answer).await.unwrap();
    assert!(b.consumer.get_response(&Selector::any()).await.unwrap().is_none());
    let old = b.consumer.clone().with_version(Version::V1_1);
    assert_eq!(old.queue_statistics(Some("node-1")).await.unwrap()[1].1, 1);
    assert_eq!(old.queue_statistics(None).await.unwrap()[1].1, 0);
    assert!(
        b.consumer
            .get_response(&Selector::any().node("node-1"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn routing_is_taken_if_the_sender_signed_it() {
    let b = bus().await;
    let consumer = b.consumer.clone().with_version(Version::V1_3);
    let routing = Routing {
        dynamic: vec!["73".to_owned()],
        identifiers: vec!["a".to_owned(), "b".to_owned()],
    };
    let sent = consumer.new_request(request(SPRAVKA, "q")).routing(routing.clone());
    consumer.send_request(&sent).await.unwrap();
    assert_eq!(
        b.bus
            .ledger()
            .accepted(&sent.message_id)
            .unwrap()
            .message
            .request()
            .unwrap()
            .routing,
        Some(routing)
    );

    let other = consumer.new_request(request(SPRAVKA, "q")).routing(Routing::default());
    let call = consumer
        .sign_request(&other)
        .unwrap()
        .replace("</rout:MessageID>", " </rout:MessageID>");
    let refused = consumer.call(&call).await.unwrap().receipt().unwrap_err();
    assert_eq!(refused.fault_name(), Some("SignatureVerificationFault"));
}

#[tokio::test]
async fn a_message_in_another_version_arrives_with_a_signature_that_does_not_hold() {
    let b = bus().await;
    let sent = b
        .consumer
        .clone()
        .with_version(Version::V1_1)
        .new_request(request(SPRAVKA, "q"));
    b.consumer
        .clone()
        .with_version(Version::V1_1)
        .send_request(&sent)
        .await
        .unwrap();
    let got = b
        .provider
        .clone()
        .with_version(Version::V1_3)
        .get_request(&Selector::any())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(got.data.message_id, sent.message_id);
    assert!(matches!(got.sender, SenderProof::DoesNotHold(_)));
}

#[tokio::test]
async fn what_real_clients_send_is_taken() {
    let b = bus().await;
    let strange = |call: emulator::SignedCall| {
        call.without_soap_action()
            .with_content_type("application/soap+xml; charset=utf-8")
            .with_byte_order_mark()
    };
    let sent = b.consumer.new_request(request(SPRAVKA, "q"));
    b.consumer
        .call(&strange(b.consumer.sign_request(&sent).unwrap()))
        .await
        .unwrap()
        .receipt()
        .unwrap();
}

#[tokio::test]
async fn nobody_listening_means_nothing_was_sent() {
    let b = bus().await;
    b.consumer
        .send_request(&b.consumer.new_request(request(SPRAVKA, "1")))
        .await
        .unwrap();
    b.bus.go_down().await;
    let error = b
        .consumer
        .send_request(&b.consumer.new_request(request(SPRAVKA, "2")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::Transport(emulator::TransportError::NotSent(_))),
        "{error:?}"
    );
    b.bus.come_back().await.unwrap();
    b.consumer
        .send_request(&b.consumer.new_request(request(SPRAVKA, "3")))
        .await
        .unwrap();
    assert_eq!(b.bus.ledger().all_accepted().len(), 2);
}
