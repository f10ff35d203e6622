//! `rsmev support-bundle`: what is in it, and what must never be.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use emulator::{Attachment, Identity, Participant, Version};

use crate::place::{Gateway, Place, read};

const KIND: &str = "urn://test/gpzu/1.0.0";
const PAYLOAD: &str = "kolobok-payload";
const ATTACHED: &str = "attached-octets-of-a-file";

/// Files of a bundle by their names without the folder; and its octets, unpacked.
fn unpacked(bundle: &[u8]) -> (BTreeMap<String, String>, String) {
    let mut octets = Vec::new();
    zstd::Decoder::new(bundle)
        .expect("the test made it")
        .read_to_end(&mut octets)
        .expect("the test made it");
    let all = String::from_utf8_lossy(&octets).into_owned();
    let (mut files, mut rest) = (BTreeMap::new(), &octets[..]);
    let text = |octets: &[u8]| {
        let text = octets.split(|octet| *octet == 0).next().unwrap_or_default();
        String::from_utf8(text.to_vec()).expect("the test made it")
    };
    while rest[0] != 0 {
        let size = usize::from_str_radix(&text(&rest[124..136]), 8).expect("the test made it");
        let name = text(&rest[..100]);
        let (_, name) = name.split_once('/').expect("the test made it");
        let content = String::from_utf8(rest[512..512 + size].to_vec()).expect("the test made it");
        files.insert(name.to_owned(), content);
        rest = &rest[512 + size.next_multiple_of(512)..];
    }
    (files, all)
}

fn region(place: &Place) -> Identity {
    let consumer = Identity::generate("MUN001").expect("the test made it");
    place.write("registry/a.crt", &consumer.certificate().to_pem());
    place.write(
        "registry/region.toml",
        &format!(
            "[[participant]]\nmnemonic = \"MUN001\"\nname = \"a\"\ncertificates = [\"a.crt\"]\n\
             [[kind]]\nname = \"gpzu\"\nnamespace = \"{KIND}\"\nrequest = \"Request\"\nresponse = \"Response\"\n\
             [[grant]]\nparticipant = \"MUN001\"\nkind = \"gpzu\"\nmay = [\"request\", \"provide\"]\n\
             [[route]]\nkind = \"gpzu\"\nto = \"MUN001\"\n"
        ),
    );
    consumer
}

fn send(place: &Place, gateway: &Gateway, identity: Identity) -> String {
    let certificate =
        gost::Certificate::from_pem_or_der(read(&place.path("gateway.crt")).as_bytes()).expect("the test made it");
    let url = format!("http://{}/ws", gateway.address("door is open"));
    let consumer = Participant::new(identity, Version::V1_2, &url, certificate).expect("the test made it");
    let mut request = consumer.new_request(format!("<Request xmlns=\"{KIND}\"><Word>{PAYLOAD}</Word></Request>"));
    request.attachments = vec![Attachment::new("a.txt", "text/plain", ATTACHED.as_bytes().to_vec())];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the test made it");
    runtime
        .block_on(consumer.send_request(&request))
        .expect("the test made it");
    request.message_id
}

/// Lines of a PEM file that are its secret.
fn secret_lines(pem: &str) -> Vec<String> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_bundle_has_what_helps_and_no_secret() {
    let place = Place::new();
    let consumer = region(&place);
    let written = read(&place.path("gateway.toml"));
    place.write(
        "gateway.toml",
        &format!(
            "# once it was comment-secret\n{written}\n[archive]\ncommand = [\"/bin/true\", \"--token=archive-secret\", \"{{file}}\"]\n\
             [notify.mail]\nserver = \"mail.region.test\"\nfrom = \"gateway@region.test\"\nto = [\"duty@region.test\"]\n\
             user = \"gateway\"\npassword_file = \"mail.password\"\n\
             [[notify.webhook]]\nname = \"duty\"\nurl = \"https://hooks.region.test/webhook-secret\"\ntoken_file = \"duty.token\"\n"
        ),
    );
    place.write("mail.password", "mail-secret\n");
    place.write("duty.token", "bearer-secret\n");
    let gateway = place.serve(&[]);
    // The secrets get into what the journal keeps of people's words.
    place.operate(&["registry", "apply", "registry"]).ok();
    let words = "mail-secret and bearer-secret";
    place
        .operate(&["queue", "pause", "MUN001/responses", "--reason", words])
        .ok();
    let id = send(&place, &gateway, consumer);
    let mut command = place.prepare(&["--config", "gateway.toml", "support-bundle", "bundle.tar.zst"]);
    command.env("SHIPPING_TOKEN", "environment-secret");
    command.env("RSMEV__SMEV3__PUBLIC_URL", "http://somebody:url-secret@gateway:7500");
    let output = command.output().expect("the test made it");
    let said = String::from_utf8(output.stdout).expect("the test made it");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.starts_with("bundle.tar.zst: "), "{said}");

    let file = place.path("bundle.tar.zst");
    assert_eq!(
        std::fs::metadata(&file).expect("the test made it").permissions().mode() & 0o777,
        0o600
    );
    let (files, all) = unpacked(&std::fs::read(&file).expect("the test made it"));
    for (name, has) in [
        ("README.txt", "rsmev support-bundle"),
        (
            "configuration.toml",
            "command = [\"/bin/true\", \"[removed]\", \"[removed]\"]",
        ),
        ("environment.txt", "RSMEV__SMEV3__PUBLIC_URL\n"),
        ("doctor.json", "\"subject\": \"gateway\""),
        ("ready.json", "\"ready\": true"),
        ("metrics.txt", "rsmev_queue_depth{queue=\"MUN001/requests\"} 1"),
        ("registry.json", "MUN001"),
        ("journal.jsonl", id.as_str()),
    ] {
        let text = files.get(name).unwrap_or_else(|| panic!("{name}: {:?}", files.keys()));
        assert!(text.contains(has), "{name}: {has}\n{text}");
    }
    let mut secrets = [
        "comment-secret",
        "archive-secret",
        "environment-secret",
        "url-secret",
        "mail-secret",
        "webhook-secret",
        "bearer-secret",
        "somebody",
        PAYLOAD,
        ATTACHED,
    ]
    .map(str::to_owned)
    .to_vec();
    secrets.extend(secret_lines(&read(&place.path("gateway.key"))));
    secrets.extend(secret_lines(&read(&place.path("data/keys/master.key"))));
    let accepted = place
        .operate(&["journal", "export", "--message", &id, "--type", "accepted"])
        .ok();
    let accepted: serde_json::Value = serde_json::from_str(&accepted).expect("the test made it");
    let evidence = &accepted["event"]["evidence"];
    assert!(evidence.is_object(), "{accepted}");
    secrets.extend(
        [&accepted["event"]["token"], &evidence["signature"]]
            .map(|value| value.as_str().expect("the test made it").to_owned()),
    );
    for secret in secrets {
        assert!(
            secret.len() > 3 && !all.contains(&secret),
            "{secret:?} is in the bundle"
        );
    }
    // What is there is not overwritten.
    place.operate(&["support-bundle", "bundle.tar.zst"]).fails(1);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_broken_configuration_of_a_stopped_gateway_gives_a_bundle_without_its_passwords() {
    let place = Place::new();
    let written = read(&place.path("gateway.toml"));
    place.write(
        "gateway.toml",
        &format!(
            "{written}\npassword = \"unknown-secret\"\n\n[[upstream]]\nname = \"federal\"\n\
             url = \"http://login:broken-secret@bus/ws\"\ntrusted_signers = []\n"
        ),
    );
    let mut command = place.prepare(&["--config", "gateway.toml", "support-bundle", "-"]);
    let output = command.output().expect("the test made it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (files, all) = unpacked(&output.stdout);
    assert!(
        files["doctor.json"].contains("must not hold a name or a password"),
        "{files:?}"
    );
    assert!(files["configuration.toml"].contains("http://bus/ws"), "{files:?}");
    assert!(files["missing.txt"].contains("ready.json"), "{files:?}");
    for secret in ["unknown-secret", "broken-secret", "login"] {
        assert!(!all.contains(secret), "{secret} is in the bundle");
    }
    place.write("gateway.toml", "[node\npassword = \"torn-secret\"\n");
    let output = place
        .prepare(&["--config", "gateway.toml", "support-bundle", "-"])
        .output()
        .expect("the test made it");
    let (files, all) = unpacked(&output.stdout);
    assert!(
        !files.contains_key("configuration.toml") && !all.contains("torn-secret"),
        "{all}"
    );
    // Nobody knows what to look for in the log.
    assert!(
        !files.contains_key("log.txt") && files["missing.txt"].contains("log.txt: without the configuration"),
        "{files:?}"
    );
}

#[test]
fn the_archive_is_one_that_tar_reads() {
    let there = std::process::Command::new("tar").arg("--version").output().is_ok();
    if !there {
        return;
    }
    let place = Place::new();
    place.operate(&["support-bundle", "bundle.tar.zst"]).ok();
    let octets = zstd::decode_all(&std::fs::read(place.path("bundle.tar.zst")).expect("the test made it")[..])
        .expect("the test made it");
    std::fs::write(place.path("bundle.tar"), octets).expect("the test made it");
    let listed = std::process::Command::new("tar")
        .arg("-tf")
        .arg(place.path("bundle.tar"))
        .output()
        .expect("the test made it");
    let names = String::from_utf8(listed.stdout).expect("the test made it");
    assert!(listed.status.success() && names.contains("/doctor.json\n"), "{names}");
}
