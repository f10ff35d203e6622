//! The main job: exchanges inside the region and with the bus, every operation in every version.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::time::Duration;

use common::{
    BINARY, CONSUMER, EGRN, FEDERAL, GATEWAY, OTHER, PROVIDER, SOON, SPRAVKA, World, answer, answer_data,
    answered_text, assert_no_request, assert_no_response, bus, eventually, identity, journal, local_region,
    next_request, next_response, next_response_of, queues, refused, request, response, send, send_data, sign, system,
    take_request, take_response, text_of,
};
use emulator::{
    AsyncStatus, Attachment, Clock, Connection, Endpoint, FederalRequest, Operation, Provider, Rejection, Reply,
    RequestData, RequestStatus, Routing, Selector, SenderProof, Version,
};
use harness::{Kind, Region, Upstream};

/// A request with everything that a request can have and every version knows.
fn full_request(system: &emulator::Participant, namespace: &str, text: &str) -> RequestData {
    let mut data = system
        .new_request(request(namespace, text))
        .transaction_code("код <транзакции> & ещё")
        .test();
    data.reference_message_id = Some(data.message_id.clone());
    data.eol = Some("2099-12-31T23:59:59+03:00".to_owned());
    let personal = "<p:Personal xmlns:p=\"urn://test/personal\" Id=\"PERSONAL_SIGNATURE\"/>";
    data.personal_signature = Some(sign(system.identity(), personal));
    data.business_process_metadata = Some(
        "<m:frgu xmlns:m=\"urn://x-artefacts-smev-gov-ru/services/message-exchange/business-process-metadata/1.0\">7300000000</m:frgu>"
            .to_owned(),
    );
    let mut signed = Attachment::new(
        "scan.zip",
        "application/zip",
        [0u8, 1, 2, 255, b'<', b'\r', b'\n'].as_slice(),
    );
    signed.signature_pkcs7 = Some(b"a detached CMS, kept as it was".to_vec());
    data.attach(signed)
        .attach(Attachment::new("1d0a.txt", "text/plain", "вложение".as_bytes()))
}

/// XML without the declarations that its surroundings lend it; those of these tests' own prefixes stay.
fn bare_xml(xml: &str) -> String {
    let (tag, rest) = xml.split_once('>').expect("an element has a start tag");
    let own = ["xmlns:k=", "xmlns:p=", "xmlns:m=", "xmlns:ds="];
    let keep = |part: &&str| !part.starts_with("xmlns") || own.iter().any(|own| part.starts_with(own));
    let kept: Vec<&str> = tag.split(' ').filter(keep).collect();
    format!("{}>{rest}", kept.join(" "))
}

fn bare(mut data: RequestData) -> RequestData {
    data.content = bare_xml(&data.content);
    data.personal_signature = data.personal_signature.as_deref().map(bare_xml);
    data.business_process_metadata = data.business_process_metadata.as_deref().map(bare_xml);
    data
}

fn bare_reply(reply: &Reply) -> Reply {
    let mut bare = reply.clone();
    if let Reply::Content { content, .. } = &mut bare {
        *content = bare_xml(content);
    }
    bare
}

#[tokio::test]
async fn every_operation_works_in_every_version_between_two_participants() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        let delivered_status = match version {
            Version::V1_1 => "responseIsDelivered",
            Version::V1_2 | Version::V1_3 => "messageIsDelivered",
        };
        assert_no_request(&provider).await;
        assert_no_response(&consumer).await;

        let data = full_request(&consumer, SPRAVKA, "о чём-то");
        let receipt = consumer.send_request(&data).await.unwrap();
        assert_eq!(receipt.message_id, data.message_id);
        assert_eq!(receipt.metadata.message_type, "REQUEST");
        assert_eq!(receipt.metadata.status.as_deref(), Some("requestIsQueued"));

        let asked = next_request(&provider).await;
        assert_eq!(
            bare(asked.data.clone()),
            bare(data.clone()),
            "version {version}: everything that the sender said arrives"
        );
        assert_eq!(asked.sender.certificate(), Some(consumer.identity().certificate()));
        assert_eq!(asked.metadata.status.as_deref(), Some(delivered_status));
        assert_eq!(
            asked.metadata.sender.as_ref().unwrap().mnemonic.as_deref(),
            Some(CONSUMER)
        );
        assert_eq!(
            asked.metadata.recipient.as_ref().unwrap().mnemonic.as_deref(),
            Some(PROVIDER)
        );
        assert!(asked.metadata.delivery_timestamp.is_some());
        assert_no_request(&provider).await;
        provider.ack(&data.message_id).await.unwrap();

        let statuses = [("принято", 1), ("в работе", 2)].map(|(description, code)| {
            let parameters = vec![("дело".to_owned(), "7/26".to_owned())];
            Reply::Status(RequestStatus {
                code,
                parameters,
                description: description.to_owned(),
            })
        });
        for status in &statuses {
            answer(&provider, &asked, status.clone()).await;
        }
        let file = Attachment::new("answer.pdf", "application/pdf", vec![7u8; 3000]);
        let last = Reply::with_files(response(SPRAVKA, "ответ"), vec![file]);
        let answer_id = answer(&provider, &asked, last.clone()).await;

        for expected in statuses.iter().chain([&last]) {
            let taken = take_response(&consumer).await;
            assert_eq!(bare_reply(&taken.data.reply), *expected, "version {version}");
            assert_eq!(taken.original_message_id.as_deref(), Some(data.message_id.as_str()));
            assert_eq!(taken.original_transaction_code, data.transaction_code);
            assert_eq!(
                taken.metadata.sender.as_ref().unwrap().mnemonic.as_deref(),
                Some(PROVIDER)
            );
            assert_eq!(taken.metadata.status.as_deref(), Some(delivered_status));
            assert_eq!(taken.sender.certificate(), Some(provider.identity().certificate()));
            if expected == &last {
                assert_eq!(taken.data.message_id, answer_id);
            }
        }
        assert_no_response(&consumer).await;
        assert!(provider.get_status().await.unwrap().is_none());
        if version == Version::V1_1 {
            assert!(
                consumer
                    .queue_statistics(None)
                    .await
                    .unwrap()
                    .iter()
                    .all(|(_, depth)| *depth == 0)
            );
        }
    }
    assert!(queues(&region).await.is_empty(), "nothing is left behind");
}

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
async fn rejections_carry_all_their_reasons_and_end_the_exchange() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        let id = send(&consumer, request(SPRAVKA, "нельзя")).await;
        let asked = take_request(&provider).await;
        let reasons = ["ACCESS_DENIED", "NO_DATA", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"];
        let reason = |code: &str| Rejection {
            code: code.to_owned(),
            description: format!("причина {code}"),
        };
        let rejected = Reply::Rejected(reasons.map(reason).to_vec());
        answer(&provider, &asked, rejected.clone()).await;

        for late in [
            Reply::content(response(SPRAVKA, "передумал")),
            Reply::status(1, "поздно"),
        ] {
            let data = answer_data(&provider, &asked, late);
            let fault = refused(&provider, &provider.sign_response(&data).unwrap()).await;
            assert_eq!(
                fault.element, "RecipientIsNotFound",
                "version {version}: the exchange is over"
            );
        }
        let taken = take_response(&consumer).await;
        assert_eq!((taken.data.reply, taken.original_message_id), (rejected, Some(id)));
        assert_eq!(taken.original_transaction_code, None, "the request had none");
        assert_no_response(&consumer).await;
    }
}

#[tokio::test]
async fn an_answer_waits_in_the_sub_queue_that_the_request_named() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        let with = |node: &str| consumer.new_request(request(SPRAVKA, node)).node(node);
        let (first, second) = (with("NODE-1"), with("узел 2"));
        let plain = consumer.new_request(request(SPRAVKA, "общая"));
        for data in [&first, &second, &plain] {
            send_data(&consumer, data).await;
        }
        for _ in 0..3 {
            // A GetRequest gets the requests of its participant, whatever its NodeID.
            let selector = Selector::any().node("NODE-PROVIDER");
            let asked = provider.get_request(&selector).await.unwrap().unwrap();
            provider.ack(&asked.data.message_id).await.unwrap();
            answer(
                &provider,
                &asked,
                Reply::content(response(SPRAVKA, &text_of(&asked.data.content))),
            )
            .await;
        }
        assert!(
            consumer
                .get_response(&Selector::any().node("NODE-3"))
                .await
                .unwrap()
                .is_none()
        );
        for (node, data) in [("узел 2", &second), ("NODE-1", &first)] {
            let selector = Selector::any().node(node);
            let taken = consumer.get_response(&selector).await.unwrap().unwrap();
            assert_eq!(taken.original_message_id.as_ref(), Some(&data.message_id));
            consumer.ack(&taken.data.message_id).await.unwrap();
            assert!(consumer.get_response(&selector).await.unwrap().is_none());
        }
        assert_eq!(answered_text(&take_response(&consumer).await), "общая");
        assert_no_response(&consumer).await;
    }
}

#[tokio::test]
async fn selectors_choose_the_kind_and_empty_ones_choose_everything() {
    const VYPISKA: &str = "urn://test/vypiska/1.0";
    let region = local_region()
        .kind(Kind::new("vypiska", VYPISKA))
        .local_exchange("vypiska", &[CONSUMER], PROVIDER)
        .start()
        .await
        .unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let provider = region.participant(PROVIDER, version).unwrap();
        send(&consumer, request(SPRAVKA, "1")).await;
        send(&consumer, request(VYPISKA, "2")).await;
        send(&consumer, request(SPRAVKA, "3")).await;
        let later = provider
            .get_request(&Selector::kind(VYPISKA, "Request"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(text_of(&later.data.content), "2");
        assert!(
            provider
                .get_request(&Selector::kind(VYPISKA, "Request"))
                .await
                .unwrap()
                .is_none()
        );
        provider.ack(&later.data.message_id).await.unwrap();
        // Templates of real clients leave the pair empty; that filters nothing.
        let first = provider.get_request(&Selector::kind("", "")).await.unwrap().unwrap();
        assert_eq!(text_of(&first.data.content), "1");
        provider.ack(&first.data.message_id).await.unwrap();
        let last = take_request(&provider).await;
        assert_eq!(text_of(&last.data.content), "3");

        for asked in [&first, &later, &last] {
            let namespace = if asked.data.message_id == later.data.message_id {
                VYPISKA
            } else {
                SPRAVKA
            };
            let reply = Reply::content(response(namespace, &text_of(&asked.data.content)));
            answer(&provider, asked, reply).await;
        }
        for (namespace, text) in [(VYPISKA, "2"), (SPRAVKA, "1"), (SPRAVKA, "3")] {
            let selector = Selector::kind(namespace, "Response");
            let taken = next_response_of(&consumer, &selector).await;
            assert_eq!(answered_text(&taken), text, "version {version}");
            consumer.ack(&taken.data.message_id).await.unwrap();
        }
    }
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
    let ahead = (provider.now() + common::hours(12)).to_string();
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

fn assert_is_rejection(reply: &Reply, about: &str, as_category: &str) {
    let Reply::Async(AsyncStatus {
        original_message_id,
        category,
        fault,
        ..
    }) = reply
    else {
        panic!("not a notice: {reply:?}")
    };
    assert_eq!((original_message_id.as_str(), category.as_str()), (about, as_category));
    assert_eq!(
        fault.as_ref().map(|fault| fault.element.as_str()),
        Some("InvalidContent")
    );
}

#[tokio::test]
async fn a_queue_keeps_its_order_and_a_redelivered_message_its_place() {
    // A quarter of an hour passes in three seconds.
    let clock = Clock::running(jiff::Timestamp::now(), 300.0);
    let region = local_region().clock(clock.clone()).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(send(&consumer, request(SPRAVKA, &number.to_string())).await);
    }
    let handed_out_at = clock.now();
    // The first and the third are taken and not acknowledged.
    for (place, id) in ids.iter().enumerate().take(4) {
        let taken = provider.get_request(&Selector::any()).await.unwrap().unwrap();
        assert_eq!(&taken.data.message_id, id, "in the order of acceptance");
        if place % 2 == 1 {
            provider.ack(id).await.unwrap();
        }
    }
    assert_eq!(queues(&region).await.get("GISOGD73/requests"), Some(&4));
    region
        .wait_metrics("free of leases again", SOON, |metrics| {
            metrics.count("leases", &[]) == 0
        })
        .await
        .unwrap();
    assert!(
        clock.now().duration_since(handed_out_at) >= common::minutes(15),
        "a lease is a quarter of an hour"
    );
    for id in [&ids[0], &ids[2], &ids[4], &ids[5]] {
        let taken = take_request(&provider).await;
        assert_eq!(&taken.data.message_id, id, "a redelivered message keeps its place");
    }
    assert_no_request(&provider).await;
    let expired = journal(&region, &["--type", "lease_expired"]).await;
    assert_eq!(expired.len(), 2);
}

#[tokio::test]
async fn a_late_ack_is_honoured_and_a_foreign_or_repeated_one_is_not() {
    let clock = Clock::running(jiff::Timestamp::now(), 600.0);
    let region = local_region().clock(clock).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let (late, waiting) = (
        send(&consumer, request(SPRAVKA, "1")).await,
        send(&consumer, request(SPRAVKA, "2")).await,
    );
    assert_eq!(next_request(&provider).await.data.message_id, late);
    let unknown = async |who: &emulator::Participant, id: &str| {
        let fault = refused(who, &who.sign_ack(id, Some(true)).unwrap()).await;
        assert_eq!(fault.element, "TargetMessageIsNotFound");
        assert!(fault.description.unwrap().starts_with("SMEV-501:"));
    };
    unknown(&consumer, &late).await;
    unknown(&provider, &waiting).await;
    unknown(&provider, &consumer.new_request("x").message_id).await;
    region
        .wait_metrics("free of leases again", SOON, |metrics| {
            metrics.count("leases", &[]) == 0
        })
        .await
        .unwrap();
    provider.ack(&late).await.unwrap();
    unknown(&provider, &late).await;
    assert_eq!(
        take_request(&provider).await.data.message_id,
        waiting,
        "what was acknowledged late does not come again"
    );
    assert_no_request(&provider).await;
    let acknowledged = journal(&region, &["--type", "acknowledged"]).await;
    let late: Vec<bool> = acknowledged.iter().map(|event| event["late"] == true).collect();
    assert_eq!(late, [true, false]);
}

#[tokio::test]
async fn an_ack_that_does_not_accept_removes_the_message_and_is_an_incident() {
    let region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let id = send(&consumer, request(SPRAVKA, "1")).await;
    next_request(&provider).await;
    provider.ack_with(&id, Some(false)).await.unwrap();
    assert!(queues(&region).await.is_empty());
    let incidents = journal(&region, &["--type", "incident"]).await;
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0]["text"].as_str().unwrap().contains(&id));
}

#[tokio::test]
async fn statistics_tell_the_depth_of_each_queue() {
    let region = local_region().start().await.unwrap();
    let consumer = region.participant(CONSUMER, Version::V1_1).unwrap();
    let provider = region.participant(PROVIDER, Version::V1_1).unwrap();
    for text in ["1", "2", "3"] {
        send_data(&consumer, &consumer.new_request(request(SPRAVKA, text)).node("NODE")).await;
    }
    let depth = async |system: &emulator::Participant, node: Option<&str>, name: &str| {
        let queues = system.queue_statistics(node).await.unwrap();
        let found = queues.iter().find(|(queue, _)| queue == name);
        found.unwrap_or_else(|| panic!("no queue {name} in {queues:?}")).1
    };
    assert_eq!(depth(&provider, None, "GISOGD73/requests").await, 3);
    let asked = take_request(&provider).await;
    answer(&provider, &asked, Reply::content(response(SPRAVKA, "1"))).await;
    assert_eq!(depth(&provider, None, "GISOGD73/requests").await, 2);
    assert_eq!(depth(&consumer, None, "MUN001/responses").await, 0);
    assert_eq!(depth(&consumer, Some("NODE"), "MUN001/responses/NODE").await, 1);
    assert_eq!(
        depth(&consumer, None, "MUN001/requests").await,
        0,
        "what others have is nobody's business"
    );
}

#[tokio::test]
async fn every_version_has_its_wsdl_and_schemas() {
    let region = local_region().start().await.unwrap();
    let base = format!("http://{}", region.door());
    let endpoint = Endpoint::parse(&base).unwrap();
    for version in Version::ALL {
        let path = format!("{}?wsdl", version.path());
        let wsdl = Connection::open(&endpoint).await.unwrap().get(&path).await.unwrap();
        assert_eq!(wsdl.status, 200);
        let text = String::from_utf8(wsdl.body.to_vec()).unwrap();
        assert!(
            text.contains(&format!("{base}{}", version.path())),
            "the public address stands in the WSDL"
        );
        let document = xmldsig::Document::parse(text.as_bytes(), &xmldsig::Limits::default()).unwrap();
        let mut schemas = Vec::new();
        imports(document.root(), &mut schemas);
        assert!(!schemas.is_empty(), "the WSDL of {version} imports schemas");
        while let Some(schema) = schemas.pop() {
            let path = schema
                .strip_prefix(&base)
                .map_or_else(|| sibling(version, &schema), str::to_owned);
            let found = Connection::open(&endpoint).await.unwrap().get(&path).await.unwrap();
            assert_eq!(found.status, 200, "{path}");
            let text = String::from_utf8(found.body.to_vec()).unwrap();
            xmldsig::Document::parse(text.as_bytes(), &xmldsig::Limits::default()).unwrap();
        }
    }
}

/// Every `schemaLocation` below an element.
fn imports(element: xmldsig::Element<'_, '_>, found: &mut Vec<String>) {
    found.extend(element.attribute("schemaLocation").map(str::to_owned));
    element.children().for_each(|child| imports(child, found));
}

/// A relative location beside `…/ws`.
fn sibling(version: Version, location: &str) -> String {
    match location.strip_prefix('/') {
        Some(_) => location.to_owned(),
        None if location.starts_with('?') => format!("{}{location}", version.path()),
        None => format!("{}/{location}", version.path().trim_end_matches("/ws")),
    }
}

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
    assert!(queues(&region).await.is_empty());
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
            assert_eq!(bus.ledger().times_acknowledged(&id), 1);
        }
    }
    assert!(queues(&region).await.is_empty());
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

#[tokio::test]
async fn an_unpolled_request_expires_and_its_sender_is_told() {
    let clock = Clock::running(jiff::Timestamp::now(), 300.0);
    let region = local_region().clock(clock.clone()).start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let data = consumer
        .new_request(request(SPRAVKA, "срочно"))
        .eol(clock.now() + common::minutes(10));
    send_data(&consumer, &data).await;
    let taken = take_response(&consumer).await;
    let Reply::Async(status) = taken.data.reply else {
        panic!("not a notice: {:?}", taken.data.reply)
    };
    assert_eq!(status.original_message_id, data.message_id);
    assert_eq!(status.category, "requestIsRejectedBySmev");
    assert!(clock.now() >= data.eol.unwrap().parse().unwrap(), "not before its time");
    assert_no_request(&provider).await;
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

#[tokio::test]
async fn one_request_is_for_one_provider_and_a_reply_to_for_who_was_handed_it() {
    let region = Region::builder(BINARY)
        .kind(Kind::new("spravka", SPRAVKA))
        .local_exchange("spravka", &[CONSUMER], PROVIDER)
        .grant(OTHER, "spravka", &["provide"])
        .start()
        .await
        .unwrap();
    let (consumer, provider, other) = (
        system(&region, CONSUMER),
        system(&region, PROVIDER),
        system(&region, OTHER),
    );
    send(&consumer, request(SPRAVKA, "1")).await;
    assert_no_request(&other).await;
    let asked = take_request(&provider).await;
    let theft = answer_data(&other, &asked, Reply::content(response(SPRAVKA, "чужой ответ")));
    let fault = refused(&other, &other.sign_response(&theft).unwrap()).await;
    assert_eq!(fault.element, "RecipientIsNotFound");
    let wrong = answer_data(
        &provider,
        &asked,
        Reply::content(request(SPRAVKA, "запрос вместо ответа")),
    );
    let fault = refused(&provider, &provider.sign_response(&wrong).unwrap()).await;
    assert_eq!(fault.element, "IncorrectResponseContentType");
    answer(&provider, &asked, Reply::content(response(SPRAVKA, "ответ"))).await;
    assert_eq!(answered_text(&next_response(&consumer).await), "ответ");
}

#[tokio::test]
async fn a_test_clock_is_shown_in_ready_and_nothing_else_sets_it() {
    let start = jiff::Timestamp::now() + common::hours(100 * 24);
    let region = local_region().clock(Clock::running(start, 60.0)).start().await.unwrap();
    let (status, ready) = region.ready().await.unwrap();
    assert_eq!((status, &ready["ready"]), (200, &serde_json::Value::Bool(true)));
    let day = start.strftime("%Y-%m-%d").to_string();
    assert!(ready["test_clock"].as_str().unwrap().starts_with(&day), "{ready}");
    let live = region.admin_page("/live").await.unwrap();
    assert_eq!(live.status, 200);
    let metrics = region.metrics().await.unwrap();
    assert_eq!(metrics.count("messages_accepted_total", &[]), 0);
    assert!(
        metrics.value("messages_accepted_total", &[]).is_some(),
        "series start at 0"
    );
    tokio::time::timeout(Duration::from_secs(1), region.command(&["queue", "list"]))
        .await
        .unwrap()
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        metrics.value("upstream_up", &[("upstream", FEDERAL)]),
        None,
        "there is no upstream"
    );
}
