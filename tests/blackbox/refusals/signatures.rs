//! Signatures that are missing, wrong, or around something else.

use emulator::{Participant, Routing, Selector, SignedCall, Version};

use crate::common::{CONSUMER, OTHER, PROVIDER, SPRAVKA, assert_no_request, local_region, request, sign, system};
use crate::{Refusals, signed, spoil, without};

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
        "<typ:BusinessProcessMetadata><o:Other xmlns:o=\"urn:o\">{data}</o:Other></typ:BusinessProcessMetadata>"
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
