//! Every operation, in every version.

use jiff::SignedDuration;
use smev3::Version;
use xmldsig::{Document, Element, Limits, SignatureElement};

use crate::calls::{ack, payload, request_data, response_data, signature, signed};
use crate::http::Answer;
use crate::region::{NAMESPACE, Region, STRICT, System};
use crate::schema;

/// An answer of status 200, checked against the schema; gives the envelope.
fn good(version: Version, answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let envelope = answer.envelope();
    schema::check(version, &envelope);
    envelope
}

/// The text of the first element of this name, anywhere.
fn text(envelope: &str, local: &str) -> Option<String> {
    let document = Document::parse(envelope.as_bytes(), &Limits::of_accepted()).unwrap();
    find(document.root(), local).map(|element| element.text().into_owned())
}

fn find<'d, 'a>(element: Element<'d, 'a>, local: &str) -> Option<Element<'d, 'a>> {
    if element.local_name() == local {
        return Some(element);
    }
    element.children().find_map(|child| find(child, local))
}

/// Verifies the `ds:Signature` inside `wrapper` over `target` under a certificate.
fn verifies(envelope: &str, wrapper: &str, target: &str, certificate: &gost::Certificate) -> bool {
    let document = Document::parse(envelope.as_bytes(), &Limits::default()).unwrap();
    let element = find(document.root(), wrapper).unwrap().children().next().unwrap();
    let signature = SignatureElement::parse(element).unwrap();
    assert_eq!(signature.certificate_der(), certificate.der());
    let target = find(document.root(), target).unwrap();
    signature
        .verify(&document, target, &certificate.public_key().prepare())
        .is_ok()
}

async fn send(region: &Region, version: Version, more: &str) -> String {
    let id = region.id().to_string();
    let data = request_data(&id, &payload(NAMESPACE, "Request", "<p:a>7</p:a>"), more);
    good(
        version,
        &region
            .post(&signed(&region.consumer, version, "SendRequest", &data, ""))
            .await,
    );
    id
}

async fn get(region: &Region, system: &System, version: Version, operation: &str) -> String {
    good(version, &region.post(&region.get(system, version, operation, "")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_works_in_every_version_and_all_signatures_hold() {
    let region = Region::new().await;
    for version in Version::ALL {
        let id = region.id().to_string();
        let data = request_data(
            &id,
            &payload(NAMESPACE, "Request", "<p:a> 7 </p:a>"),
            "<t:TestMessage/>",
        )
        .replace(
            "</t:MessageID>",
            "</t:MessageID><t:TransactionCode>код &amp; 1</t:TransactionCode>",
        );
        let call = signed(&region.consumer, version, "SendRequest", &data, "");
        let receipt = good(version, &region.post(&call).await);
        assert_eq!(text(&receipt, "MessageId"), Some(id.clone()));
        assert_eq!(text(&receipt, "Status").as_deref(), Some("requestIsQueued"));
        assert!(verifies(&receipt, "SMEVSignature", "MessageMetadata", &region.gateway));

        let request = get(&region, &region.provider, version, "GetRequest").await;
        assert!(
            verifies(&request, "SMEVSignature", "Request", &region.gateway),
            "{request}"
        );
        assert!(verifies(
            &request,
            "SenderInformationSystemSignature",
            "SenderProvidedRequestData",
            &region.consumer.certificate
        ));
        assert!(request.contains("<p:a> 7 </p:a>"));
        assert!(text(&request, "TestMessage").is_some());
        let token = text(&request, "ReplyTo").unwrap();
        let acknowledged = region
            .post(&ack(&region.provider, version, &id, r#" accepted="true""#))
            .await;
        good(version, &acknowledged);

        let answer_id = region.id().to_string();
        let inside = format!(
            "<b:MessagePrimaryContent>{}</b:MessagePrimaryContent>",
            payload(NAMESPACE, "Response", "<p:b/>")
        );
        let data = response_data(&answer_id, &token, &inside);
        let receipt = good(
            version,
            &region
                .post(&signed(&region.provider, version, "SendResponse", &data, ""))
                .await,
        );
        assert_eq!(text(&receipt, "MessageType").as_deref(), Some("RESPONSE"));

        let response = get(&region, &region.consumer, version, "GetResponse").await;
        assert!(verifies(&response, "SMEVSignature", "Response", &region.gateway));
        assert!(verifies(
            &response,
            "SenderInformationSystemSignature",
            "SenderProvidedResponseData",
            &region.provider.certificate
        ));
        assert_eq!(text(&response, "OriginalMessageId"), Some(id));
        assert_eq!(text(&response, "OriginalTransactionCode").as_deref(), Some("код & 1"));
        good(
            version,
            &region
                .post(&ack(&region.consumer, version, &answer_id, r#" accepted="true""#))
                .await,
        );
        let empty = get(&region, &region.consumer, version, "GetResponse").await;
        assert_eq!(text(&empty, "ResponseMessage"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_delivered_in_the_version_of_the_caller() {
    let region = Region::new().await;
    for from in Version::ALL {
        for to in Version::ALL {
            let id = send(&region, from, "").await;
            let request = get(&region, &region.provider, to, "GetRequest").await;
            assert_eq!(text(&request, "MessageID"), Some(id.clone()));
            assert!(verifies(&request, "SMEVSignature", "Request", &region.gateway));
            good(
                to,
                &region
                    .post(&ack(&region.provider, to, &id, r#" accepted="true""#))
                    .await,
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejections_and_statuses_reach_the_consumer_in_order() {
    let region = Region::new().await;
    let version = Version::V1_2;
    send(&region, version, "").await;
    let request = get(&region, &region.provider, version, "GetRequest").await;
    let token = text(&request, "ReplyTo").unwrap();
    let status = "<t:RequestStatus><t:StatusCode>3</t:StatusCode>\
                  <t:StatusDescription>в работе</t:StatusDescription></t:RequestStatus>";
    let rejected = "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
                    <t:RejectionReasonDescription>нет</t:RejectionReasonDescription></t:RequestRejected>";
    for inside in [status, rejected] {
        let data = response_data(&region.id().to_string(), &token, inside);
        good(
            version,
            &region
                .post(&signed(&region.provider, version, "SendResponse", &data, ""))
                .await,
        );
    }
    for expected in ["RequestStatus", "RequestRejected"] {
        let response = get(&region, &region.consumer, version, "GetResponse").await;
        assert!(text(&response, expected).is_some(), "{expected}: {response}");
        let id = text(&response, "MessageID").unwrap();
        good(version, &region.post(&ack(&region.consumer, version, &id, "")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_fails_its_schema_comes_back_as_a_notice_like_the_bus_own() {
    let region = Region::new().await;
    for version in Version::ALL {
        let id = region.id().to_string();
        let data = request_data(&id, &payload(STRICT, "Request", "<p:n>seven</p:n>"), "");
        good(
            version,
            &region
                .post(&signed(&region.consumer, version, "SendRequest", &data, ""))
                .await,
        );
        let notice = get(&region, &region.consumer, version, "GetResponse").await;
        assert_eq!(
            text(&notice, "StatusCategory").as_deref(),
            Some("requestIsRejectedBySmev")
        );
        assert_eq!(text(&notice, "OriginalMessageId"), Some(id));
        assert!(notice.contains(r#"xsi:type="ns3:InvalidContent""#), "{notice}");
        assert!(text(&notice, "ValidationError").is_some());
        assert!(verifies(&notice, "SMEVSignature", "Response", &region.gateway));
        let id = text(&notice, "MessageID").unwrap();
        good(
            version,
            &region
                .post(&ack(&region.consumer, version, &id, r#" accepted="true""#))
                .await,
        );
        assert_eq!(
            text(&get(&region, &region.provider, version, "GetRequest").await, "Request"),
            None
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_travel_inline_and_by_mtom_and_arrive_octet_for_octet() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let octets: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let header = "<b:AttachmentHeaderList><b:AttachmentHeader><b:contentId>a1</b:contentId>\
                  <b:MimeType>application/zip</b:MimeType></b:AttachmentHeader></b:AttachmentHeaderList>";
    let list = |content: &str| {
        format!(
            "<b:AttachmentContentList><b:AttachmentContent><b:Id>a1</b:Id><b:Content>{content}</b:Content></b:AttachmentContent></b:AttachmentContentList>"
        )
    };
    let data = |id: &str| request_data(id, &payload(NAMESPACE, "Request", ""), header);
    use base64::Engine as _;
    let inline = list(&base64::engine::general_purpose::STANDARD.encode(&octets));
    let call = signed(
        &region.consumer,
        version,
        "SendRequest",
        &data(&region.id().to_string()),
        &inline,
    );
    good(version, &region.post(&call).await);

    let include = list(r#"<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:part%401"/>"#);
    let call = signed(
        &region.consumer,
        version,
        "SendRequest",
        &data(&region.id().to_string()),
        &include,
    );
    let part = smev3::mime::Attachment {
        content_id: "part@1".into(),
        content_type: "application/zip".into(),
        octets: octets.clone(),
    };
    let (content_type, body) = smev3::mime::write(&call, &[part]);
    good(
        version,
        &region.post_as("/smev/v1.2/ws", Some(&content_type), &body).await,
    );

    for _ in 0..2 {
        let answer = region
            .post(&region.get(&region.provider, version, "GetRequest", ""))
            .await;
        assert_eq!(answer.status, 200);
        let content_type = answer.header("content-type").unwrap();
        let multipart = smev3::mime::Multipart::parse(content_type, &answer.body).unwrap();
        let envelope = String::from_utf8(multipart.root.content().unwrap()).unwrap();
        let document = Document::parse(envelope.as_bytes(), &Limits::default()).unwrap();
        let href = find(document.root(), "Include").unwrap().attribute("href").unwrap();
        assert_eq!(multipart.by_href(href).unwrap().octets, octets);
        assert!(verifies(&envelope, "SMEVSignature", "Request", &region.gateway));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_under_the_node_of_its_request() {
    let region = Region::new().await;
    let version = Version::V1_1;
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "")
        .replace("</t:MessageID>", "</t:MessageID><t:NodeID>n1</t:NodeID>");
    good(
        version,
        &region
            .post(&signed(&region.consumer, version, "SendRequest", &data, ""))
            .await,
    );
    let request = get(&region, &region.provider, version, "GetRequest").await;
    let inside = format!(
        "<b:MessagePrimaryContent>{}</b:MessagePrimaryContent>",
        payload(NAMESPACE, "Response", "")
    );
    let data = response_data(&region.id().to_string(), &text(&request, "ReplyTo").unwrap(), &inside);
    good(
        version,
        &region
            .post(&signed(&region.provider, version, "SendResponse", &data, ""))
            .await,
    );
    assert_eq!(
        text(
            &get(&region, &region.consumer, version, "GetResponse").await,
            "Response"
        ),
        None
    );

    let statistics = region.stamped(&region.consumer, version, "GetIncomingQueueStatistics");
    let statistics = statistics.replace("<t:CallerInf", "<t:NodeID>n1</t:NodeID><t:CallerInf");
    let statistics = good(version, &region.post(&statistics).await);
    assert!(statistics.contains(r#"pendingMessageNumber="1""#), "{statistics}");

    let with_node = region.get(&region.consumer, version, "GetResponse", "<b:NodeID>n1</b:NodeID>");
    assert!(text(&good(version, &region.post(&with_node).await), "Response").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_uses_the_bus_own_id_does_not_break_the_answer() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "")
        .replace("SIGNED_BY_CALLER", "SIGNED_BY_SMEV");
    good(
        version,
        &region
            .post(&signed(&region.consumer, version, "SendRequest", &data, ""))
            .await,
    );
    let request = get(&region, &region.provider, version, "GetRequest").await;
    assert!(verifies(&request, "SMEVSignature", "Request", &region.gateway));
    let sender = &region.consumer.certificate;
    assert!(verifies(
        &request,
        "SenderInformationSystemSignature",
        "SenderProvidedRequestData",
        sender
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_routing_of_1_3_is_accepted_and_must_be_the_senders_about_this_message() {
    let region = Region::new().await;
    let version = Version::V1_3;
    let call = |region: &Region, id: &str, about: &str, signer: &System| {
        let information = format!(
            r#"<r:RoutingInformation xmlns:r="{0}" Id="R"><r:MessageID>{about}</r:MessageID><r:DynamicRouting><r:DynamicValue>73</r:DynamicValue></r:DynamicRouting></r:RoutingInformation>"#,
            smev3::version::ROUTING
        );
        let routing = format!(
            r#"<r:Routing xmlns:r="{}">{information}<r:RoutingSignature>{}</r:RoutingSignature></r:Routing>"#,
            smev3::version::ROUTING,
            signature(signer, version, &information)
        );
        let data = request_data(id, &payload(NAMESPACE, "Request", ""), "");
        signed(&region.consumer, version, "SendRequest", &data, &routing)
    };
    let (id, other) = (region.id().to_string(), region.id().to_string());
    for bad in [
        call(&region, &id, &other, &region.consumer),
        call(&region, &id, &id, &region.provider),
    ] {
        let answer = region.post(&bad).await;
        assert_eq!(answer.status, 500);
        assert!(
            answer.text().contains("SignatureVerificationFault"),
            "{}",
            answer.text()
        );
    }
    let right = call(&region, &id, &id, &region.consumer);
    let (before, rest) = right.split_once("<r:RoutingSignature>").unwrap();
    let (_, after) = rest.split_once("</r:RoutingSignature>").unwrap();
    for bad in [
        format!("{before}{after}"),
        format!("{before}<r:RoutingSignature/>{after}"),
        right.replace(">73</r:DynamicValue>", ">74</r:DynamicValue>"),
    ] {
        let answer = region.post(&bad).await;
        assert!(answer.text().contains("RoutingSignature"), "{}", answer.text());
    }
    good(version, &region.post(&right).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_at_the_limits_can_be_handed_out() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let limits = Limits::default();
    let call = |inside: &str| {
        let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", inside), "");
        signed(&region.consumer, version, "SendRequest", &data, "")
    };
    // Envelope, body, call, data, content and payload stand around the nested ones.
    let depth = limits.depth - 6;
    let deep = call(&("<p:a>".repeat(depth) + &"</p:a>".repeat(depth)));
    // S, t, b and p are declared, and ds once more on the signature and inside it.
    let declared = |count: usize| -> String { (0..count).map(|n| format!(" xmlns:n{n}=\"u{n}\"")).collect() };
    let wide = call("").replace(
        "<S:Envelope",
        &format!("<S:Envelope{}", declared(limits.namespaces - 4)),
    );
    // The data element carries as many attributes as it may, and what it inherits comes on top.
    let attributes: String = (0..limits.attributes - 1).map(|n| format!(" a{n}=\"\"")).collect();
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "");
    let data = data.replace(" Id=", &format!("{attributes} Id="));
    let full = signed(&region.consumer, version, "SendRequest", &data, "");
    // Namespaces used as wastefully as a large body allows, in a small part of it.
    let names = payload(
        NAMESPACE,
        "Request",
        &format!("<p:x{}>{}</p:x>", declared(240), "<p:a/>".repeat(10_000)),
    );
    let data = request_data(&region.id().to_string(), &names, "");
    let wasteful = signed(&region.consumer, version, "SendRequest", &data, "");
    let padded = wasteful.replace("<S:Header/>", &format!("<S:Header/><!--{}-->", "x".repeat(1_000_000)));
    for (what, call) in [("deep", deep), ("wide", wide), ("full", full), ("wasteful", padded)] {
        let answer = region.post(&call).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let answer = region
            .post(&region.get(&region.provider, version, "GetRequest", ""))
            .await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let envelope = answer.envelope();
        let id = text(&envelope, "MessageID").unwrap();
        let taken = region.post(&ack(&region.provider, version, &id, "")).await;
        assert_eq!(taken.status, 200, "{what}: {}", taken.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_referred_to_again_and_again_is_not_copied_once() {
    let region = Region::new().await;
    let include = format!(r#"<i:Include xmlns:i="{}" href="cid:x"/>"#, smev3::version::XOP);
    let inside = format!("<p:a>{include}</p:a>").repeat(20);
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", &inside), "");
    let call = signed(&region.stranger, Version::V1_2, "SendRequest", &data, "");
    let part = smev3::mime::Attachment {
        content_id: "x".to_owned(),
        content_type: "a/b".to_owned(),
        octets: vec![b'x'; 100],
    };
    let (content_type, body) = smev3::mime::write(&call, &[part]);
    let answer = region.post_as("/ws", Some(&content_type), &body).await;
    assert!(answer.text().contains("два xop:Include"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_real_clients_get_wrong_is_accepted() {
    let region = Region::new().await;
    let version = Version::V1_2;
    for (path, content_type, bom) in [
        ("/ws", Some("application/soap+xml; charset=utf-8"), ""),
        ("/smev/v1.1/ws", Some("text/xml"), "\u{feff}"),
        (
            "/smev/v1.3/ws/",
            None,
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n",
        ),
    ] {
        let data = request_data(
            &region.id().to_string(),
            &payload(NAMESPACE, "Request", ""),
            "<t:BusinessProcessMetadata/>",
        )
        .replace("</t:MessageID>", "</t:MessageID><t:NodeID/>");
        let call = signed(&region.consumer, version, "SendRequest", &data, "").replace("<S:Header/>", "");
        let answer = region
            .post_as(path, content_type, format!("{bom}{call}").as_bytes())
            .await;
        good(version, &answer);
    }
    let empty = "<b:NodeID/>".to_owned();
    let call = region.get(&region.provider, version, "GetRequest", &empty);
    let request = good(version, &region.post(&call).await);
    let id = text(&request, "MessageID").unwrap();
    good(version, &region.post(&ack(&region.provider, version, &id, "")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_answer_is_told_to_its_provider_through_get_status() {
    let region = Region::with(
        |engine| engine.tick = std::time::Duration::from_millis(20),
        |_| {},
        |_| {},
    )
    .await;
    let version = Version::V1_2;
    send(&region, version, "").await;
    let request = get(&region, &region.provider, version, "GetRequest").await;
    let inside = format!(
        "<b:MessagePrimaryContent>{}</b:MessagePrimaryContent>",
        payload(NAMESPACE, "Response", "")
    );
    let id = region.id().to_string();
    let data = response_data(&id, &text(&request, "ReplyTo").unwrap(), &inside);
    good(
        version,
        &region
            .post(&signed(&region.provider, version, "SendResponse", &data, ""))
            .await,
    );
    region.time.pass(SignedDuration::from_hours(24 * 31));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let status = loop {
        let call = region.stamped(&region.provider, version, "GetStatus");
        let status = good(version, &region.post(&call).await);
        if text(&status, "AsyncProcessingStatusData").is_some() {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "no notice: {status}");
    };
    assert_eq!(text(&status, "OriginalMessageId"), Some(id));
    assert_eq!(
        text(&status, "StatusCategory").as_deref(),
        Some("responseIsRejectedBySmev")
    );
    assert!(verifies(
        &status,
        "SMEVSignature",
        "AsyncProcessingStatusData",
        &region.gateway
    ));
}
