//! The master key of the protection at rest.

use std::os::unix::fs::PermissionsExt;

use crate::place::{Place, read};

/// A configuration that names a master key.
fn with_master_key(name: &str) -> Place {
    let place = Place::new();
    place.name_master_key(name);
    place
}

#[test]
fn the_first_start_makes_a_key_beside_the_data_and_check_warns_of_that() {
    let place = Place::new();
    let checked = place.operate(&["check"]).ok();
    assert!(checked.contains("no master key is named"), "{checked}");
    place.serve(&[]).stop();
    let key = place.path("data/keys/master.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let shown = place
        .command(&["keys", "master", "show", "data/keys/master.key", "--output", "json"])
        .json();
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    assert!(!read(&key).contains(fingerprint));
    let checked = place.operate(&["check"]).ok();
    assert!(
        checked.contains(fingerprint) && checked.contains("beside the data"),
        "{checked}"
    );

    std::fs::remove_file(&key).unwrap();
    let refused = place.operate(&["serve"]).fails(1);
    assert!(refused.contains("master.key: the master key is missing"), "{refused}");
    assert!(!key.exists(), "no other key takes its place");
    let checked = place.operate(&["check"]).fails(1);
    assert!(checked.is_empty(), "findings are the answer: {checked}");
}

#[test]
fn a_named_key_must_be_there_and_nobody_elses_business() {
    let place = with_master_key("master.key");
    let refused = place.operate(&["serve"]).fails(1);
    assert!(refused.contains("master.key: No such file"), "{refused}");
    let made = place.command(&["keys", "master", "new", "master.key"]).ok();
    assert!(made.contains("Keep a copy"), "{made}");
    assert!(
        place
            .command(&["keys", "master", "new", "master.key"])
            .fails(1)
            .contains("exists")
    );

    let key = place.path("master.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = place.operate(&["serve"]).fails(1);
    assert!(refused.contains("open to others (mode 0640)"), "{refused}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    place.serve(&[]).stop();
    assert!(!place.path("data/keys/master.key").exists());
    let checked = place.operate(&["check"]).ok();
    assert!(checked.contains("storage.master_key"), "{checked}");

    place.command(&["keys", "master", "new", "other.key"]).ok();
    place.name_master_key("other.key");
    let refused = place.operate(&["serve"]).fails(1);
    assert!(refused.contains("is not the one of"), "{refused}");
}

#[test]
fn a_rotation_needs_no_stop_and_holds_from_the_next_start_on() {
    let place = with_master_key("old.key");
    for name in ["old.key", "new.key", "newer.key"] {
        place.command(&["keys", "master", "new", name]).ok();
    }
    let gateway = place.serve(&[]);
    let said = place.operate(&["keys", "master", "rotate", "--to", "new.key"]).ok();
    assert!(said.contains("set storage.master_key to new.key"), "{said}");
    assert_eq!(gateway.stop(), Some(0));
    let refused = place.operate(&["serve"]).fails(1);
    assert!(refused.contains("is not the one of"), "{refused}");

    place.name_master_key("new.key");
    // The gateway is stopped now.
    place.operate(&["keys", "master", "rotate", "--to", "newer.key"]).ok();
    place.name_master_key("newer.key");
    place.serve(&[]).stop();
    let exported = place.operate(&["journal", "export"]).ok();
    let rotated: Vec<serde_json::Value> = exported
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|record: &serde_json::Value| record["event"]["type"] == "master_key")
        .collect();
    assert_eq!(rotated.len(), 2, "{exported}");
    assert_eq!(rotated[0]["event"]["fingerprint"], rotated[1]["event"]["before"]);
    assert!(rotated.iter().all(|record| record["event"]["by"].is_string()));
}

#[test]
fn bodies_that_lie_open_are_warned_of() {
    let place = Place::new();
    let written = read(&place.path("gateway.toml"));
    place.write(
        "gateway.toml",
        &format!("{written}\n[storage]\nencryption = \"none\"\n"),
    );
    place.serve(&[]).stop();
    assert!(!place.path("data/keys").exists());
    let checked = place.operate(&["check"]).ok();
    assert!(checked.contains("whoever has the disk can read them"), "{checked}");
    place.write(
        "gateway.toml",
        &format!("{written}\n[storage]\nencryption = \"rot13\"\n"),
    );
    let refused = place.operate(&["check"]).fails(1);
    assert!(refused.is_empty(), "{refused}");
}
