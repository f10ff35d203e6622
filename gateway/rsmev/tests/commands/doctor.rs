//! `rsmev doctor`: a running gateway, a stopped one, and what can be wrong with them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use gost::{SoftwareKey, SubjectName};
use serde_json::Value;

use crate::place::{Done, Place, read};

fn doctor(place: &Place) -> (Option<i32>, Value) {
    let Done { code, stdout, stderr } = place.operate(&["doctor", "--output", "json"]);
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (code, report)
}

/// Level and text of the first line about a subject.
#[track_caller]
fn line<'r>(report: &'r Value, subject: &str) -> (&'r str, &'r str) {
    let lines = report["lines"].as_array().expect("the test made it");
    let line = lines.iter().find(|line| line["subject"] == subject);
    let line = line.unwrap_or_else(|| panic!("{subject}: {report:#}"));
    (
        line["level"].as_str().expect("the test made it"),
        line["text"].as_str().expect("the test made it"),
    )
}

fn troubles(report: &Value) -> Vec<&str> {
    let lines = report["lines"].as_array().expect("the test made it").iter();
    let trouble = lines.filter(|line| line["level"] == "trouble");
    trouble
        .map(|line| line["subject"].as_str().expect("the test made it"))
        .collect()
}

fn add(place: &Place, text: &str) {
    let before = read(&place.path("gateway.toml"));
    place.write("gateway.toml", &format!("{before}\n{text}"));
}

/// Names an upstream at an address, with the gateway's own certificate as that of its signer.
fn upstream(place: &Place, address: &str) {
    let signer = place.path("gateway.crt").display().to_string();
    let text =
        format!("[[upstream]]\nname = \"federal\"\nurl = \"http://{address}/ws\"\ntrusted_signers = [{signer:?}]\n");
    add(place, &text);
}

/// Something that answers every call with a date of long ago.
fn old_clock() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the test made it");
    let address = listener.local_addr().expect("the test made it").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("the test made it");
            // One call a connection; a caller that has gone is none.
            let _ = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_healthy_gateway_is_no_trouble_running_or_looked_at_as_text() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let (code, report) = doctor(&place);
    assert_eq!((code, troubles(&report)), (Some(0), vec![]), "{report:#}");
    for subject in [
        "gateway",
        "ready",
        "disk",
        "queues",
        "key",
        "open files",
        "memory",
        "versions",
    ] {
        assert_eq!(line(&report, subject).0, "ok", "{subject}: {report:#}");
    }
    assert_eq!(line(&report, "backup").0, "note");
    assert!(
        report["facts"]["gateway"]["running"]["ready"]["ready"]
            .as_bool()
            .expect("the test made it")
    );

    let shown = place.operate(&["doctor"]).ok();
    assert!(shown.starts_with("ok       gateway "), "{shown}");
    assert!(shown.contains("-> `rsmev backup create DIR`"), "{shown}");
    assert!(
        shown
            .lines()
            .last()
            .expect("the test made it")
            .starts_with("No trouble, "),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'), "no colour where there is no terminal");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_stopped_gateway_is_looked_at_from_outside() {
    let place = Place::new();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    let (code, report) = doctor(&place);
    assert_eq!((code, troubles(&report)), (Some(1), vec!["gateway"]), "{report:#}");
    for subject in [
        "disk",
        "storage",
        "queues",
        "quarantine",
        "key",
        "certificate of the gateway",
    ] {
        assert_eq!(line(&report, subject).0, "ok", "{subject}: {report:#}");
    }
    let gateway = place.serve(&[]);
    assert_eq!(doctor(&place).0, Some(0), "and it starts again");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_gateway_that_does_not_say_how_it_is_is_asked_nothing_else() {
    let place = Place::new();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    let socket = place.path("admin.sock");
    // The gateway may have left it.
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(socket).expect("the gateway has gone");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        // Whoever only looks whether somebody listens says nothing.
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let read = BufReader::new(stream).read_line(&mut line);
            heard
                .lock()
                .expect("nobody panics")
                .extend(read.is_ok().then_some(line));
        }
    });
    let (code, report) = doctor(&place);
    assert_eq!((code, line(&report, "gateway").0), (Some(1), "trouble"), "{report:#}");
    assert!(line(&report, "gateway").1.contains("does not tell"), "{report:#}");
    place.operate(&["support-bundle", "bundle.tar.zst"]).ok();
    let asked = asked.lock().expect("nobody panics");
    let requests: Vec<_> = asked.iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests.iter().all(|line| line.contains("\"health\"")), "{requests:?}");
}

#[test]
fn before_the_first_start_and_with_a_broken_configuration_it_says_so() {
    let place = Place::new();
    let (code, report) = doctor(&place);
    assert_eq!((code, line(&report, "storage").0), (Some(1), "note"), "{report:#}");
    add(&place, "[nosuch]\nkey = 1\n");
    let (code, report) = doctor(&place);
    assert_eq!(
        (code, troubles(&report)),
        (Some(1), vec!["gateway", "check"]),
        "{report:#}"
    );
    assert!(line(&report, "check").1.contains("nosuch"), "{report:#}");
}

#[test]
fn an_upstream_that_is_down_is_trouble() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("the test made it")
        .local_addr()
        .expect("the test made it")
        .to_string();
    upstream(&place, &free);
    let gateway = place.serve(&[]);
    let (code, report) = doctor(&place);
    assert_eq!(
        (code, troubles(&report)),
        (Some(1), vec!["upstream federal"]),
        "{report:#}"
    );
    assert!(line(&report, "upstream federal").1.contains("refused"), "{report:#}");
    assert_eq!(line(&report, "clock").0, "note");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_upstream_is_timed_and_its_clock_is_compared() {
    let place = Place::new();
    upstream(&place, &old_clock());
    let gateway = place.serve(&[]);
    let (code, report) = doctor(&place);
    assert_eq!((code, troubles(&report)), (Some(1), vec!["clock"]), "{report:#}");
    assert!(
        line(&report, "upstream federal").1.contains("first octet"),
        "{report:#}"
    );
    assert!(
        line(&report, "clock").1.contains("ahead of that of federal"),
        "{report:#}"
    );
    let timing = &report["facts"]["upstreams"][0]["outcome"]["answers"];
    assert!(
        timing["ahead_seconds"].as_i64().expect("the test made it") > 0,
        "{report:#}"
    );
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_certificate_that_has_expired_is_trouble() {
    let place = Place::new();
    let key = SoftwareKey::from_pem(&read(&place.path("gateway.key"))).expect("the test made it");
    let subject: SubjectName = "CN=Region".parse().expect("the test made it");
    let expired = gost::self_signed(&key, &subject, 1_600_000_000, 1_700_000_000).expect("the test made it");
    place.write("gateway.crt", &expired.to_pem());
    let (_, report) = doctor(&place);
    assert_eq!(
        troubles(&report),
        ["gateway", "certificate of the gateway"],
        "{report:#}"
    );
    assert!(
        line(&report, "certificate of the gateway")
            .1
            .contains("CN=Region: expired"),
        "{report:#}"
    );
}

#[test]
fn a_disk_with_less_than_the_reserve_is_trouble() {
    let place = Place::new();
    let written = read(&place.path("gateway.toml"));
    place.write("gateway.toml", &written.replace("\"10 MB\"", "\"100000 GB\""));
    let gateway = place.serve(&[]);
    let (code, report) = doctor(&place);
    let mut troubles = troubles(&report);
    // Whether the incident is open yet is a matter of time.
    troubles.retain(|subject| *subject != "incident");
    assert_eq!((code, troubles), (Some(1), vec!["ready disk", "disk"]), "{report:#}");
    assert_eq!(gateway.stop(), Some(0));
}
