//! Every operation in every version inside the region.

use std::time::Duration;

use emulator::{Attachment, Clock, Connection, Endpoint, Rejection, Reply, RequestStatus, Version};

use crate::common::{
    CONSUMER, FEDERAL, PROVIDER, SPRAVKA, answer, answer_data, assert_no_request, assert_no_response, local_region,
    next_request, queues, refused, request, response, send, send_data, take_request, take_response,
};
use crate::{bare, bare_reply, full_request};

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
    for node in [Some("NODE"), None] {
        assert_eq!(depth(&consumer, node, "MUN001/responses/NODE").await, 1);
    }
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

#[tokio::test]
async fn a_test_clock_is_shown_in_ready_and_nothing_else_sets_it() {
    let start = jiff::Timestamp::now() + crate::common::hours(100 * 24);
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
