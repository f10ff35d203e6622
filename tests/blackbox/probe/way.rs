//! The way to the door: what fails on it, and TLS.

use emulator::Version;
use harness::{Authority, TlsTunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::{CONSUMER, identity, local_region};
use crate::{Machine, text};

/// A server that answers the first call with these octets: its URL.
async fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/smev/v1.2/ws", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut call = Vec::new();
            while !call.ends_with(b"Envelope>") {
                let mut chunk = [0; 4096];
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => call.extend_from_slice(&chunk[..count]),
                }
            }
            // The probe may have gone already.
            let _ = stream.write_all(answer).await;
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_answer_is_told_in_words() {
    let machine = Machine::of(&identity("ANY"));
    let html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    let moved = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n";
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
    let broken = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
    let cases: [(&[u8], &str, bool); 6] = [
        (html, "not_soap", true),
        (moved, "redirect", false),
        (missing, "status", false),
        (broken, "status", true),
        (b"220 mail.example ESMTP\r\n", "broken", true),
        (b"", "broken", true),
    ];
    for (answer, kind, maybe_done) in cases {
        let trouble = machine.trouble("poll requests", &server(answer).await, &[]).await;
        assert_eq!(
            (text(&trouble["kind"]), &trouble["maybe_done"]),
            (kind.into(), &maybe_done.into()),
            "{trouble}"
        );
    }
    let moved = machine.probe("poll requests", &server(moved).await, &[]).await;
    assert!(
        moved.code == Some(1) && moved.stdout.contains("https://elsewhere/"),
        "{}",
        moved.stdout
    );

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = machine
        .trouble("poll requests", &format!("http://{free}/ws"), &[])
        .await;
    assert_eq!(
        (text(&down["kind"]), text(&down["who"][0])),
        ("connection".into(), "gateway's operator".into())
    );
    let nobody = machine.trouble("poll requests", "http://nobody.invalid/ws", &[]).await;
    assert_eq!(nobody["kind"], "name");
    let usage = machine.probe("poll requests", "ftp://gateway/", &[]).await;
    assert!(
        usage.code == Some(2) && usage.stderr.contains("neither http nor https"),
        "{}",
        usage.stderr
    );
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_after_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ws", listener.local_addr().unwrap());
    let trouble = Machine::of(&identity("ANY"))
        .trouble("poll requests", &url, &["--timeout", "1"])
        .await;
    assert_eq!(
        (text(&trouble["kind"]), &trouble["maybe_done"]),
        ("timeout".into(), &true.into())
    );
}

#[tokio::test]
async fn tls_is_verified_by_a_private_authority_and_each_reason_against_it_is_told() {
    let region = local_region().start().await.unwrap();
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let door = TlsTunnel::in_front_of(region.door(), &ours.issue("door"))
        .await
        .unwrap();
    let late = TlsTunnel::in_front_of(region.door(), &ours.issue_expired("late"))
        .await
        .unwrap();
    let machine = Machine::of(region.identity(CONSUMER).unwrap());
    machine.write("ca.pem", ours.certificate());
    machine.write("others.pem", others.certificate());
    let at = |tunnel: &TlsTunnel| format!("https://{}{}", tunnel.address(), Version::V1_2.path());

    let empty = machine.json("poll responses", &at(&door), &["--ca", "ca.pem"]).await;
    assert!(empty["message"].is_null());
    for (url, ca, words) in [
        (at(&door), "others.pem", "authority that is not trusted"),
        (at(&late), "ca.pem", "TLS certificate is over"),
        (
            at(&door).replace("127.0.0.1", "localhost"),
            "ca.pem",
            "for another name",
        ),
        (
            format!("https://{}/smev/v1.2/ws", region.door()),
            "ca.pem",
            "does not speak TLS",
        ),
    ] {
        let trouble = machine.trouble("poll responses", &url, &["--ca", ca]).await;
        assert_eq!(
            (text(&trouble["kind"]), &trouble["maybe_done"]),
            ("tls".into(), &false.into()),
            "{trouble}"
        );
        assert!(text(&trouble["means"]).contains(words), "{trouble}");
    }
    let plain = machine
        .trouble("poll responses", &at(&door).replace("https", "http"), &[])
        .await;
    assert_eq!(plain["kind"], "broken");
    let no_ca = machine
        .probe("poll responses", &at(&door), &["--ca", "nowhere.pem"])
        .await;
    assert!(
        no_ca.code == Some(1) && no_ca.stderr.contains("nowhere.pem"),
        "{}",
        no_ca.stderr
    );
}

#[tokio::test]
async fn a_door_that_asks_for_a_certificate_gets_one_or_one_is_told() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    servers.issue("door").write(folder.path(), "door").unwrap();
    std::fs::write(path("clients.pem"), clients.certificate()).unwrap();
    let tls = format!(
        "{{ certificate = \"{}\", private_key = \"{}\", client_ca = \"{}\" }}",
        path("door.crt"),
        path("door.key"),
        path("clients.pem")
    );
    let region = local_region().setting("smev3", "tls", &tls).start().await.unwrap();
    let machine = Machine::of(region.identity(CONSUMER).unwrap());
    machine.write("ca.pem", servers.certificate());
    clients.issue("region").write(machine.0.path(), "shown").unwrap();
    Authority::new("others")
        .issue("stranger")
        .write(machine.0.path(), "stranger")
        .unwrap();
    let url = format!("https://{}/smev/v1.2/ws", region.door());

    let poll = async |name: &str| {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let shown = ["--ca", "ca.pem", "--tls-certificate", &certificate, "--tls-key", &key];
        let shown = if name.is_empty() { &shown[..2] } else { &shown[..] };
        machine
            .probe("poll responses", &url, &[shown, &["--output", "json"]].concat())
            .await
    };
    assert_eq!(poll("shown").await.code, Some(0));
    for name in ["", "stranger"] {
        let done = poll(name).await;
        let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((done.code, &told["done"]), (Some(1), &false.into()), "{told}");
        // The server's word on it may be lost when it closes first; then the connection broke.
        let kind = text(&told["trouble"]["kind"]);
        assert!(kind == "tls" || kind == "broken", "{told}");
    }
}
