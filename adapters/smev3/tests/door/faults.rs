//! Every refusal has its fault, in the caller's version, and leaves its trace where it belongs.

use engine::clock::Clock as _;
use jiff::SignedDuration;
use smev3::Version;
use smev3::fault::FaultName;

use crate::calls::{ack, payload, request_data, response_data, signed, wrapped};
use crate::region::{NAMESPACE, Region};
use crate::schema;

impl Region {
    /// Posts a call that must be refused with this fault in this version; gives the envelope.
    pub(crate) async fn refuses(&self, version: Version, call: &str, name: FaultName) -> String {
        let before = self.refused(name);
        let answer = self.post(call).await;
        assert_eq!(answer.status, 500, "{name}: {}", answer.text());
        let envelope = answer.envelope();
        assert!(envelope.contains(&format!("<ns3:{name} ")), "{name}: {envelope}");
        assert!(envelope.contains(version.faults()), "{version}: {envelope}");
        assert!(envelope.contains(name.number()), "{envelope}");
        let (_, text) = envelope.split_once("<faultstring>").unwrap();
        let (text, _) = text.split_once(['(', '<']).unwrap();
        assert!(text.contains(|c| ('а'..='я').contains(&c)), "not in Russian: {text}");
        schema::check(version, &envelope);
        assert_eq!(self.refused(name), before + 1);
        envelope
    }

    fn request(&self, version: Version, id: &str) -> String {
        self.request_with(version, id, "")
    }

    fn request_with(&self, version: Version, id: &str, more: &str) -> String {
        signed(
            &self.consumer,
            version,
            "SendRequest",
            &request_data(id, &payload(NAMESPACE, "Request", ""), more),
            "",
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envelopes_that_are_none_are_invalid_content() {
    let region = Region::new().await;
    let no_body = r#"<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"/>"#;
    let dtd = "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>";
    for bad in ["", "text", "<a/>", "<a>", dtd, no_body, &"<a>".repeat(300)] {
        region.refuses(Version::V1_2, bad, FaultName::InvalidContent).await;
    }
    for version in Version::ALL {
        region
            .refuses(
                version,
                &wrapped(version, "CancelRequest", "", ""),
                FaultName::InvalidContent,
            )
            .await;
    }
    assert_eq!(region.metrics.unrecognised().iter().map(|(_, n)| n).sum::<u64>(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_signatures_are_told_apart_as_the_bus_does() {
    let region = Region::new().await;
    for version in Version::ALL {
        let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "");
        let text = "Блок CallerInformationSystemSignature отсутствует либо пуст.";
        for rest in ["", "<t:CallerInformationSystemSignature/>"] {
            let call = wrapped(version, "SendRequest", &data, rest);
            assert!(
                region
                    .refuses(version, &call, FaultName::InvalidContent)
                    .await
                    .contains(text)
            );
            let poll = wrapped(version, "GetRequest", "<b:MessageTypeSelector/>", rest);
            let fault = region
                .refuses(version, &poll, FaultName::SignatureVerificationFault)
                .await;
            assert!(fault.contains("NoSignatureFound"), "{fault}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_do_not_hold_are_refused_by_their_cause() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let good = region.request(version, &region.id().to_string());
    let name = FaultName::SignatureVerificationFault;
    let changed = good.replace("<p:Request", "<p:Request a=\"1\"");
    assert!(
        region
            .refuses(version, &changed, name)
            .await
            .contains("SignatureIsInvalid")
    );
    let elsewhere = good.replace("URI=\"#SIGNED_BY_CALLER\"", "URI=\"#OTHER\"");
    assert!(
        region
            .refuses(version, &elsewhere, name)
            .await
            .contains("IncorrectSignatureTarget")
    );
    let whole = good.replace("URI=\"#SIGNED_BY_CALLER\"", "URI=\"\"");
    assert!(
        region
            .refuses(version, &whole, name)
            .await
            .contains("IncorrectSignatureTarget")
    );
    let data = &good[good.find("<t:SenderProvided").unwrap()..good.find("<t:Caller").unwrap()];
    let twice = good.replace(data, &format!("{data}{data}"));
    assert!(
        region
            .refuses(version, &twice, name)
            .await
            .contains("IncorrectSignatureTarget")
    );

    let stranger = signed(
        &region.stranger,
        version,
        "Ack",
        r#"<b:AckTargetMessage Id="A">x</b:AckTargetMessage>"#,
        "",
    );
    region
        .refuses(version, &stranger, FaultName::SenderIsNotRegistered)
        .await;

    region.time.pass(SignedDuration::from_secs(200_000_000));
    let fault = region
        .refuses(version, &region.request(version, &region.id().to_string()), name)
        .await;
    assert!(fault.contains("CertificateIsExpired"), "{fault}");
    assert!(fault.contains("Сертификат действителен до 2030-03-17 20:46"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_outside_the_window_are_not_accepted() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let call = region.get(&region.consumer, version, "GetResponse", "");
    region.time.pass(SignedDuration::from_hours(13));
    assert_eq!(region.post(&call).await.status, 200);
    region.time.pass(SignedDuration::from_secs(1));
    region
        .refuses(version, &call, FaultName::SignatureVerificationFault)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_clock_has_jumped_calls_are_in_time_by_the_engines_time_and_by_the_clock() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let right = region.get(&region.consumer, version, "GetResponse", "");
    assert_eq!(region.post(&right).await.status, 200);
    // Years ahead no certificate is valid any more, and no poll is young.
    let years = SignedDuration::from_secs(200_000_000);
    region.time.jump(years);
    assert_eq!(region.post(&right).await.status, 200, "by the engine's time");
    let request = region.request(version, &region.id().to_string());
    assert_eq!(region.post(&request).await.status, 200);
    region.time.jump(SignedDuration::from_hours(20) - years);
    let by_the_clock = region.get(&region.consumer, version, "GetResponse", "");
    assert_eq!(region.post(&by_the_clock).await.status, 200, "by the clock");
    region.time.jump(SignedDuration::from_hours(13));
    assert_eq!(region.post(&by_the_clock).await.status, 200);
    region.time.jump(SignedDuration::from_secs(1));
    region
        .refuses(version, &by_the_clock, FaultName::SignatureVerificationFault)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_must_be_fresh_and_the_senders_own() {
    let region = Region::new().await;
    for version in Version::ALL {
        let id = region.id().to_string();
        for bad in ["7", &id.to_uppercase(), "4332511a-1c5c-41e8-91bf-0018f3be243e"] {
            region
                .refuses(
                    version,
                    &region.request(version, bad),
                    FaultName::InvalidMessageIdFormat,
                )
                .await;
        }
        assert_eq!(region.post(&region.request(version, &id)).await.status, 200);
        region
            .refuses(version, &region.request(version, &id), FaultName::MessageIsAlreadySent)
            .await;
        let old = region.id().to_string();
        region.time.pass(SignedDuration::from_hours(49));
        region
            .refuses(version, &region.request(version, &old), FaultName::StaleMessageId)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_access_and_recipients_are_checked() {
    let region = Region::new().await;
    for version in Version::ALL {
        let request = |namespace: &str, root: &str| {
            let data = request_data(&region.id().to_string(), &payload(namespace, root, ""), "");
            signed(&region.consumer, version, "SendRequest", &data, "")
        };
        let unknown = request("urn://tests/unknown", "Request");
        let fault = region
            .refuses(version, &unknown, FaultName::BusinessDataTypeIsNotSupported)
            .await;
        assert!(
            fault.contains("<ns3:RootElementNamespaceURI>urn://tests/unknown<"),
            "{fault}"
        );
        region
            .refuses(
                version,
                &request("urn://tests/closed/1.0", "Request"),
                FaultName::AccessDenied,
            )
            .await;
        let inside = format!(
            "<b:MessagePrimaryContent>{}</b:MessagePrimaryContent>",
            payload(NAMESPACE, "Response", "")
        );
        let data = response_data(&region.id().to_string(), "no-such-token", &inside);
        let call = signed(&region.provider, version, "SendResponse", &data, "");
        region.refuses(version, &call, FaultName::RecipientIsNotFound).await;
        let expired = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "").replace(
            "</t:MessageID>",
            "</t:MessageID><t:EOL>2026-01-01T00:00:00+03:00</t:EOL>",
        );
        let call = signed(&region.consumer, version, "SendRequest", &expired, "");
        region.refuses(version, &call, FaultName::EndOfLifeReached).await;
        let selector =
            "<b:NamespaceURI>urn://tests/unknown</b:NamespaceURI><b:RootElementLocalName>R</b:RootElementLocalName>";
        let target = format!(
            r#"<b:MessageTypeSelector Id="S">{selector}<b:Timestamp>{}</b:Timestamp></b:MessageTypeSelector>"#,
            region.time.now()
        );
        let call = signed(&region.provider, version, "GetRequest", &target, "");
        region.refuses(version, &call, FaultName::UnknownMessageType).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_as_an_answer_is_the_wrong_content() {
    let region = Region::new().await;
    let version = Version::V1_2;
    assert_eq!(
        region
            .post(&region.request(version, &region.id().to_string()))
            .await
            .status,
        200
    );
    let request = region
        .post(&region.get(&region.provider, version, "GetRequest", ""))
        .await
        .envelope();
    let token = request
        .split("ReplyTo>")
        .nth(1)
        .unwrap()
        .trim_end_matches("</ns2:")
        .to_owned();
    let inside = format!(
        "<b:MessagePrimaryContent>{}</b:MessagePrimaryContent>",
        payload(NAMESPACE, "Request", "")
    );
    let data = response_data(&region.id().to_string(), &token, &inside);
    let call = signed(&region.provider, version, "SendResponse", &data, "");
    region
        .refuses(version, &call, FaultName::IncorrectResponseContentType)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_for_nothing_finds_no_target() {
    let region = Region::new().await;
    for version in Version::ALL {
        for id in [region.id().to_string(), "not-an-id".to_owned()] {
            let call = ack(&region.consumer, version, &id, r#" accepted="true""#);
            let fault = region.refuses(version, &call, FaultName::TargetMessageIsNotFound).await;
            assert!(
                fault.contains(&format!("SMEV-501:Сообщение {id} не найдено среди неподтверждённых.")),
                "{fault}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_must_pair_fit_and_be_there() {
    let region = Region::with(|_| {}, |door| door.attachments_bytes = 10, |_| {}).await;
    let version = Version::V1_2;
    let header = "<b:AttachmentHeaderList><b:AttachmentHeader><b:contentId>a</b:contentId>\
                  <b:MimeType>application/zip</b:MimeType></b:AttachmentHeader></b:AttachmentHeaderList>";
    let id = || region.id().to_string();
    let lonely = region.request_with(version, &id(), header);
    region
        .refuses(version, &lonely, FaultName::AttachmentContentMiscoordination)
        .await;
    let list = "<b:AttachmentContentList><b:AttachmentContent><b:Id>a</b:Id><b:Content>QUFBQUFBQUFBQUE=</b:Content>\
                </b:AttachmentContent></b:AttachmentContentList>";
    let data = request_data(&id(), &payload(NAMESPACE, "Request", ""), header);
    let large = signed(&region.consumer, version, "SendRequest", &data, list);
    let fault = region
        .refuses(version, &large, FaultName::AttachmentSizeLimitExceeded)
        .await;
    assert!(fault.contains("<ns3:RealTotalAttachmentSize>11<"), "{fault}");
    let unknown = request_data(&id(), &payload("urn://tests/unknown", "Request", ""), header);
    let unknown = signed(&region.consumer, version, "SendRequest", &unknown, "");
    region
        .refuses(version, &unknown, FaultName::BusinessDataTypeIsNotSupported)
        .await;
    let reference = "<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid><b:Hash>h</b:Hash>\
                     <b:MimeType>application/zip</b:MimeType></b:RefAttachmentHeader></b:RefAttachmentHeaderList>";
    let outside = region.request_with(version, &id(), reference);
    region
        .refuses(version, &outside, FaultName::AttachmentContentMiscoordination)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_and_out_of_order_is_refused_by_name() {
    let region = Region::new().await;
    for version in Version::ALL {
        let (id, content) = (region.id().to_string(), payload(NAMESPACE, "Request", ""));
        for (more, expected) in [
            (
                "<t:NodeID>n</t:NodeID>",
                "Элемент NodeID в SenderProvidedRequestData стоит не на своём месте",
            ),
            (
                "<t:Comment/>",
                "Элемент Comment в SenderProvidedRequestData не предусмотрен",
            ),
        ] {
            let call = region.request_with(version, &id, more);
            let fault = region.refuses(version, &call, FaultName::InvalidContent).await;
            assert!(fault.contains(expected), "{fault}");
        }
        let data = response_data(
            &id,
            "token",
            &format!("<b:MessagePrimaryContent>{content}</b:MessagePrimaryContent><t:TestMessage/>"),
        );
        let call = signed(&region.provider, version, "SendResponse", &data, "");
        let fault = region.refuses(version, &call, FaultName::InvalidContent).await;
        assert!(
            fault.contains("Элемент TestMessage в SenderProvidedResponseData не предусмотрен"),
            "{fault}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_overflows() {
    let region = Region::with(|engine| engine.queue_messages = 1, |_| {}, |_| {}).await;
    for version in Version::ALL {
        let answer = region.post(&region.request(version, &region.id().to_string())).await;
        if version == Version::V1_1 {
            assert_eq!(answer.status, 200);
        }
        let call = region.request(version, &region.id().to_string());
        let fault = region.refuses(version, &call, FaultName::DestinationOverflow).await;
        assert!(fault.contains("<ns3:DestinationName>GISOGD73/requests<"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_from_elsewhere_are_refused_where_addresses_are_given() {
    let elsewhere = |registry: &mut engine::registry::RegistryContent| {
        for participant in registry.participants.values_mut() {
            participant.addresses = vec!["10.0.0.0/8".into()];
        }
    };
    let region = Region::with(|_| {}, |_| {}, elsewhere).await;
    let call = region.request(Version::V1_2, &region.id().to_string());
    region
        .refuses(Version::V1_2, &call, FaultName::SenderIsNotRegistered)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_whether_the_caller_was_proved_and_where_it_called_from() {
    let region = Region::new().await;
    let version = Version::V1_2;
    let good = region.request(version, &region.id().to_string());
    let changed = good.replace("<p:Request", "<p:Request a=\"1\"");
    region
        .refuses(version, &changed, FaultName::SignatureVerificationFault)
        .await;
    region
        .refuses(
            version,
            &region.request(version, "7"),
            FaultName::InvalidMessageIdFormat,
        )
        .await;
    assert_eq!(region.post(&good).await.status, 200);
    region.refuses(version, &good, FaultName::MessageIsAlreadySent).await;
    region.engine.shutdown().await;
    let filter = journal::read::Filter {
        contains: Some("\"refused\"".to_owned()),
        ..Default::default()
    };
    let disk = journal::disk::RealDisk::shared();
    let records = journal::read::records(disk, &region.dir.path().join("journal"), filter).unwrap();
    let records: Vec<String> = records.map(|record| record.unwrap().event.get().to_owned()).collect();
    for (record, (reason, verified)) in records.iter().zip([
        ("signature_invalid", false),
        ("id_format", true),
        ("already_sent", true),
    ]) {
        let told = format!(r#""participant":{{"participant":"MUN001"}},"verified":{verified},"address":"127.0.0.1""#);
        assert!(record.contains(reason) && record.contains(&told), "{record}");
    }
    assert_eq!(records.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_engine_has_ended_the_door_says_so() {
    let region = Region::new().await;
    region.engine.shutdown().await;
    let call = region.request(Version::V1_2, &region.id().to_string());
    region.refuses(Version::V1_2, &call, FaultName::SMEVFailure).await;
}
