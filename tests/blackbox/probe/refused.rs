//! Refusals, each with what it means and who must act.

use emulator::{Identity, Version};
use gost::{Curve, KeyAlgorithm};
use harness::Kind;
use serde_json::Value;

use crate::common::{CONSUMER, EGRN, OTHER, PROVIDER, identity, local_region};
use crate::{Machine, text};

const ANY: &str = "{urn://test/spravka/1.0}Request";

/// The fault of a trouble, and who must act first.
fn told(trouble: &Value) -> (String, String) {
    (text(&trouble["said"]["fault"]), text(&trouble["who"][0]))
}

fn expected(fault: &str, who: &str) -> (String, String) {
    (fault.to_owned(), who.to_owned())
}

#[tokio::test]
async fn a_missing_grant_an_unknown_kind_and_a_missing_route_are_the_registrars() {
    let region = local_region()
        .kind(Kind::new("egrn", EGRN))
        .grant(OTHER, "egrn", &["request"])
        .start()
        .await
        .unwrap();
    let url = region.url(Version::V1_2);
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    let other = Machine::of(region.identity(OTHER).unwrap());
    let kind = ["--kind", "{urn://test/egrn/1.0}Request"];

    let denied = consumer.trouble("send", &url, &kind).await;
    assert_eq!(told(&denied), expected("AccessDenied", "registrar"));
    assert!(text(&denied["said"]["text"]).contains("egrn"), "{denied}");
    let lost = other.trouble("send", &url, &kind).await;
    assert_eq!(told(&lost), expected("RecipientIsNotFound", "registrar"));
    let unknown = consumer.trouble("send", &url, &["--kind", "{urn:nobody}Request"]).await;
    assert_eq!(
        told(&unknown),
        expected("BusinessDataTypeIsNotSupported", "participant")
    );
    let filter = consumer.trouble("poll requests", &url, &["--type", ANY]).await;
    assert_eq!(told(&filter), expected("UnknownMessageType", "participant"));

    // What was refused was not kept: under the same identifier it is accepted as soon as the registrar has acted.
    let id = text(&consumer.told("send", &url, &kind, 1).await["message_id"]);
    let file = region.dir().join("more.toml");
    let more = format!(
        "[[grant]]\nparticipant = \"{CONSUMER}\"\nkind = \"egrn\"\nmay = [\"request\"]\n[[grant]]\nparticipant = \
         \"{PROVIDER}\"\nkind = \"egrn\"\nmay = [\"provide\"]\n[[route]]\nkind = \"egrn\"\nto = \"{PROVIDER}\"\n"
    );
    std::fs::write(&file, more).unwrap();
    let applied = region
        .command(&["registry", "apply", &file.display().to_string()])
        .await
        .unwrap();
    applied.success().unwrap();
    consumer
        .json("send", &url, &[&kind[..], &["--message-id", &id]].concat())
        .await;
}

#[tokio::test]
async fn a_key_that_nobody_knows_or_whose_time_is_over_or_of_another_certificate_is_told_apart() {
    let now = jiff::Timestamp::now().as_second();
    let over = Identity::generate_with(
        OTHER,
        Curve::CryptoProA,
        KeyAlgorithm::Gost2012_256,
        now - 86_400..now - 3_600,
    );
    let over = over.unwrap();
    let region = local_region().participant(over.clone()).start().await.unwrap();
    let url = region.url(Version::V1_2);

    let stranger = Machine::of(&identity("STRANGER"));
    let unknown = stranger.trouble("poll responses", &url, &[]).await;
    assert_eq!(told(&unknown), expected("SenderIsNotRegistered", "registrar"));

    let late = Machine::of(&over);
    let expired = late.probe("send", &url, &["--kind", ANY, "--output", "json"]).await;
    assert!(
        expired.stderr.contains("has expired"),
        "it is warned of: {}",
        expired.stderr
    );
    let trouble: Value = serde_json::from_str(&expired.stdout).unwrap();
    let trouble = &trouble["trouble"];
    assert_eq!(told(trouble), expected("SignatureVerificationFault", "participant"));
    assert_eq!(
        text(&trouble["title"]),
        "SignatureVerificationFault: CertificateIsExpired"
    );

    let mixed = Machine::of(region.identity(CONSUMER).unwrap());
    mixed.write("system.crt", region.identity(PROVIDER).unwrap().certificate().to_pem());
    let done = mixed.probe("poll requests", &url, &[]).await;
    assert!(
        done.code == Some(1) && done.stderr.contains("of another key"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn a_version_is_that_of_the_call_and_one_that_there_is_not_is_wrong_usage() {
    let region = local_region().start().await.unwrap();
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    // The door tells versions by the call's namespaces, whatever the path says.
    let other = ["--kind", ANY, "--from-version", "1.3"];
    let sent = consumer.json("send", &region.url(Version::V1_1), &other).await;
    assert_eq!(sent["version"], "1.3");
    let none = consumer
        .probe(
            "send",
            &region.url(Version::V1_1),
            &["--kind", ANY, "--from-version", "2.0"],
        )
        .await;
    assert!(
        none.code == Some(2) && none.stderr.contains("1.1, 1.2 or 1.3"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn an_answer_is_held_against_the_trusted_certificate() {
    let region = local_region().start().await.unwrap();
    let url = region.url(Version::V1_2);
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    consumer.write("other.crt", identity("OTHER").certificate().to_pem());
    consumer.write("gateway.crt", region.gateway().certificate().to_pem());
    let wrong = consumer
        .trouble("send", &url, &["--kind", ANY, "--trusted", "other.crt"])
        .await;
    assert_eq!(
        (text(&wrong["kind"]), &wrong["maybe_done"]),
        ("signature".into(), &true.into())
    );
    assert!(
        text(&wrong["means"]).contains(region.gateway().certificate().subject()),
        "{wrong}"
    );
    let both = ["--kind", ANY, "--trusted", "other.crt", "--trusted", "gateway.crt"];
    assert_eq!(consumer.json("send", &url, &both).await["signer"]["trusted"], true);
}
