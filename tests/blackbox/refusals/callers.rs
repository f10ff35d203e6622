//! Who may call, and what for.

use std::time::Duration;

use emulator::{Identity, Reply, Selector, Version};
use gost::{Curve, KeyAlgorithm};
use harness::Kind;
use jiff::Timestamp;

use crate::common::{
    CONSUMER, OTHER, PROVIDER, SOON, SPRAVKA, answer_data, assert_no_request, eventually, identity, journal,
    local_region, queues, refused, request, response, send, system, take_request,
};
use crate::{Refusals, signed, spoil};

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
    for known in ["MUN003", "MUN004"] {
        eventually("a journal record of a known caller", async || {
            (!journal(&region, &["--type", "refused", "--participant", known])
                .await
                .is_empty())
            .then_some(())
        })
        .await;
    }
    assert!(
        journal(&region, &["--type", "refused", "--participant", "MUN005"])
            .await
            .is_empty(),
        "whoever calls from elsewhere has not shown to be the participant, and is only counted"
    );
    assert_no_request(&system(&region, PROVIDER)).await;
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
