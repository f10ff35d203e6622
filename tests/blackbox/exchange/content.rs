//! What messages hold: versions, files, forms of real clients, routes and schemas that look inside.

use emulator::{Attachment, Operation, Reply, Routing, Selector, SenderProof, Version};
use harness::Kind;

use crate::common::{
    CONSUMER, PROVIDER, SOON, SPRAVKA, answer, answer_data, assert_no_request, assert_no_response, eventually,
    local_region, next_response_of, queues, refused, request, response, send, send_data, system, take_request,
    take_response, text_of,
};
use crate::{assert_is_rejection, bare, bare_reply, full_request};

#[tokio::test]
async fn a_receiver_that_speaks_another_version_gets_a_translation() {
    let region = local_region().start().await.unwrap();
    for from in Version::ALL {
        for to in Version::ALL.into_iter().filter(|&to| to != from) {
            let consumer = region.participant(CONSUMER, from).unwrap();
            let provider = region.participant(PROVIDER, to).unwrap();
            let data = full_request(&consumer, SPRAVKA, "перевод");
            send_data(&consumer, &data).await;
            let asked = take_request(&provider).await;
            assert_eq!(bare(asked.data.clone()), bare(data.clone()), "{from} to {to}");
            assert!(
                matches!(asked.sender, SenderProof::DoesNotHold(_)),
                "the signature comes along but cannot hold"
            );

            let file = Attachment::new("answer.pdf", "application/pdf", "файл".as_bytes());
            let replies = [
                Reply::status(5, "скоро"),
                Reply::with_files(response(SPRAVKA, &format!("{from} {to}")), vec![file]),
            ];
            for reply in &replies {
                answer(&provider, &asked, reply.clone()).await;
                let taken = take_response(&consumer).await;
                assert_eq!(bare_reply(&taken.data.reply), *reply, "{to} to {from}");
                assert_eq!(taken.original_message_id.as_deref(), Some(data.message_id.as_str()));
            }
        }
    }
    // Who calls in the sender's own version later gets the original.
    let consumer = region.participant(CONSUMER, Version::V1_3).unwrap();
    let provider = region.participant(PROVIDER, Version::V1_3).unwrap();
    send(&consumer, request(SPRAVKA, "оригинал")).await;
    assert!(take_request(&provider).await.sender.certificate().is_some());
}

#[tokio::test]
async fn files_arrive_whole_whether_they_came_as_parts_or_as_text() {
    let region = local_region().start().await.unwrap();
    let octets: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 251) as u8).collect();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        for as_parts in [true, false] {
            let mut file = Attachment::new("1d0a6c4e.zip", "application/zip", octets.clone());
            file.signature_pkcs7 = Some(vec![0x30, 0x82, 0, 1]);
            let empty = Attachment::new("empty", "text/plain", "");
            let data = consumer
                .new_request(request(SPRAVKA, "файлы"))
                .attach(file.clone())
                .attach(empty);
            let call = consumer.sign_request_as(&data, "SIGNED_BY_CALLER", as_parts).unwrap();
            consumer.call(&call).await.unwrap().receipt().unwrap();

            let call = provider.sign_get_request(&Selector::any()).unwrap();
            let delivery = provider.call(&call).await.unwrap();
            let content_type = delivery.http().content_type.clone();
            assert!(
                content_type.starts_with("multipart/related"),
                "files travel as MTOM: {content_type}"
            );
            let asked = delivery.delivered_request().unwrap().unwrap();
            assert_eq!(
                asked.data.attachments, data.attachments,
                "version {version}, parts: {as_parts}"
            );
            assert!(asked.sender.certificate().is_some());
            provider.ack(&asked.data.message_id).await.unwrap();

            let reply = Reply::with_files(response(SPRAVKA, "файлы"), vec![file]);
            let data = answer_data(&provider, &asked, reply.clone());
            let call = provider
                .sign_response_as(&data, "SENDER_OV_SIGNATURE", as_parts)
                .unwrap();
            provider.call(&call).await.unwrap().receipt().unwrap();
            assert_eq!(bare_reply(&take_response(&consumer).await.data.reply), reply);
        }
        let call = consumer.sign_get_response(&Selector::any()).unwrap();
        let empty = consumer.call(&call).await.unwrap();
        assert!(
            empty.http().content_type.starts_with("text/xml"),
            "without files plain XML is sent"
        );
    }
}

#[tokio::test]
async fn what_real_clients_send_is_understood() {
    let region = local_region().start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let provider = system(&region, PROVIDER);
    let sign = |text: &str| {
        consumer
            .sign_request(&consumer.new_request(request(SPRAVKA, text)))
            .unwrap()
    };
    let calls = [
        sign("без SOAPAction").without_soap_action(),
        sign("чужой тип")
            .without_soap_action()
            .with_content_type("application/soap+xml; charset=utf-8"),
        sign("без типа").with_content_type(""),
        sign("с BOM").with_byte_order_mark(),
        sign("с объявлением и пробелами").replace("<soapenv:Envelope", "\n\n<soapenv:Envelope"),
        sign("с заголовком").replace("<soapenv:Body>", "<soapenv:Header/><soapenv:Body>"),
    ];
    for call in calls {
        consumer.call(&call).await.unwrap().receipt().unwrap();
    }
    // A sender may use the Id that the gateway uses itself.
    let data = consumer.new_request(request(SPRAVKA, "чужой Id"));
    let call = consumer.sign_request_as(&data, "SIGNED_BY_SMEV", true).unwrap();
    consumer.call(&call).await.unwrap().receipt().unwrap();
    // Versions are told apart by namespace, whatever the path; /ws takes every version.
    for (path, version) in [
        ("/smev/v1.1/ws", Version::V1_3),
        ("/ws", Version::V1_1),
        ("/ws", Version::V1_3),
    ] {
        let url = format!("http://{}{path}", region.door());
        let elsewhere = consumer.clone().with_version(version).with_timeout(&url, SOON).unwrap();
        send(&elsewhere, request(SPRAVKA, "другой путь")).await;
    }
    for _ in 0..10 {
        let asked = take_request(&provider).await;
        let holds = asked.sender.certificate().is_some();
        assert_eq!(holds, text_of(&asked.data.content) != "другой путь");
    }
    assert_no_request(&provider).await;
    // Clients write local time as UTC, and may leave `accepted` out.
    let id = send(&consumer, request(SPRAVKA, "без accepted")).await;
    let ahead = (provider.now() + crate::common::hours(12)).to_string();
    let call = provider
        .sign_get(Operation::GetRequest, &Selector::any(), &ahead)
        .unwrap();
    let asked = provider
        .call(&call)
        .await
        .unwrap()
        .delivered_request()
        .unwrap()
        .unwrap();
    assert_eq!(asked.data.message_id, id);
    let without = region.participant(PROVIDER, Version::V1_3).unwrap();
    without.ack_with(&id, None).await.unwrap();
}

#[tokio::test]
async fn routes_look_at_the_payload_and_at_routing_values() {
    let region = local_region()
        .kind(Kind::new("gpzu", "urn://test/gpzu/1.0"))
        .grant(CONSUMER, "gpzu", &["request"])
        .grant("GISOGD01", "gpzu", &["provide"])
        .grant("GISOGD02", "gpzu", &["provide"])
        .grant("GISOGD03", "gpzu", &["provide"])
        .grant("GISOGD04", "gpzu", &["provide"])
        .route_when("gpzu", "{ routing = \"dynamic\", prefix = \"7301\" }", "GISOGD01")
        .route_when("gpzu", "{ routing = \"identifier\", equals = \"ИД-7\" }", "GISOGD02")
        .route_when("gpzu", "{ path = \"//OKTMO\", prefix = \"73701\" }", "GISOGD03")
        .route_when("gpzu", "{ path = \"//OKTMO\", prefix = \"73\" }", "GISOGD04")
        .start()
        .await
        .unwrap();
    let consumer = region.participant(CONSUMER, Version::V1_3).unwrap();
    let payload = |oktmo: &str| {
        format!(
            "<k:Request xmlns:k=\"urn://test/gpzu/1.0\"><k:Text>x</k:Text><k:Place><k:OKTMO>{oktmo}</k:OKTMO></k:Place></k:Request>"
        )
    };
    let routing = |dynamic: &[&str], identifiers: &[&str]| {
        let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        Routing {
            dynamic: owned(dynamic),
            identifiers: owned(identifiers),
        }
    };
    let data = |oktmo: &str| consumer.new_request(payload(oktmo));
    let cases = [
        (data("73701000"), "GISOGD03"),
        (data("7<!-- -->3701<![CDATA[000]]>"), "GISOGD03"),
        (data("73610000"), "GISOGD04"),
        (data("73701000").routing(routing(&["73010000"], &[])), "GISOGD01"),
        (
            data("73701000").routing(routing(&["9", "73010000"], &["1"])),
            "GISOGD01",
        ),
        (data("73610000").routing(routing(&[], &["ИД-7"])), "GISOGD02"),
    ];
    for (data, expected) in &cases {
        let receipt = consumer.send_request(data).await.unwrap();
        assert_eq!(receipt.metadata.recipient.unwrap().mnemonic.as_deref(), Some(*expected));
        let provider = region.participant(expected, Version::V1_3).unwrap();
        assert_eq!(take_request(&provider).await.data.message_id, data.message_id);
    }
    let fault = refused(&consumer, &consumer.sign_request(&data("63000000")).unwrap()).await;
    assert_eq!(fault.element, "RecipientIsNotFound");
}

#[tokio::test]
async fn a_message_that_breaks_its_schema_is_accepted_and_rejected_by_a_notice() {
    const CHECKED: &str = "urn://test/checked/1.0";
    let schema = format!(
        "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" targetNamespace=\"{CHECKED}\" elementFormDefault=\"qualified\">\
         <xs:element name=\"Request\" type=\"xs:int\"/><xs:element name=\"Response\" type=\"xs:int\"/></xs:schema>"
    );
    let region = local_region()
        .kind(Kind::new("checked", CHECKED).schema(&schema))
        .local_exchange("checked", &[CONSUMER], PROVIDER)
        .start()
        .await
        .unwrap();
    let payload = |root: &str, text: &str| format!("<k:{root} xmlns:k=\"{CHECKED}\">{text}</k:{root}>");
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        let bad = consumer.new_request(payload("Request", "много")).node("NODE");
        send_data(&consumer, &bad).await;
        assert_no_request(&provider).await;
        let taken = next_response_of(&consumer, &Selector::any().node("NODE")).await;
        consumer.ack(&taken.data.message_id).await.unwrap();
        assert_is_rejection(&taken.data.reply, &bad.message_id, "requestIsRejectedBySmev");
        // Even so the identifier is used up.
        let fault = refused(&consumer, &consumer.sign_request(&bad).unwrap()).await;
        assert_eq!(fault.element, "MessageIsAlreadySent");

        let id = send(&consumer, payload("Request", "7")).await;
        let asked = take_request(&provider).await;
        assert_eq!(asked.data.message_id, id);
        let bad = answer(&provider, &asked, Reply::content(payload("Response", "семь"))).await;
        let status = eventually("a notice about the answer", async || {
            provider.get_status().await.unwrap()
        })
        .await;
        let category = if version == Version::V1_1 {
            "requestIsRejectedBySmev"
        } else {
            "responseIsRejectedBySmev"
        };
        assert_is_rejection(&Reply::Async(status), &bad, category);
        assert!(provider.get_status().await.unwrap().is_none(), "a status needs no Ack");
        assert_no_response(&consumer).await;
        // An answer that never left did not end the exchange.
        answer(&provider, &asked, Reply::content(payload("Response", "7"))).await;
        let taken = take_response(&consumer).await;
        assert_eq!(bare_reply(&taken.data.reply), Reply::content(payload("Response", "7")));
    }
}

#[tokio::test]
async fn a_version_that_is_not_to_be_translated_is_refused_and_kept() {
    let region = local_region()
        .setting("smev3", "translate", "\"refuse\"")
        .start()
        .await
        .unwrap();
    let consumer = region.participant(CONSUMER, Version::V1_1).unwrap();
    let provider = region.participant(PROVIDER, Version::V1_2).unwrap();
    let id = send(&consumer, request(SPRAVKA, "1")).await;
    refused(&provider, &provider.sign_get_request(&Selector::any()).unwrap()).await;
    assert_eq!(
        queues(&region).await.get("GISOGD73/requests"),
        Some(&1),
        "{id} is not lost"
    );
}
