//! `rsmev serve`: its pages, its signals, its lock.

use rustix::process::Signal;

use crate::place::{Place, get};

#[test]
fn the_pages_of_a_running_gateway() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let admin = gateway.address("administration");
    assert_eq!(get(&admin, "/live").0, "HTTP/1.1 200 OK");
    assert_eq!(get(&admin, "/nothing").0, "HTTP/1.1 404 Not Found");

    let (status, body) = get(&admin, "/ready");
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    let ready: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(ready["ready"], true);
    let conditions = ready["conditions"].as_array().unwrap();
    for name in ["journal", "spool", "index", "disk", "key", "clock"] {
        let condition = conditions.iter().find(|condition| condition["name"] == name);
        let condition = condition.unwrap_or_else(|| panic!("{name}: {body}"));
        for field in ["ok", "since", "message", "remedy"] {
            assert!(!condition[field].is_null(), "{name} {field}: {body}");
        }
        let russian = condition["message_ru"].as_str().unwrap();
        assert!(russian.chars().any(|c| ('а'..='я').contains(&c)), "{name}: {body}");
        assert_eq!(condition["remedy_ru"], "", "{name}: {body}");
    }
    assert!(ready.get("test_clock").is_none());

    let (status, metrics) = get(&admin, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for name in [
        "rsmev_commit_seconds_bucket",
        "rsmev_commit_batch_size_count",
        "rsmev_verify_seconds_sum",
        "rsmev_request_seconds_count{operation=\"SendRequest\"} 0",
        "rsmev_messages_refused_total{door=\"smev3\",fault=\"AccessDenied\"} 0",
        "rsmev_leases 0",
        "rsmev_quarantine_depth 0",
        "rsmev_spool_bytes",
        "rsmev_spool_needed_bytes",
        "rsmev_index_bytes",
        "rsmev_index_row_bytes",
        "rsmev_journal_bytes",
        "rsmev_journal_last_seq",
        "rsmev_journal_cut 0",
        "rsmev_disk_free_bytes",
        "rsmev_in_flight_bytes 0",
        "rsmev_certificate_expires_seconds{subject=\"CN=Region\"}",
        "rsmev_build_info{",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(name), "{name}\n{metrics}");
    }
    assert_eq!(gateway.stop(), Some(0));
    assert!(!place.path("admin.sock").exists(), "the socket goes with the gateway");
}

#[test]
fn a_test_clock_is_shown() {
    let place = Place::new();
    let gateway = place.serve(&["--test-clock", "2027-03-01T12:00:00Zx60"]);
    let (_, body) = get(&gateway.address("administration"), "/ready");
    let ready: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(ready["test_clock"], "2027-03-01T12:00:00Zx60");
    assert!(gateway.log().contains("test clock"));
}

#[test]
fn the_admin_socket_is_for_its_group_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let gateway = place.serve(&[]);
    let mode = std::fs::metadata(place.path("admin.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(place.operate(&["queue", "list"]).ok(), "All queues are empty.\n");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let mut second = place.prepare(&["--config", "gateway.toml", "serve"]);
    let output = second
        .env("RSMEV__ADMIN__SOCKET", place.path("other.sock"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("is in use"), "{stderr}");
    // A command that cannot find the socket says the same instead of waiting or opening what is open.
    let mut command = place.prepare(&["--config", "gateway.toml", "queue", "list"]);
    let output = command
        .env("RSMEV__ADMIN__SOCKET", place.path("other.sock"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("is in use"));
    let stderr = place.operate(&["index", "rebuild"]).fails(1);
    assert!(stderr.contains("the gateway is running"), "{stderr}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_start_waits_for_a_command_that_looks_at_the_store() {
    let place = Place::new();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    let looker = journal::hold(&place.path("data"), &journal::disk::RealDisk).unwrap();
    let mut gateway = place.begin_to_serve(&[]);
    gateway.wait_for("waiting for the store");
    drop(looker);
    gateway.wait_for("the gateway is running");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_hang_up_reads_the_level_again_and_keeps_running_when_the_file_is_wrong() {
    let place = Place::new();
    let mut gateway = place.serve(&[]);
    let text = place.configuration("\"127.0.0.1:0\"", "\"127.0.0.1:0\"");
    place.write("gateway.toml", &format!("{text}\n[log]\nlevel = \"loud\"\n"));
    gateway.signal(Signal::HUP);
    let log = gateway.wait_for("nothing was read again");
    assert!(log.contains("log.level"), "{log}");
    place.write("gateway.toml", &format!("{text}\n[log]\nlevel = \"debug\"\n"));
    gateway.signal(Signal::HUP);
    gateway.wait_for("read again: log.level");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn json_logs_are_json() {
    let place = Place::new();
    let text = place.configuration("\"127.0.0.1:0\"", "\"127.0.0.1:0\"");
    place.write("gateway.toml", &format!("{text}\n[log]\nformat = \"json\"\n"));
    let gateway = place.serve(&[]);
    for line in gateway.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_sockets_folder_is_made_and_what_cannot_be_made_names_its_key() {
    let place = Place::new();
    let text = place.configuration("\"127.0.0.1:0\"", "\"127.0.0.1:0\"");
    place.write("gateway.toml", &text.replace("admin.sock", "run/admin.sock"));
    assert_eq!(place.serve(&[]).stop(), Some(0));
    assert!(place.path("run").is_dir());
    place.write("gateway.toml", &text.replace("admin.sock", "absent/run/admin.sock"));
    let stderr = place.operate(&["serve"]).fails(1);
    assert!(
        stderr.contains("admin.socket ") && stderr.contains("make it"),
        "{stderr}"
    );
    let checked = place.operate(&["check"]);
    assert!(checked.stdout.contains("admin.socket: "), "{}", checked.stdout);
}

#[test]
fn a_full_disk_is_known_before_the_doors_open() {
    let place = Place::new();
    let text = place.configuration("\"127.0.0.1:0\"", "\"127.0.0.1:0\"");
    place.write("gateway.toml", &text.replace("\"10 MB\"", "\"9000000 TB\""));
    let gateway = place.serve(&[]);
    let (status, body) = get(&gateway.address("administration"), "/ready");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable", "{body}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_address_in_use_names_its_key() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("\"{}\"", taken.local_addr().unwrap());
    place.write("gateway.toml", &place.configuration(&address, "\"127.0.0.1:0\""));
    let stderr = place.operate(&["serve"]).fails(1);
    assert!(
        stderr.contains("smev3.listen ") && stderr.contains("in use"),
        "{stderr}"
    );
}
