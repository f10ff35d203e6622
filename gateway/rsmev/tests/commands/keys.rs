//! `rsmev keys`

use crate::place::{Place, read};

const CURVES: [&str; 12] = [
    "crypto-pro-a",
    "crypto-pro-b",
    "crypto-pro-c",
    "crypto-pro-xch-a",
    "crypto-pro-xch-b",
    "tc26-256-a",
    "tc26-256-b",
    "tc26-256-c",
    "tc26-256-d",
    "tc26-512-a",
    "tc26-512-b",
    "tc26-512-c",
];

#[test]
fn keys_of_every_parameter_set_make_a_round_trip() {
    let place = Place::empty();
    for curve in CURVES {
        let (key, certificate) = (format!("{curve}.key"), format!("{curve}.crt"));
        let subject = "CN=Регион,O=Правительство,C=RU";
        place
            .command(&[
                "keys",
                "new",
                "--key",
                &key,
                "--curve",
                curve,
                "--subject",
                subject,
                "--certificate",
                &certificate,
            ])
            .ok();
        let shown = place
            .command(&["keys", "show", &key, &certificate, "--output", "json"])
            .json();
        assert_eq!(shown[0]["what"], "private key");
        assert_eq!(shown[1]["what"], "certificate");
        assert_eq!(shown[0]["public_key"], shown[1]["public_key"], "{curve}");
        assert!(shown[1]["subject"].as_str().unwrap().contains("CN=Регион"), "{shown}");
        let bits = if curve.contains("512") { "512 bits" } else { "256 bits" };
        assert!(shown[0]["algorithm"].as_str().unwrap().contains(bits), "{shown}");
        let csr = place
            .command(&["keys", "csr", "--key", &key, "--subject", subject])
            .ok();
        assert!(csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----"), "{csr}");
    }
}

#[test]
fn a_private_key_is_readable_by_its_owner_only_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::empty();
    place.command(&["keys", "new", "--key", "a.key"]).ok();
    let mode = std::fs::metadata(place.path("a.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = read(&place.path("a.key"));
    let stderr = place.command(&["keys", "new", "--key", "a.key"]).fails(1);
    assert!(stderr.contains("a.key: exists already"), "{stderr}");
    assert_eq!(read(&place.path("a.key")), before);
}

#[test]
fn showing_a_private_key_shows_no_secret() {
    let place = Place::empty();
    place.command(&["keys", "new", "--key", "a.key"]).ok();
    let pem = read(&place.path("a.key"));
    let secret = pem.lines().nth(1).unwrap();
    for output in ["table", "json"] {
        let shown = place.command(&["keys", "show", "a.key", "--output", output]).ok();
        assert!(!shown.contains(secret) && !shown.contains("PRIVATE KEY"), "{shown}");
    }
}

#[test]
fn what_is_no_key_is_refused_with_its_name() {
    let place = Place::empty();
    place.write("x", "nothing of the kind");
    assert!(place.command(&["keys", "show", "x"]).fails(1).starts_with("x: "));
    assert!(
        place
            .command(&["keys", "csr", "--key", "x", "--subject", "CN=a"])
            .fails(1)
            .starts_with("x: ")
    );
    place.command(&["keys", "new", "--key", "k"]).ok();
    place
        .command(&["keys", "csr", "--key", "k", "--subject", "nonsense"])
        .fails(2);
}

#[test]
fn no_key_is_left_without_its_certificate() {
    let place = Place::empty();
    place.write("a.crt", "something");
    let new = [
        "keys",
        "new",
        "--key",
        "a.key",
        "--subject",
        "CN=x",
        "--certificate",
        "a.crt",
    ];
    let stderr = place.command(&new).fails(1);
    assert!(stderr.contains("a.crt: exists already"), "{stderr}");
    assert!(!place.path("a.key").exists());
}
