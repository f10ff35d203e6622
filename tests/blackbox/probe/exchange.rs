//! Whole exchanges by nothing but the probe.

use emulator::{Config, Connection, Emulator, Endpoint, Provider, Reply, Version};

use crate::common::{CONSUMER, EGRN, OTHER, PROVIDER, SPRAVKA, identity, local_region, request, response};
use crate::{Machine, text};

const ANY: &str = "{urn://test/spravka/1.0}Request";

#[tokio::test]
async fn a_request_with_a_file_is_sent_polled_answered_and_acknowledged_between_versions() {
    let region = local_region().start().await.unwrap();
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    let provider = Machine::of(region.identity(PROVIDER).unwrap());
    let (asks, gives) = (region.url(Version::V1_2), region.url(Version::V1_3));
    for machine in [&consumer, &provider] {
        machine.write("gateway.crt", region.gateway().certificate().to_pem());
    }
    let trusted = ["--trusted", "gateway.crt"];

    let payload = request(SPRAVKA, "вопрос");
    consumer.write("request.xml", format!("<?xml version=\"1.0\"?>\n{payload}\n"));
    consumer.write("план.pdf", b"%PDF\0\r\n\xff");
    let sending = ["--kind", ANY, "--payload", "request.xml", "--attachment", "план.pdf"];
    let sent = consumer.json("send", &asks, &[&trusted[..], &sending].concat()).await;
    assert_eq!(
        (&sent["done"], &sent["signer"]["trusted"]),
        (&true.into(), &true.into())
    );
    assert_eq!(
        (text(&sent["operation"]), text(&sent["version"])),
        ("SendRequest".into(), "1.2".into())
    );
    let id = text(&sent["message_id"]);

    let taking = [&trusted[..], &["--save", "taken", "--wait", "30"]].concat();
    let taken = provider.json("poll requests", &gives, &taking).await;
    let message = &taken["message"];
    assert_eq!(
        (text(&message["message_id"]), text(&message["from"])),
        (id.clone(), CONSUMER.into())
    );
    assert_eq!(taken["version"], "1.3");
    let saved = provider.path("taken").join(&id);
    let payload_saved = std::fs::read_to_string(saved.join("payload.xml")).unwrap();
    assert!(payload_saved.contains("вопрос"), "{payload_saved}");
    let file = text(&message["attachments"][0]["file"]);
    assert_eq!(std::fs::read(saved.join(file)).unwrap(), b"%PDF\0\r\n\xff");

    let acked = provider.json("ack", &gives, &["--message", &id]).await;
    assert_eq!((&acked["done"], &acked["accepted"]), (&true.into(), &true.into()));
    provider.write("response.xml", response(SPRAVKA, "ответ"));
    let answering = ["--to-response", &id, "--saved", "taken", "--payload", "response.xml"];
    let answered = provider.json("send", &gives, &answering).await;
    assert_eq!(answered["operation"], "SendResponse");

    let kind = ["--type", "{urn://test/spravka/1.0}Response", "--wait", "30"];
    let came = consumer
        .json("poll responses", &asks, &[&trusted[..], &kind].concat())
        .await;
    let message = &came["message"];
    assert_eq!(text(&message["original_message_id"]), id);
    assert!(text(&message["payload"]).contains("ответ"));
    let done = ["--message", &text(&message["message_id"])];
    consumer.json("ack", &asks, &done).await;
    // Both queues are empty then, and the second Ack finds nothing.
    assert!(consumer.json("poll responses", &asks, &[]).await["message"].is_null());
    assert!(provider.json("poll requests", &gives, &[]).await["message"].is_null());
    let trouble = consumer.trouble("ack", &asks, &done).await;
    assert_eq!(text(&trouble["said"]["fault"]), "TargetMessageIsNotFound");
}

#[tokio::test]
async fn without_a_payload_an_empty_test_message_proves_the_grant_and_the_gateways_own_names_are_known() {
    let region = local_region().start().await.unwrap();
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    let url = region.url(Version::V1_1);
    let config = region.config_file().display().to_string();
    let done = consumer
        .probe("send", &url, &["--kind", "spravka", "--config", &config])
        .await;
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("TestMessage"), "{}", done.stderr);

    let provider = Machine::of(region.identity(PROVIDER).unwrap());
    let taken = provider.json("poll requests", &url, &[]).await;
    assert_eq!(taken["message"]["test"], true);
    assert_eq!(taken["message"]["sender"]["signature"], "holds");
    assert!(taken["signer"]["trusted"].is_null(), "nobody said whom to trust");
    let reply_to = text(&taken["message"]["reply_to"]);
    let answer = ["--reply-to", &reply_to, "--kind", "{urn://test/spravka/1.0}Response"];
    provider.json("send", &url, &answer).await;

    let near = consumer
        .probe("send", &url, &["--kind", "spravke", "--config", &config])
        .await;
    assert!(
        near.code == Some(1) && near.stderr.contains("spravka"),
        "{}",
        near.stderr
    );
}

#[tokio::test]
async fn what_is_printed_is_a_call_that_any_client_can_post() {
    let region = local_region().start().await.unwrap();
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    consumer.write("a.txt", "вложение");
    for version in Version::ALL {
        let url = region.url(version);
        let printing = ["--kind", ANY, "--attachment", "a.txt", "--print"];
        let printed = consumer.probe("send", &url, &printing).await;
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        assert!(
            printed.stderr.contains("curl ") && printed.stderr.contains(&url),
            "{}",
            printed.stderr
        );
        let mut connection = Connection::open(&Endpoint::parse(&url).unwrap()).await.unwrap();
        let post = connection.post(version.path(), "text/xml; charset=UTF-8", None, printed.stdout.into());
        let answer = post.await.unwrap();
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 200 && body.contains("requestIsQueued"), "{body}");
    }
}

#[tokio::test]
async fn the_bus_is_probed_as_a_gateway_is() {
    let (system, stranger) = (identity("GIS001"), identity("GIS002"));
    let config = Config::new(identity("SMEV"))
        .participant(system.mnemonic(), system.certificate())
        .kind(emulator::Kind::new(EGRN, "Request", "Response", "FEDERAL"));
    let bus = Emulator::start(config).await.unwrap();
    bus.set_provider(
        EGRN,
        Provider::new(|_| Reply::rejected("NO_DATA", "нет \u{202e}данных")),
    );
    let machine = Machine::of(&system);
    machine.write("bus.crt", bus.certificate().to_pem());
    let url = bus.url(Version::V1_2);
    let trusted = ["--trusted", "bus.crt"];
    let kind = ["--kind", "{urn://test/egrn/1.0}Request"];
    let sent = machine.json("send", &url, &[&trusted[..], &kind].concat()).await;
    let waiting = [&trusted[..], &["--wait", "30"]].concat();
    let came = machine.json("poll responses", &url, &waiting).await;
    assert_eq!(came["message"]["original_message_id"], sent["message_id"]);
    assert!(text(&came["message"]["said"]).contains("NO_DATA"));
    machine
        .json("ack", &url, &["--message", &text(&came["message"]["message_id"])])
        .await;

    let trouble = machine.trouble("send", &url, &["--kind", "{urn:nobody}Request"]).await;
    assert_eq!(text(&trouble["said"]["fault"]), "BusinessDataTypeIsNotSupported");
    let unknown = Machine::of(&stranger).trouble("poll requests", &url, &[]).await;
    assert_eq!(text(&unknown["said"]["fault"]), "SenderIsNotRegistered");
    bus.stop().await;
    let down = machine.trouble("poll requests", &url, &[]).await;
    assert_eq!(down["kind"], "connection");
}

#[tokio::test]
async fn a_message_that_cannot_be_saved_is_shown_and_a_notice_is_not_saved() {
    let region = local_region().start().await.unwrap();
    let (consumer, url) = (
        Machine::of(region.identity(CONSUMER).unwrap()),
        region.url(Version::V1_2),
    );
    let sent = consumer.json("send", &url, &["--kind", ANY]).await;
    let provider = Machine::of(region.identity(PROVIDER).unwrap());
    provider.write("file", "in the way");
    let taking = ["--save", "file", "--wait", "30", "--output", "json"];
    let taken = provider.probe("poll requests", &url, &taking).await;
    assert!(
        taken.code == Some(1) && taken.stderr.contains("file: "),
        "{}",
        taken.stderr
    );
    assert!(taken.stdout.contains(&text(&sent["message_id"])), "{}", taken.stdout);

    let refused = provider.probe("poll status", &url, &["--save", "inbox"]).await;
    assert!(
        refused.code == Some(2) && refused.stderr.contains("has no --save"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn a_message_that_may_have_been_accepted_is_sent_again_under_its_identifier() {
    let region = local_region().start().await.unwrap();
    let (consumer, url) = (Machine::of(region.identity(OTHER).unwrap()), region.url(Version::V1_2));
    let sent = consumer.json("send", &url, &["--kind", ANY]).await;
    let again = ["--kind", ANY, "--message-id", &text(&sent["message_id"])];
    let trouble = consumer.trouble("send", &url, &again).await;
    assert_eq!(text(&trouble["said"]["fault"]), "MessageIsAlreadySent");
    assert_eq!(trouble["maybe_done"], false);
}
