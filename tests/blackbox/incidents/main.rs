//! Incidents that last, of the real binary: opened and closed by rules, told by mail and webhook, at least once.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

#[path = "../common/mod.rs"]
mod common;
mod sinks;

use harness::{Authority, Region, RegionBuilder, TlsTunnel};
use serde_json::Value;

use common::{
    CONSUMER, EGRN, FEDERAL, LATER, World, eventually, journal, local_region, queues, request, send, system, within,
};
use emulator::{Operation, Times};
use sinks::{MailSink, WebSink};

const TOKEN: &str = "a-secret-token";

/// Quick rules, a webhook with a token and, if there is one, a mail server.
fn told(builder: RegionBuilder, web: &WebSink, mail: Option<&MailSink>, token_file: &str) -> RegionBuilder {
    let webhook = format!(
        "[{{ name = \"duty\", url = \"http://{}/hook?a=b\", token_file = \"{token_file}\" }}]",
        web.address
    );
    let builder = builder
        .setting("incidents", "look", "\"200ms\"")
        .setting("incidents", "upstream_down", "\"1s\"")
        .setting("incidents", "close_after", "\"1s\"")
        .setting("notify", "collect", "\"200ms\"")
        .setting("notify", "retry", "\"100ms\"")
        .setting("notify", "webhook", &webhook);
    let Some(mail) = mail else { return builder };
    builder
        .setting("notify.mail", "server", "\"127.0.0.1\"")
        .setting("notify.mail", "port", &mail.address.port().to_string())
        .setting("notify.mail", "tls", "\"none\"")
        .setting("notify.mail", "from", "\"Gateway <gateway@region.example>\"")
        .setting(
            "notify.mail",
            "to",
            "[\"duty@region.example\", \"chief@region.example\"]",
        )
}

fn token() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let name = file.display().to_string();
    (dir, name)
}

/// Incidents of the rule about upstreams, as `rsmev incidents` lists them.
async fn listed(region: &Region, more: &[&str]) -> Vec<Value> {
    let arguments = [&["incidents"][..], more].concat();
    let rows = region.json(&arguments).await.unwrap();
    let mut rows = rows.as_array().unwrap().clone();
    rows.retain(|row| row["rule"] == "upstream_down");
    rows
}

async fn open(region: &Region) -> Value {
    within(LATER, "an open incident", async || listed(region, &[]).await.pop()).await
}

#[tokio::test]
async fn an_outage_is_an_incident_that_people_and_programs_are_told_of() {
    let (web, mail) = (WebSink::start(2).await, MailSink::start().await);
    let (_dir, token) = token();
    let World { bus, mut region } = World::start_with(None, |builder| told(builder, &web, Some(&mail), &token)).await;
    assert!(listed(&region, &["--all"]).await.is_empty());
    // What waits for the upstream waits before the link is down.
    let broken = bus.knobs().http_status(Operation::SendRequest, 503, Times::Always);
    send(&system(&region, CONSUMER), request(EGRN, "тайна")).await;
    assert_eq!(queues(&region).await.get("upstream/federal"), Some(&1));
    bus.go_down().await;

    let incident = open(&region).await;
    assert_eq!(incident["subject"], FEDERAL);
    assert_eq!(incident["severity"], "critical");
    assert_eq!(
        incident["affected"],
        serde_json::json!({ "count": 1, "participants": [CONSUMER] })
    );
    let id = incident["id"].as_u64().unwrap();
    let opened = within(LATER, "the webhook is called", async || {
        web.taken("upstream_down", "opened").pop()
    })
    .await;
    assert_eq!(opened.body["incident"], id);
    assert_eq!(opened.body["affected"]["participants"], serde_json::json!([CONSUMER]));
    assert!(
        opened.head.starts_with("post /hook?a=b http/1.1\r\n"),
        "{}",
        opened.head
    );
    assert!(
        opened.head.contains(&format!("authorization: bearer {TOKEN}\r\n")),
        "{}",
        opened.head
    );
    let failed = web.calls().iter().filter(|call| call.status == 500).count();
    assert_eq!(failed, 2, "what fails is tried again");
    let mailed = within(LATER, "the mail", async || {
        mail.mails()
            .into_iter()
            .find(|mail| mail.text.contains("An upstream is out of reach"))
    })
    .await;
    assert_eq!(mailed.to.len(), 2, "{:?}", mailed.to);
    assert!(
        mailed.head.contains("From: Gateway <gateway@region.example>"),
        "{}",
        mailed.head
    );
    for told in [
        &format!("Participants affected: 1 ({CONSUMER})"),
        "Вышестоящий узел недоступен",
        "About: federal",
    ] {
        assert!(mailed.text.contains(told), "{told}: {}", mailed.text);
    }
    let labels = [("rule", "upstream_down")];
    assert_eq!(
        region.metrics().await.unwrap().value("incidents_open", &labels),
        Some(1.0)
    );

    broken.off();
    bus.come_back().await.unwrap();
    within(LATER, "the incident is closed", async || {
        listed(&region, &[]).await.is_empty().then_some(())
    })
    .await;
    within(LATER, "everybody is told", async || {
        let web = web.taken("upstream_down", "closed").pop()?;
        assert_eq!(web.body["incident"], id);
        assert!(web.body["lasted_seconds"].is_u64(), "{}", web.body);
        let told = listed(&region, &["--all"]).await.pop()?["notices"].as_array()?.len();
        (told == 4).then_some(())
    })
    .await;
    assert!(
        mail.mails()
            .iter()
            .any(|mail| mail.text.contains(&format!("Incident {id} closed")))
    );
    let mut everything: Vec<String> = mail.mails().into_iter().map(|mail| mail.text).collect();
    everything.extend(web.calls().iter().map(|call| call.body.to_string()));
    for told in everything {
        assert!(!told.contains("тайна"), "no payload: {told}");
    }

    // The same is seen when the gateway is stopped.
    let shown = region.command(&["incidents", "show", &id.to_string()]).await.unwrap();
    let shown = shown.success().unwrap().stdout;
    region.stop().await.unwrap();
    let later = region.command(&["incidents", "show", &id.to_string()]).await.unwrap();
    assert_eq!(later.success().unwrap().stdout, shown);
    for part in [
        "its opening by webhook/duty, attempt 3",
        "its closing by mail, attempt 1",
        CONSUMER,
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let unknown = region.command(&["incidents", "show", "999999"]).await.unwrap();
    assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
}

#[tokio::test]
async fn what_was_not_delivered_before_a_crash_is_delivered_after_it_and_nothing_is_opened_twice() {
    let web = WebSink::start(usize::MAX).await;
    let (_dir, token) = token();
    let World { bus, mut region } = World::start_with(None, |builder| told(builder, &web, None, &token)).await;
    bus.go_down().await;
    let before = open(&region).await;
    eventually("an attempt in vain", async || (!web.calls().is_empty()).then_some(())).await;
    region.kill().await.unwrap();
    web.fail(0);
    region.start().await.unwrap();
    let told = within(LATER, "the webhook is called", async || {
        web.taken("upstream_down", "opened").pop()
    })
    .await;
    assert_eq!(told.body["incident"], before["id"]);
    let journaled = within(LATER, "the delivery is journaled", async || {
        let told = journal(&region, &["--type", "incident_notified"]).await;
        told.into_iter().find(|event| event["incident"] == before["id"])
    })
    .await;
    assert_eq!(journaled["delivered"], true);
    assert_eq!(journaled["channel"], "webhook/duty");
    let mut opened = journal(&region, &["--type", "incident_opened"]).await;
    opened.retain(|event| event["rule"] == "upstream_down");
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(open(&region).await["id"], before["id"]);
}

#[tokio::test]
async fn a_notice_that_is_refused_keeps_no_other_waiting() {
    let web = WebSink::start(0).await;
    let (_dir, token) = token();
    // Nothing is tried a second time while this test runs.
    let told = |builder| told(builder, &web, None, &token).setting("notify", "retry", "\"1h\"");
    let World { bus, region } = World::start_with(None, told).await;
    web.refuse("opened");
    bus.go_down().await;
    let id = open(&region).await["id"].clone();
    let refused = async || web.calls().into_iter().find(|call| call.body["incident"] == id);
    let refused = within(LATER, "the webhook refuses it", refused).await;
    assert_eq!(refused.status, 400);
    bus.come_back().await.unwrap();
    let closed = within(LATER, "the closing is told", async || {
        web.taken("upstream_down", "closed").pop()
    })
    .await;
    assert_eq!(closed.body["incident"], id);
}

#[tokio::test]
async fn news_are_tried_though_the_channel_was_out_of_reach() {
    let web = WebSink::start(0).await;
    let (_dir, token) = token();
    let told = |builder| told(builder, &web, None, &token).setting("notify", "retry", "\"1h\"");
    let World { bus, region } = World::start_with(None, told).await;
    web.go_away(true);
    let before = web.connections();
    bus.go_down().await;
    let id = open(&region).await["id"].clone();
    eventually("an attempt in vain", async || {
        (web.connections() > before).then_some(())
    })
    .await;
    web.go_away(false);
    bus.come_back().await.unwrap();
    // The attempt with what is new finds somebody, and what waited goes, too.
    for phase in ["closed", "opened"] {
        let told = within(LATER, phase, async || web.taken("upstream_down", phase).pop()).await;
        assert_eq!(told.body["incident"], id);
    }
}

#[tokio::test]
async fn a_test_goes_through_every_channel_and_says_what_failed() {
    let (web, mail) = (WebSink::start(0).await, MailSink::start().await);
    let (_dir, token) = token();
    let region = told(local_region(), &web, Some(&mail), &token).prepare().unwrap();
    let test = async |region: &Region| region.command(&["incidents", "test-notification"]).await.unwrap();
    let said = test(&region).await.success().unwrap().stdout;
    assert!(
        said.contains("mail (duty@region.example, chief@region.example through 127.0.0.1:"),
        "{said}"
    );
    assert_eq!(said.matches(": delivered").count(), 2, "{said}");
    assert_eq!(web.calls()[0].body["phase"], "test");
    assert!(mail.mails()[0].text.contains("a test of the notifications"));

    web.fail(1);
    let said = test(&region).await;
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    assert!(said.stdout.contains("it answered 500"), "{}", said.stdout);
    std::fs::remove_file(&token).unwrap();
    let said = test(&region).await;
    assert!(
        said.stdout.contains(&token) && said.stdout.contains("mail ("),
        "{}",
        said.stdout
    );

    let silent = local_region().prepare().unwrap();
    let said = test(&silent).await;
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("[notify.mail]"), "{}", said.stderr);
}

#[tokio::test]
async fn tls_is_verified_and_never_left_out() {
    let (web, mail) = (WebSink::start(0).await, MailSink::start().await);
    let authority = Authority::new("CA");
    let identity = authority.issue("sinks");
    let web_tls = TlsTunnel::in_front_of(web.address, &identity).await.unwrap();
    let mail_tls = TlsTunnel::in_front_of(mail.address, &identity).await.unwrap();
    let (web_address, mail_port) = (web_tls.address(), mail_tls.address().port());
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.crt");
    let region = |ca: &std::path::Path, tls: &str, port: u16| {
        let webhook = format!(
            "[{{ name = \"duty\", url = \"https://{web_address}/\", ca = \"{}\" }}]",
            ca.display()
        );
        let builder = local_region()
            .setting("notify", "webhook", &webhook)
            .setting("notify.mail", "server", "\"127.0.0.1\"")
            .setting("notify.mail", "port", &port.to_string())
            .setting("notify.mail", "tls", &format!("\"{tls}\""))
            .setting("notify.mail", "ca", &format!("\"{}\"", ca.display()))
            .setting("notify.mail", "from", "\"gateway@region.example\"")
            .setting("notify.mail", "to", "[\"duty@region.example\"]");
        builder.prepare().unwrap()
    };
    let test = async |region: Region| region.command(&["incidents", "test-notification"]).await.unwrap();
    std::fs::write(&ca, authority.certificate()).unwrap();
    let said = test(region(&ca, "tls", mail_port)).await;
    assert_eq!(said.stdout.matches(": delivered").count(), 2, "{}", said.stdout);
    std::fs::write(&ca, Authority::new("another").certificate()).unwrap();
    let said = test(region(&ca, "tls", mail_port)).await;
    assert_eq!(said.stdout.matches(": failed").count(), 2, "{}", said.stdout);
    // A server that does not know STARTTLS gets nothing.
    let before = mail.mails().len();
    let said = test(region(&ca, "starttls", mail.address.port())).await;
    assert!(
        said.stdout.contains("mail (duty@region.example through 127.0.0.1:"),
        "{}",
        said.stdout
    );
    assert_eq!(said.stdout.matches(": failed").count(), 2, "{}", said.stdout);
    assert_eq!(mail.mails().len(), before);
}
