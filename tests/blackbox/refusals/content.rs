//! What is no call, and calls with content that cannot be taken.

use emulator::{Attachment, Connection, Endpoint, Version};
use harness::{Kind, Region};

use crate::common::{
    BINARY, CONSUMER, OTHER, PROVIDER, SPRAVKA, local_region, queues, refused, request, send, send_data, system,
    take_request,
};
use crate::{Refusals, signed, without};

#[tokio::test]
async fn what_is_no_call_is_refused_whatever_it_is() {
    let region = local_region()
        .setting("limits", "body_bytes", "\"256 KiB\"")
        .start()
        .await
        .unwrap();
    let consumer = system(&region, CONSUMER);
    let mut refusals = Refusals::begin(&region).await;
    let raw = |body: &str| {
        let mut call = signed(&consumer, "1");
        call.body = body.to_owned().into();
        call
    };
    let call = signed(&consumer, "1");
    let soap = |body: &str| {
        raw(&format!(
            "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
        ))
    };
    let types = Version::V1_2.types();
    let deep = format!("{}{}", "<a>".repeat(100_000 / 4), "</a>".repeat(100_000 / 4));
    let entities = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    let outside = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">";
    let cases = [
        ("nothing", raw("")),
        ("no XML", raw("привет")),
        ("half a message", raw(&call.text()[..600])),
        ("something after the end", raw(&format!("{}<x/>", call.text()))),
        ("JSON", raw("{\"a\":1}")),
        ("another root", raw("<a/>")),
        (
            "no body",
            raw("<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"/>"),
        ),
        ("an empty body", soap("")),
        (
            "an unknown operation",
            soap(&format!("<t:CancelRequestRequest xmlns:t=\"{types}\"/>")),
        ),
        (
            "an operation of another service",
            soap("<t:SendRequestRequest xmlns:t=\"urn://other\"/>"),
        ),
        (
            "an answer instead of a call",
            soap(&format!("<t:GetRequestResponse xmlns:t=\"{types}\"/>")),
        ),
        (
            "a call without content",
            soap(&format!("<t:SendRequestRequest xmlns:t=\"{types}\"/>")),
        ),
        ("a DTD", raw(&format!("{entities}{}", call.text()))),
        ("an external DTD", raw(&format!("{outside}{}", call.text()))),
        ("too deep", soap(&deep)),
        (
            "an unbound prefix",
            call.clone().replace("<soapenv:Body>", "<soapenv:Body><q:x/>"),
        ),
        (
            "another encoding",
            raw(&format!(
                "<?xml version=\"1.0\" encoding=\"windows-1251\"?>{}",
                call.text()
            )),
        ),
        (
            "a broken multipart",
            call.clone()
                .with_content_type("multipart/related; boundary=\"x\"; type=\"application/xop+xml\""),
        ),
        ("over the limit", raw(&format!("<a>{}</a>", "x".repeat(300 << 10)))),
    ];
    for (case, call) in &cases {
        refusals.expect(case, &consumer, call, "InvalidContent").await;
    }
    // Octets that are no UTF-8.
    let mut broken = call.clone();
    broken.body = [call.body.as_ref(), &[0xff, 0xfe]].concat().into();
    refusals.expect("no UTF-8", &consumer, &broken, "InvalidContent").await;
    refusals.conclude(&[]).await;

    let endpoint = Endpoint::parse(&format!("http://{}", region.door())).unwrap();
    let page = Connection::open(&endpoint)
        .await
        .unwrap()
        .get(Version::V1_2.path())
        .await
        .unwrap();
    assert!(
        (400..500).contains(&page.status),
        "a GET that asks for no WSDL: {}",
        page.status
    );
    let page = Connection::open(&endpoint)
        .await
        .unwrap()
        .get("/etc/passwd?wsdl")
        .await
        .unwrap();
    assert_eq!(page.status, 404);
    // The gateway is as well as before.
    send(&consumer, request(SPRAVKA, "после всего")).await;
}

#[tokio::test]
async fn attachments_must_pair_and_stay_within_their_limit() {
    let region = local_region()
        .setting("limits", "attachments_bytes", "\"64 KiB\"")
        .start()
        .await
        .unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let mut refusals = Refusals::begin(&region).await;
        let file = |id: &str, octets: usize| Attachment::new(id, "text/plain", vec![b'x'; octets]);
        let inline = |data: &emulator::RequestData| consumer.sign_request_as(data, "SIGNED_BY_CALLER", false).unwrap();
        let two = consumer
            .new_request(request(SPRAVKA, "1"))
            .attach(file("первый", 10))
            .attach(file("второй", 10));
        let call = inline(&two);
        let contents = without(&call, "<bas:AttachmentContentList", "</bas:AttachmentContentList>");
        refusals
            .expect(
                "headers without contents",
                &consumer,
                &contents,
                "AttachmentContentMiscoordination",
            )
            .await;
        let misnamed = call
            .clone()
            .replace("<bas:Id>второй</bas:Id>", "<bas:Id>третий</bas:Id>");
        refusals
            .expect(
                "a content of another name",
                &consumer,
                &misnamed,
                "AttachmentContentMiscoordination",
            )
            .await;
        let doubled = call.replace("<bas:Id>второй</bas:Id>", "<bas:Id>первый</bas:Id>");
        refusals
            .expect(
                "the same content twice",
                &consumer,
                &doubled,
                "AttachmentContentMiscoordination",
            )
            .await;

        let large = consumer
            .new_request(request(SPRAVKA, "2"))
            .attach(file("1", 40 << 10))
            .attach(file("2", 40 << 10));
        for call in [inline(&large), consumer.sign_request(&large).unwrap()] {
            let fault = refusals
                .expect("too much together", &consumer, &call, "AttachmentSizeLimitExceeded")
                .await;
            assert_eq!(fault.field_text("PermittedTotalAttachmentSize"), Some("65536"));
            assert_eq!(fault.field_text("RealTotalAttachmentSize"), Some("81920"));
        }
        let mut by_ftp = consumer.new_request(request(SPRAVKA, "3"));
        by_ftp.ref_attachments = Some(format!(
            "<bas:RefAttachmentHeaderList xmlns:bas=\"{}\"><bas:RefAttachmentHeader><bas:uuid>{}</bas:uuid>\
             <bas:Hash>AAAA</bas:Hash><bas:MimeType>text/plain</bas:MimeType></bas:RefAttachmentHeader></bas:RefAttachmentHeaderList>",
            version.basic(),
            by_ftp.message_id
        ));
        let call = consumer.sign_request(&by_ftp).unwrap();
        refusals
            .expect(
                "files in the file storage",
                &consumer,
                &call,
                "AttachmentContentMiscoordination",
            )
            .await;
        refusals.conclude(&[]).await;
        // Exactly the limit is allowed.
        send_data(
            &consumer,
            &consumer.new_request(request(SPRAVKA, "4")).attach(file("1", 64 << 10)),
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_past_its_end_or_has_no_room_is_refused() {
    let region = Region::builder(BINARY)
        .kind(Kind::new("spravka", SPRAVKA))
        .local_exchange("spravka", &[CONSUMER, OTHER], PROVIDER)
        .setting("limits", "queue_messages", "3")
        .start()
        .await
        .unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let past = consumer
        .new_request(request(SPRAVKA, "0"))
        .eol(consumer.now() - crate::common::minutes(1));
    let mut refusals = Refusals::begin(&region).await;
    refusals
        .expect(
            "past its end",
            &consumer,
            &consumer.sign_request(&past).unwrap(),
            "EndOfLifeReached",
        )
        .await;
    let mut senseless = consumer.new_request(request(SPRAVKA, "0"));
    senseless.eol = Some("завтра".to_owned());
    refusals
        .expect(
            "no dateTime",
            &consumer,
            &consumer.sign_request(&senseless).unwrap(),
            "InvalidContent",
        )
        .await;
    refusals.conclude(&[CONSUMER]).await;

    for text in ["1", "2", "3"] {
        send(&consumer, request(SPRAVKA, text)).await;
    }
    let call = signed(&system(&region, OTHER), "4");
    let fault = refused(&system(&region, OTHER), &call).await;
    assert_eq!(fault.element, "DestinationOverflow");
    assert_eq!(fault.field_text("DestinationName"), Some("GISOGD73/requests"));
    assert!(fault.description.unwrap().starts_with("SMEV-600:"));
    take_request(&provider).await;
    // The same message under the same identifier, as a client repeats it.
    let other = system(&region, OTHER);
    other.call(&call).await.unwrap().receipt().unwrap();
    assert_eq!(queues(&region).await.get("GISOGD73/requests"), Some(&3));
}
