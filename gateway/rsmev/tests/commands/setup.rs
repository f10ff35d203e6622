//! `rsmev setup`

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread;

use crate::place::{Done, Place, read, rsmev};

/// Two addresses that are free for the moment.
fn free() -> [String; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it listens").to_string())
}

/// The options that every gateway of these tests has.
fn options<'a>([door, admin]: &'a [String; 2], more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "--config",
        "gateway.toml",
        "setup",
        "--data-dir",
        "data",
        "--socket",
        "admin.sock",
    ];
    all.extend(["--listen", door, "--admin-listen", admin]);
    all.extend(more);
    all
}

#[test]
fn options_alone_make_a_configuration_that_a_gateway_runs_with() {
    let (place, addresses) = (Place::empty(), free());
    let told = place
        .command(&options(&addresses, &["--yes", "--mnemonic", "RSMEV73", "--test-key"]))
        .ok();
    assert!(told.contains("Everything is in order"), "{told}");
    for secret in ["keys/gateway.key", "keys/master.key"] {
        let mode = std::fs::metadata(place.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let written = read(&place.path("gateway.toml"));
    assert!(
        written.contains("# The door for local systems"),
        "it is commented: {written}"
    );
    // Once more, without an option: nothing changes.
    let told = place.command(&["--config", "gateway.toml", "setup", "--yes"]).ok();
    assert!(told.contains("gateway.toml: as it was"), "{told}");
    assert_eq!(read(&place.path("gateway.toml")), written);
    // One value changes; the file before is kept.
    let again = ["--config", "gateway.toml", "setup", "--yes", "--name", "Шлюз"];
    place.command(&again).ok();
    assert_eq!(read(&place.path("gateway.toml.old")), written);
    assert!(read(&place.path("gateway.toml")).contains("name     = \"Шлюз\""));
}

#[test]
fn a_person_is_asked_again_until_an_answer_is_right() {
    let (place, addresses) = (Place::empty(), free());
    let mut child = rsmev()
        .args(options(&addresses, &[]))
        .current_dir(place.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = "kein Mnemonik\nRSMEV73\n\nftp://x\nhttp://gw:7500\nhttp://127.0.0.1:1/ws\nnone\nwhat\ntest\n";
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    let told = Done::from(child.wait_with_output().unwrap()).ok();
    for wrong in [
        "mnemonic \"kein Mnemonik\"",
        "must begin with http:// or https://",
        "does not answer: Connection refused",
        "have, request or test?",
        "Everything is in order",
    ] {
        assert!(told.contains(wrong), "{wrong}: {told}");
    }
    assert!(read(&place.path("gateway.toml")).contains("public_url = \"http://gw:7500\""));
}

#[test]
fn questions_that_nobody_answers_change_nothing() {
    let place = Place::empty();
    let told = place.command(&["--config", "gateway.toml", "setup"]).fails(1);
    assert!(told.contains("nothing was written"), "{told}");
    let told = place.command(&["--config", "gateway.toml", "setup", "--yes"]).fails(2);
    assert!(told.contains("--mnemonic is needed"), "{told}");
    assert!(!place.path("gateway.toml").exists() && !place.path("keys").exists());
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let (place, addresses) = (Place::empty(), free());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = [taken.local_addr().unwrap().to_string(), addresses[1].clone()];
    let base = ["--yes", "--mnemonic", "RSMEV73", "--test-key"];
    let told = place.command(&options(&door, &base)).fails(1);
    assert!(told.contains("another program listens there"), "{told}");
    let told = place
        .command(&options(&addresses, &["--yes", "--mnemonic", "RSMEV73"]))
        .fails(2);
    assert!(told.contains("--test-key is needed"), "{told}");
    for name in ["a", "b"] {
        let files = [format!("{name}.key"), format!("{name}.crt")];
        let make = [
            "keys",
            "new",
            "--key",
            &files[0],
            "--certificate",
            &files[1],
            "--subject",
            "CN=a",
        ];
        place.command(&make).ok();
    }
    let other = [
        "--yes",
        "--mnemonic",
        "RSMEV73",
        "--key",
        "a.key",
        "--certificate",
        "b.crt",
    ];
    let told = place.command(&options(&addresses, &other)).fails(1);
    assert!(told.contains("b.crt: is of another key than a.key"), "{told}");
    let own = [
        "--yes",
        "--mnemonic",
        "RSMEV73",
        "--key",
        "a.key",
        "--certificate",
        "a.crt",
    ];
    place.command(&options(&addresses, &own)).ok();
    assert_eq!(read(&place.path("keys/gateway.crt")), read(&place.path("a.crt")));
    // A key is never overwritten.
    let told = place.command(&options(&addresses, &["--yes", "--test-key"])).fails(1);
    assert!(told.contains("there is a key already"), "{told}");
}

#[test]
fn a_request_leaves_a_configuration_that_waits_for_its_certificate() {
    let (place, addresses) = (Place::empty(), free());
    let told = place
        .command(&options(&addresses, &["--yes", "--mnemonic", "RSMEV73", "--request"]))
        .ok();
    assert!(told.contains("When the authority has sent the certificate"), "{told}");
    assert!(read(&place.path("keys/gateway.csr")).contains("BEGIN CERTIFICATE REQUEST"));
    let told = place.command(&["--config", "gateway.toml", "check"]);
    assert_eq!(told.code, Some(1), "{}", told.stdout);
}

#[test]
fn an_upstream_is_looked_at_and_its_certificate_is_copied() {
    let (place, addresses) = (Place::empty(), free());
    let make = [
        "keys",
        "new",
        "--key",
        "bus.key",
        "--certificate",
        "bus.crt",
        "--subject",
        "CN=bus",
    ];
    place.command(&make).ok();
    let bus = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ws", bus.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = bus.accept().unwrap();
        let mut head = [0; 512];
        let length = stream.read(&mut head).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let base = ["--yes", "--mnemonic", "RSMEV73", "--test-key", "--upstream", &url];
    let told = place
        .command(&options(
            &addresses,
            &[&base[..], &["--upstream-signer", "bus.crt"]].concat(),
        ))
        .ok();
    assert!(
        told.contains("HTTP status 200; WARNING: this machine's clock is"),
        "{told}"
    );
    assert!(serving.join().unwrap().starts_with("GET /ws?wsdl HTTP/1.1"));
    assert_eq!(read(&place.path("upstream/federal.crt")), read(&place.path("bus.crt")));
    let written = read(&place.path("gateway.toml"));
    assert!(written.contains(&format!("url = \"{url}\"")), "{written}");
}
