//! Everything that is not right gets its fault and leaves no trace but a journal record, for callers that are known, or a
//! counter.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::time::Duration;

use common::{
    BINARY, CONSUMER, OTHER, PROVIDER, SOON, SPRAVKA, answer_data, assert_no_request, eventually, identity, journal,
    local_region, queues, refused, request, response, send, send_data, sign, system, take_request,
};
use emulator::{
    Attachment, Connection, Endpoint, Fault, Identity, Operation, Participant, Reply, Routing, Selector, SignedCall,
    Version,
};
use gost::{Curve, KeyAlgorithm};
use harness::{Kind, Region};
use jiff::Timestamp;

/// What must not be there after a refusal, counted before and after.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    queues: std::collections::BTreeMap<String, u64>,
    accepted: u64,
    accept_events: usize,
    refused: usize,
}

impl Traces {
    async fn of(region: &Region) -> Traces {
        let metrics = region.metrics().await.unwrap();
        Traces {
            queues: queues(region).await,
            accepted: metrics.count("messages_accepted_total", &[]),
            accept_events: journal(region, &["--type", "accepted"]).await.len(),
            refused: journal(region, &["--type", "refused"]).await.len(),
        }
    }
}

/// Calls that must all be refused, with nothing else to be seen afterwards.
struct Refusals<'r> {
    region: &'r Region,
    before: Traces,
    counted: harness::Metrics,
    expected: Vec<&'static str>,
}

impl<'r> Refusals<'r> {
    async fn begin(region: &'r Region) -> Refusals<'r> {
        let counted = region.metrics().await.unwrap();
        Refusals {
            region,
            before: Traces::of(region).await,
            counted,
            expected: Vec::new(),
        }
    }

    /// `case` is refused with the fault `element`.
    async fn expect(&mut self, case: &str, system: &Participant, call: &SignedCall, element: &'static str) -> Fault {
        let fault = refused(system, call).await;
        assert_eq!(fault.element, element, "{case}: {fault}");
        assert!(!fault.text.is_empty(), "{case}: a fault says something to a person");
        self.expected.push(element);
        fault
    }

    /// The same with the cause of a bad signature.
    async fn expect_signature(&mut self, case: &str, system: &Participant, call: &SignedCall, cause: &str) {
        let fault = self.expect(case, system, call, "SignatureVerificationFault").await;
        assert_eq!(
            fault.field_text("SignatureVerificationFault"),
            Some(cause),
            "{case}: {fault}"
        );
    }

    /// Every refusal is counted, those of `known` callers are in the journal (at most 20 a minute), and nothing else changed.
    async fn conclude(self, known: &[&str]) {
        let metrics = self.region.metrics().await.unwrap();
        let mut by_fault = std::collections::BTreeMap::new();
        for fault in &self.expected {
            *by_fault.entry(*fault).or_insert(0u64) += 1;
        }
        for (fault, times) in by_fault {
            let count = |metrics: &harness::Metrics| metrics.count("messages_refused_total", &[("fault", fault)]);
            assert_eq!(count(&metrics) - count(&self.counted), times, "{fault}");
        }
        let wanted = self.expected.len() + self.before.refused;
        if !known.is_empty() {
            let found = eventually("the refusals in the journal", async || {
                let found = journal(self.region, &["--type", "refused"]).await;
                let named = found
                    .iter()
                    .filter(|event| known.iter().any(|one| event.to_string().contains(one)))
                    .count();
                assert_eq!(named, found.len(), "only known callers are named");
                assert!(named <= wanted, "{named} records of {wanted} refusals");
                (named == wanted).then_some(found)
            })
            .await;
            let mut journaled: Vec<_> = found[self.before.refused..]
                .iter()
                .map(|event| event["fault"].as_str().unwrap_or_default())
                .collect();
            journaled.sort_unstable();
            let mut heard = self.expected;
            heard.sort_unstable();
            assert_eq!(journaled, heard, "the journal calls a fault as the caller heard it");
        }
        let after = Traces {
            refused: self.before.refused,
            ..Traces::of(self.region).await
        };
        assert_eq!(after, self.before, "a refusal leaves nothing behind");
    }
}

fn signed(system: &Participant, text: &str) -> SignedCall {
    system
        .sign_request(&system.new_request(request(SPRAVKA, text)))
        .unwrap()
}

#[tokio::test]
async fn identifiers_that_are_malformed_stale_or_ahead_are_refused() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region.participant(CONSUMER, version).unwrap();
        let mut refusals = Refusals::begin(&region).await;
        let with_id = |id: &str| {
            consumer
                .sign_request(&consumer.new_request(request(SPRAVKA, "1")).id(id))
                .unwrap()
        };
        let at = |hours: i64| emulator::message_id(consumer.now() + common::hours(hours));
        let cases = [
            (
                "version 4",
                "c0938f39-9a55-41ea-8ec7-2dd0b486eb66".to_owned(),
                "InvalidMessageIdFormat",
            ),
            ("upper case", at(0).to_uppercase(), "InvalidMessageIdFormat"),
            ("no UUID", "1".to_owned(), "InvalidMessageIdFormat"),
            ("nothing", String::new(), "InvalidContent"),
            ("49 hours old", at(-49), "StaleMessageId"),
            ("an hour ahead", at(1), "StaleMessageId"),
        ];
        if version == Version::V1_1 {
            for (case, id, fault) in &cases {
                refusals.expect(case, &consumer, &with_id(id), fault).await;
            }
            refusals.conclude(&[CONSUMER]).await;
        } else {
            for (case, id, fault) in &cases[3..] {
                let found = refused(&consumer, &with_id(id)).await;
                assert_eq!(found.element, *fault, "{case} in version {version}");
            }
        }
        send_data(
            &consumer,
            &consumer.new_request(request(SPRAVKA, "47 часов")).id(at(-47)),
        )
        .await;
    }
}

#[tokio::test]
async fn an_identifier_is_accepted_once_and_never_from_somebody_else() {
    let region = local_region().start().await.unwrap();
    let (consumer, other) = (system(&region, CONSUMER), system(&region, OTHER));
    let data = consumer.new_request(request(SPRAVKA, "1"));
    send_data(&consumer, &data).await;

    let mut refusals = Refusals::begin(&region).await;
    let call = consumer.sign_request(&data).unwrap();
    let fault = refusals
        .expect("the same again", &consumer, &call, "MessageIsAlreadySent")
        .await;
    assert!(fault.description.unwrap().starts_with("SMEV-301:"));
    let changed = consumer.new_request(request(SPRAVKA, "2")).id(&data.message_id);
    let call = consumer.sign_request(&changed).unwrap();
    refusals
        .expect("another content", &consumer, &call, "MessageIsAlreadySent")
        .await;
    let foreign = other.new_request(request(SPRAVKA, "3")).id(&data.message_id);
    let call = other.sign_request(&foreign).unwrap();
    refusals
        .expect("a foreign identifier", &other, &call, "InvalidMessageIdFormat")
        .await;
    let incidents = journal(&region, &["--type", "incident"]).await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert!(incidents[0]["text"].as_str().unwrap().contains(OTHER));
    refusals.conclude(&[]).await;
    assert_eq!(
        take_request(&system(&region, PROVIDER)).await.data.message_id,
        data.message_id
    );

    // What was refused did not use its identifier up.
    let mut late = consumer.new_request(request(SPRAVKA, "4"));
    late.eol = Some("2020-01-01T00:00:00Z".to_owned());
    assert_eq!(
        refused(&consumer, &consumer.sign_request(&late).unwrap()).await.element,
        "EndOfLifeReached"
    );
    late.eol = None;
    send_data(&consumer, &late).await;
}

#[tokio::test]
async fn callers_that_are_unknown_expired_or_elsewhere_are_refused() {
    let now = Timestamp::now().as_second();
    let dated = |mnemonic: &str, from: i64, to: i64| {
        Identity::generate_with(mnemonic, Curve::CryptoProA, KeyAlgorithm::Gost2012_256, from..to).unwrap()
    };
    let day = 86_400;
    let region = local_region()
        .participant(dated("MUN003", now - 10 * day, now - day))
        .participant(dated("MUN004", now + day, now + 10 * day))
        .participant(identity("MUN005"))
        .start()
        .await
        .unwrap();
    let file = std::fs::read_to_string(region.registry_file()).unwrap();
    let anywhere = "certificates = [\"MUN005.crt\"]\n";
    let elsewhere = format!("{anywhere}addresses = [\"10.1.0.0/16\"]\n");
    std::fs::write(region.registry_file(), file.replace(anywhere, &elsewhere)).unwrap();
    region.apply_registry().await.unwrap();

    let mut refusals = Refusals::begin(&region).await;
    for version in Version::ALL {
        let stranger = region.system(identity("STRANGER"), version).unwrap();
        let calls = [
            signed(&stranger, "1"),
            stranger.sign_get_request(&Selector::any()).unwrap(),
            stranger.sign_get_response(&Selector::any()).unwrap(),
            stranger.sign_get_status().unwrap(),
            stranger
                .sign_ack(&stranger.new_request("x").message_id, Some(true))
                .unwrap(),
        ];
        for call in &calls {
            refusals
                .expect("an unknown certificate", &stranger, call, "SenderIsNotRegistered")
                .await;
        }
        // Who has the name but not the key is a stranger too.
        let impostor = region.system(identity(CONSUMER), version).unwrap();
        refusals
            .expect(
                "an impostor",
                &impostor,
                &signed(&impostor, "2"),
                "SenderIsNotRegistered",
            )
            .await;
    }
    let metrics = region.metrics().await.unwrap();
    assert!(
        journal(&region, &["--type", "refused"]).await.is_empty(),
        "strangers are counted, not journaled"
    );
    assert_eq!(
        metrics.label_values("messages_refused_total", "participant"),
        Vec::<&str>::new()
    );
    refusals.conclude(&[]).await;

    for (mnemonic, case) in [("MUN003", "expired"), ("MUN004", "not valid yet")] {
        let caller = system(&region, mnemonic);
        for call in [signed(&caller, "3"), caller.sign_get_request(&Selector::any()).unwrap()] {
            let fault = refused(&caller, &call).await;
            assert_eq!(fault.element, "SignatureVerificationFault", "{case}");
            assert_eq!(
                fault.field_text("SignatureVerificationFault"),
                Some("CertificateIsExpired"),
                "{case}"
            );
        }
    }
    let fault = refused(&system(&region, "MUN005"), &signed(&system(&region, "MUN005"), "4")).await;
    assert_eq!(fault.element, "SenderIsNotRegistered", "from another address");
    for known in ["MUN003", "MUN004", "MUN005"] {
        eventually("a journal record of a known caller", async || {
            (!journal(&region, &["--type", "refused", "--participant", known])
                .await
                .is_empty())
            .then_some(())
        })
        .await;
    }
    assert_no_request(&system(&region, PROVIDER)).await;
}

#[tokio::test]
async fn unsigned_and_wrongly_signed_calls_are_refused() {
    let region = local_region().start().await.unwrap();
    for version in Version::ALL {
        let consumer = region
            .participant(if version == Version::V1_2 { OTHER } else { CONSUMER }, version)
            .unwrap();
        let mut refusals = Refusals::begin(&region).await;
        let call = signed(&consumer, "подпись");
        let unsigned = |call: &SignedCall| {
            without(
                call,
                "<typ:CallerInformationSystemSignature>",
                "</typ:CallerInformationSystemSignature>",
            )
        };
        let bare = unsigned(&call);
        refusals
            .expect("no signature block", &consumer, &bare, "InvalidContent")
            .await;
        let gets = [
            consumer.sign_get_response(&Selector::any()).unwrap(),
            consumer.sign_get_request(&Selector::any()).unwrap(),
            consumer.sign_get_status().unwrap(),
            consumer.sign_ack(&call.message_id, None).unwrap(),
        ];
        for get in &gets {
            refusals
                .expect_signature("no signature on a poll", &consumer, &unsigned(get), "NoSignatureFound")
                .await;
        }
        let cases = [
            ("the payload was changed", call.clone().replace("подпись", "подмена")),
            ("the identifier was changed", {
                let other = consumer.new_request("x").message_id;
                call.clone().replace(&call.message_id, &other)
            }),
            (
                "an attribute was changed",
                call.clone().replace("kind=\"a\"", "kind=\"b\""),
            ),
            (
                "white space was added inside a text",
                call.clone().replace("подпись", " подпись"),
            ),
            ("the signature value was changed", spoil(&call, "SignatureValue>")),
            ("the digest was changed", spoil(&call, "DigestValue>")),
        ];
        for (case, call) in &cases {
            refusals
                .expect_signature(case, &consumer, call, "SignatureIsInvalid")
                .await;
        }
        let weak = call.clone().replace("gostr34102012-gostr34112012-256", "hmac-sha1");
        refusals
            .expect(
                "an algorithm outside the profile",
                &consumer,
                &weak,
                "SignatureVerificationFault",
            )
            .await;
        refusals.conclude(&[]).await;
    }
    // White space between elements changes nothing that is signed.
    let consumer = system(&region, CONSUMER);
    let call = signed(&consumer, "пробелы").replace("<typ:MessageID>", "\n\t<typ:MessageID>");
    consumer.call(&call).await.unwrap().receipt().unwrap();
}

/// The call without what stands from `from` to `to`.
fn without(call: &SignedCall, from: &str, to: &str) -> SignedCall {
    let text = call.text();
    let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap() + to.len());
    let mut spoilt = call.clone();
    spoilt.body = format!("{}{}", &text[..start], &text[end..]).into();
    spoilt
}

/// The call with the first base64 letter after `after` exchanged for another.
fn spoil(call: &SignedCall, after: &str) -> SignedCall {
    let mut text = call.text();
    let at = text.find(after).unwrap() + after.len();
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    text.replace_range(at..=at, other);
    let mut spoilt = call.clone();
    spoilt.body = text.into();
    spoilt
}

#[tokio::test]
async fn a_signature_cannot_be_wrapped_around_something_else() {
    let region = local_region().start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let call = signed(&consumer, "честно");
    let text = call.text();
    let data_at = text.find("<typ:SenderProvidedRequestData").unwrap();
    let data_end = text.find("</typ:SenderProvidedRequestData>").unwrap() + "</typ:SenderProvidedRequestData>".len();
    let data = &text[data_at..data_end];
    let evil = data
        .replace("честно", "подлог")
        .replace(&call.message_id, &consumer.new_request("x").message_id);
    let evil_elsewhere = evil.replace("Id=\"SIGNED_BY_CALLER\"", "Id=\"OTHER\"");
    let evil_nowhere = evil.replace(" Id=\"SIGNED_BY_CALLER\"", "");
    let with = |replacement: &str, header: &str| {
        let mut wrapped = call.clone();
        let body = text.replace(data, replacement);
        wrapped.body = body
            .replace("<soapenv:Body>", &format!("{header}<soapenv:Body>"))
            .into();
        wrapped
    };
    let header = format!("<soapenv:Header>{data}</soapenv:Header>");
    let nested = |inside: &str| {
        evil_elsewhere.replace(
            "</typ:SenderProvidedRequestData>",
            &format!("{inside}</typ:SenderProvidedRequestData>"),
        )
    };
    let in_metadata = nested(&format!(
        "<typ:BusinessProcessMetadata>{data}</typ:BusinessProcessMetadata>"
    ));
    let object = |replacement: &str| {
        let mut wrapped = call.clone();
        let body = text.replace(data, replacement);
        wrapped.body = body
            .replace(
                "</ds:Signature>",
                &format!("<ds:Object>{data}</ds:Object></ds:Signature>"),
            )
            .into();
        wrapped
    };
    let beside = |extra: &str| format!("{evil_elsewhere}{extra}");
    let cases: Vec<(&str, SignedCall)> = vec![
        (
            "the signed data in the header, others under the same Id",
            with(&evil, &header),
        ),
        (
            "the signed data in the header, others under another Id",
            with(&evil_elsewhere, &header),
        ),
        (
            "the signed data in the header, others without an Id",
            with(&evil_nowhere, &header),
        ),
        ("the signed data inside others", with(&in_metadata, "")),
        ("the signed data beside others", with(&beside(data), "")),
        (
            "the signed data in a wrapper beside others",
            with(&beside(&format!("<typ:Wrapper>{data}</typ:Wrapper>")), ""),
        ),
        ("the signed data in an Object of the signature", object(&evil_elsewhere)),
        (
            "an empty URI",
            call.clone().replace("URI=\"#SIGNED_BY_CALLER\"", "URI=\"\""),
        ),
        (
            "an external URI",
            call.clone()
                .replace("URI=\"#SIGNED_BY_CALLER\"", "URI=\"http://127.0.0.1/x\""),
        ),
        (
            "an XPointer",
            call.clone()
                .replace("URI=\"#SIGNED_BY_CALLER\"", "URI=\"#xpointer(id('SIGNED_BY_CALLER'))\""),
        ),
        ("two references", {
            let reference_at = text.find("<ds:Reference").unwrap();
            let reference_end = text.find("</ds:Reference>").unwrap() + "</ds:Reference>".len();
            let reference = &text[reference_at..reference_end];
            call.clone().replace(reference, &format!("{reference}{reference}"))
        }),
        ("two signatures", {
            let (open, close) = (
                "<typ:CallerInformationSystemSignature>",
                "</typ:CallerInformationSystemSignature>",
            );
            let block = &text[text.find(open).unwrap()..text.find(close).unwrap() + close.len()];
            call.clone().replace(block, &format!("{block}{block}"))
        }),
        ("a sound signature over another element", signed_elsewhere(&consumer)),
    ];
    let mut refusals = Refusals::begin(&region).await;
    let mut causes = std::collections::BTreeSet::new();
    for (case, call) in &cases {
        let fault = refusals
            .expect(case, &consumer, call, "SignatureVerificationFault")
            .await;
        causes.insert(fault.field_text("SignatureVerificationFault").unwrap().to_owned());
    }
    assert!(causes.contains("IncorrectSignatureTarget"), "{causes:?}");
    refusals.conclude(&[]).await;
    assert_no_request(&system(&region, PROVIDER)).await;
}

/// A request whose signature is sound and covers nothing but an element that is of no importance.
fn signed_elsewhere(system: &Participant) -> SignedCall {
    let call = signed(system, "подлог");
    let harmless = "<h:Harmless xmlns:h=\"urn://harmless\" Id=\"HARMLESS\">ничего</h:Harmless>";
    let signature = sign(system.identity(), harmless);
    let text = call.text();
    let (open, close) = ("<ds:Signature", "</ds:Signature>");
    let own = &text[text.find(open).unwrap()..text.find(close).unwrap() + close.len()];
    let header = format!("<soapenv:Header>{harmless}</soapenv:Header><soapenv:Body>");
    call.clone().replace(own, &signature).replace("<soapenv:Body>", &header)
}

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
async fn kinds_access_and_routes_are_denied_by_default() {
    let region = local_region()
        .kind(Kind::new("nowhere", "urn://test/nowhere/1.0"))
        .grant(CONSUMER, "nowhere", &["request"])
        .kind(Kind::new("secret", "urn://test/secret/1.0"))
        .local_exchange("secret", &[OTHER], PROVIDER)
        .start()
        .await
        .unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    send(&consumer, request(SPRAVKA, "1")).await;
    let asked = take_request(&provider).await;

    let mut refusals = Refusals::begin(&region).await;
    let to = |payload: String| consumer.sign_request(&consumer.new_request(payload)).unwrap();
    let unknown = to(request("urn://test/unknown/1.0", "1"));
    let fault = refusals
        .expect("an unknown kind", &consumer, &unknown, "BusinessDataTypeIsNotSupported")
        .await;
    assert_eq!(fault.field_text("RootElementLocalName"), Some("Request"));
    assert_eq!(
        fault.field_text("RootElementNamespaceURI"),
        Some("urn://test/unknown/1.0")
    );
    let cases = [
        (
            "an answer's root as a request",
            to(response(SPRAVKA, "1")),
            "BusinessDataTypeIsNotSupported",
        ),
        (
            "another root of the namespace",
            to(format!("<k:Other xmlns:k=\"{SPRAVKA}\"/>")),
            "BusinessDataTypeIsNotSupported",
        ),
        ("no grant", to(request("urn://test/secret/1.0", "1")), "AccessDenied"),
        (
            "no route",
            to(request("urn://test/nowhere/1.0", "1")),
            "RecipientIsNotFound",
        ),
        (
            "a kind that nobody has",
            consumer
                .sign_get_request(&Selector::kind("urn://test/unknown/1.0", "Request"))
                .unwrap(),
            "UnknownMessageType",
        ),
        (
            "requests of a kind that another provides",
            consumer.sign_get_request(&Selector::kind(SPRAVKA, "Request")).unwrap(),
            "UnknownMessageType",
        ),
        (
            "answers of a kind that it may not request",
            consumer
                .sign_get_response(&Selector::kind("urn://test/secret/1.0", "Response"))
                .unwrap(),
            "UnknownMessageType",
        ),
    ];
    for (case, call, fault) in &cases {
        refusals.expect(case, &consumer, call, fault).await;
    }
    let reply = || Reply::content(response(SPRAVKA, "1"));
    let wrong_to = |to: &str| {
        let mut data = answer_data(&provider, &asked, reply());
        to.clone_into(&mut data.to);
        provider.sign_response(&data).unwrap()
    };
    refusals
        .expect("no ReplyTo", &provider, &wrong_to(""), "InvalidContent")
        .await;
    for to in ["unknown", "eyJzaWQiOjgwMDgwfQ==", &"x".repeat(4000)] {
        refusals
            .expect("a ReplyTo of nobody", &provider, &wrong_to(to), "RecipientIsNotFound")
            .await;
    }
    let kind = answer_data(
        &provider,
        &asked,
        Reply::content(response("urn://test/secret/1.0", "1")),
    );
    let call = provider.sign_response(&kind).unwrap();
    refusals
        .expect(
            "an answer of another kind",
            &provider,
            &call,
            "IncorrectResponseContentType",
        )
        .await;
    refusals.conclude(&[CONSUMER, PROVIDER]).await;
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
        .eol(consumer.now() - common::minutes(1));
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

#[tokio::test]
async fn a_captured_poll_is_of_no_use_for_long() {
    let region = local_region().start().await.unwrap();
    let provider = system(&region, PROVIDER);
    send(&system(&region, CONSUMER), request(SPRAVKA, "1")).await;
    let mut refusals = Refusals::begin(&region).await;
    for hours in [-14, 14] {
        let timestamp = (provider.now() + common::hours(hours)).to_string();
        for operation in [Operation::GetRequest, Operation::GetResponse] {
            let call = provider.sign_get(operation, &Selector::any(), &timestamp).unwrap();
            refusals
                .expect(
                    "a Timestamp 14 hours away",
                    &provider,
                    &call,
                    "SignatureVerificationFault",
                )
                .await;
        }
    }
    let call = provider
        .sign_get(Operation::GetRequest, &Selector::any(), "вчера")
        .unwrap();
    refusals
        .expect("no Timestamp", &provider, &call, "InvalidContent")
        .await;
    refusals.conclude(&[PROVIDER]).await;
}

#[tokio::test]
async fn routing_must_be_signed_by_the_sender_for_this_very_message() {
    let region = local_region().start().await.unwrap();
    let consumer = region.participant(CONSUMER, Version::V1_3).unwrap();
    let other = region.participant(OTHER, Version::V1_3).unwrap();
    let routed = |system: &Participant, id: &str| {
        let routing = Routing {
            dynamic: vec!["73".to_owned()],
            identifiers: Vec::new(),
        };
        system
            .sign_request(&system.new_request(request(SPRAVKA, "1")).id(id).routing(routing))
            .unwrap()
    };
    let block = |call: &SignedCall| {
        let text = call.text();
        let end = text.find("</rout:Routing>").unwrap() + "</rout:Routing>".len();
        text[text.find("<rout:Routing ").unwrap()..end].to_owned()
    };
    let id = consumer.new_request("x").message_id;
    let call = routed(&consumer, &id);
    let another = routed(&consumer, &consumer.new_request("x").message_id);
    let foreign = routed(&other, &id);
    let mut refusals = Refusals::begin(&region).await;
    let cases = [
        (
            "changed values",
            call.clone().replace(">73<", ">77<"),
            "SignatureIsInvalid",
        ),
        (
            "the routing of another message",
            call.clone().replace(&block(&call), &block(&another)),
            "IncorrectSignatureTarget",
        ),
        (
            "the routing of another sender",
            call.clone().replace(&block(&call), &block(&foreign)),
            "CertificateIsNotFound",
        ),
    ];
    for (case, call, cause) in &cases {
        refusals.expect_signature(case, &consumer, call, cause).await;
    }
    refusals.conclude(&[CONSUMER]).await;
    consumer.call(&call).await.unwrap().receipt().unwrap();
}

#[tokio::test]
async fn a_participant_that_fails_in_a_loop_does_not_fill_the_journal() {
    let region = local_region().start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let call = spoil(&signed(&consumer, "1"), "DigestValue>");
    for _ in 0..60 {
        refused(&consumer, &call).await;
    }
    let metrics = region.metrics().await.unwrap();
    assert_eq!(
        metrics.count("messages_refused_total", &[("fault", "SignatureVerificationFault")]),
        60
    );
    let written = eventually("refusals in the journal", async || {
        let written = journal(&region, &["--type", "refused"]).await.len();
        (written >= 20).then_some(written)
    })
    .await;
    // A minute may have begun anew in between.
    assert!(written <= 40, "{written} of 60 refusals are in the journal");
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let region = local_region().start().await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(tokio::net::TcpStream::connect(region.door()).await.unwrap());
    }
    let consumer = system(&region, CONSUMER)
        .with_timeout(&region.url(Version::V1_2), Duration::from_secs(10))
        .unwrap();
    send(&consumer, request(SPRAVKA, "1")).await;
    let ready = tokio::time::timeout(SOON, region.ready()).await.unwrap().unwrap();
    assert_eq!(ready.0, 200);
    drop(silent);
}

#[tokio::test]
async fn a_grant_that_is_taken_away_stops_new_messages_and_keeps_what_waits() {
    let region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let id = send(&consumer, request(SPRAVKA, "до отзыва")).await;
    let file = std::fs::read_to_string(region.registry_file()).unwrap();
    let grant = "[[grant]]\nparticipant = \"GISOGD73\"\nkind = \"spravka\"\nmay = [\"provide\"]\n";
    assert!(file.contains(grant), "{file}");
    std::fs::write(region.registry_file(), file.replace(grant, "")).unwrap();
    let registry = region.registry_file().display().to_string();
    region
        .command(&["registry", "apply", "--prune", &registry])
        .await
        .unwrap()
        .success()
        .unwrap();

    assert_eq!(
        refused(&consumer, &signed(&consumer, "после")).await.element,
        "AccessDenied"
    );
    assert_no_request(&provider).await;
    assert_eq!(
        queues(&region).await.get("GISOGD73/requests"),
        Some(&1),
        "it waits for an operator"
    );
    std::fs::write(region.registry_file(), file).unwrap();
    region.apply_registry().await.unwrap();
    assert_eq!(take_request(&provider).await.data.message_id, id);
}
