//! What a person sees: sheets, warnings, and nothing that takes hold of the terminal.

use std::os::unix::fs::PermissionsExt;

use emulator::{Config, Emulator, Provider, Reply, Version};

use crate::Machine;
use crate::common::{CONSUMER, EGRN, PROVIDER, identity, local_region};

const ANY: &str = "{urn://test/spravka/1.0}Request";

#[tokio::test]
async fn each_step_says_what_it_proves_and_what_comes_next() {
    let region = local_region().start().await.unwrap();
    let url = region.url(Version::V1_2);
    let consumer = Machine::of(region.identity(CONSUMER).unwrap());
    let provider = Machine::of(region.identity(PROVIDER).unwrap());

    let unknown = provider
        .probe("poll requests", &url, &["--type", "{urn:nobody}Request"])
        .await
        .stdout;
    assert!(
        unknown.contains("UnknownMessageType") && !unknown.contains("send again"),
        "{unknown}"
    );
    let empty = consumer.probe("poll responses", &url, &[]).await;
    assert_eq!(empty.code, Some(0));
    assert!(
        empty.stdout.starts_with("EMPTY  GetResponse: nothing waits\n"),
        "{}",
        empty.stdout
    );
    let waited = consumer.probe("poll responses", &url, &["--wait", "1"]).await;
    assert!(
        waited.code == Some(1) && waited.stderr.contains("within the time limit"),
        "{}",
        waited.stderr
    );

    let sent = consumer.probe("send", &url, &["--kind", ANY]).await;
    assert!(sent.stdout.starts_with("ACCEPTED  SendRequest "), "{}", sent.stdout);
    assert!(
        sent.stdout.contains("--trusted") && sent.stdout.contains("poll responses"),
        "{}",
        sent.stdout
    );
    let taken = provider.probe("poll requests", &url, &[]).await.stdout;
    for line in [
        "REQUEST  ",
        "\n  from ",
        "\n  test ",
        "\n  reply to ",
        "rsmev probe ack --message ",
        "--reply-to",
    ] {
        assert!(taken.contains(line), "{line}: {taken}");
    }
    let refused = consumer
        .probe("send", &url, &["--kind", "{urn:nobody}Request"])
        .await
        .stdout;
    for line in [
        "REFUSED  BusinessDataTypeIsNotSupported",
        "\n  means ",
        "\n  who acts ",
        "\n  to do ",
        "\n  said ",
        "RSMEV-401",
    ] {
        assert!(refused.contains(line), "{line}: {refused}");
    }
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_warned_of_and_never_shown() {
    let region = local_region().start().await.unwrap();
    let system = region.identity(CONSUMER).unwrap();
    let (machine, url) = (Machine::of(system), region.url(Version::V1_2));
    let closed = machine.probe("poll responses", &url, &[]).await;
    assert!(!closed.stderr.contains("WARNING"), "{}", closed.stderr);
    std::fs::set_permissions(machine.path("system.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let open = machine.probe("send", &url, &["--kind", ANY, "--print"]).await;
    assert!(
        open.stderr.contains("WARNING") && open.stderr.contains("chmod 600"),
        "{}",
        open.stderr
    );
    let secret = system.private_key_pem().unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!open.stdout.contains(&secret) && !open.stderr.contains(&secret));
}

#[tokio::test]
async fn what_the_other_side_says_is_escaped() {
    let system = identity("GIS001");
    let config = Config::new(identity("SMEV"))
        .participant(system.mnemonic(), system.certificate())
        .kind(emulator::Kind::new(EGRN, "Request", "Response", "FEDERAL"));
    let bus = Emulator::start(config).await.unwrap();
    bus.set_provider(
        EGRN,
        Provider::new(|_| Reply::rejected("NO_DATA", "нет \u{202e}\u{9b}2Jданных")),
    );
    let (machine, url) = (Machine::of(&system), bus.url(Version::V1_2));
    machine
        .json("send", &url, &["--kind", "{urn://test/egrn/1.0}Request"])
        .await;
    let shown = machine.probe("poll responses", &url, &["--wait", "30"]).await.stdout;
    assert!(shown.contains("нет \\u{202e}\\u{9b}2Jданных"), "{shown}");
    assert!(!shown.contains(['\u{202e}', '\u{9b}']));
}
