//! Usage, configuration errors, `check`.

use crate::place::{Place, rsmev};

#[test]
fn wrong_usage_is_exit_code_2_and_help_is_0() {
    for arguments in [
        &["frobnicate"][..],
        &["queue"],
        &["trace", "not-an-id"],
        &["journal", "export", "--type", "nosuch"],
        &["serve", "--test-clock", "soon"],
    ] {
        let status = rsmev().args(arguments).output().unwrap().status;
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
    let help = rsmev().arg("--help").output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for command in [
        "serve",
        "check",
        "sandbox",
        "keys",
        "registry",
        "queue",
        "trace",
        "quarantine",
        "journal",
        "retention",
        "backup",
        "index",
    ] {
        assert!(text.contains(command), "{command}: {text}");
    }
}

#[test]
fn a_missing_configuration_says_how_to_name_one() {
    let stderr = Place::empty().command(&["queue", "list"]).fails(1);
    assert!(
        stderr.contains("/etc/rsmev/gateway.toml") && stderr.contains("--config FILE"),
        "{stderr}"
    );
}

#[test]
fn every_error_is_reported_at_once_with_file_line_and_key() {
    let place = Place::empty();
    place.write(
        "gateway.toml",
        "[node]\nmnemonic = \"RSMEV 73\"\ndata_dir = \"/var/lib/rsmev\"\n\n[keys]\nprivate_key = \"k\"\ncertificate = \"c\"\n\n\
         [smev3]\nlisten = \"nowhere\"\nredelivry = \"15m\"\nstale_after = \"two days\"\n\n[limits]\nbody_bytes = 8\n\n\
         [[upstream]]\nname = \"federal\"\nurl = \"ftp://bus\"\ntrusted_signers = []\nversion = \"2.0\"\n\n[loging]\n",
    );
    let stderr = place.operate(&["queue", "list"]).fails(1);
    for expected in [
        "gateway.toml:2: node.mnemonic: ",
        "gateway.toml:10: smev3.listen: \"nowhere\" is not an address",
        "gateway.toml:11: smev3.redelivry: unknown key; did you mean \"redelivery\"?",
        "gateway.toml:12: smev3.stale_after: \"two days\" is not a duration",
        "gateway.toml:15: limits.body_bytes: ",
        "gateway.toml:19: upstream[1].url: ",
        "gateway.toml:20: upstream[1].trusted_signers: ",
        "gateway.toml:21: upstream[1].version: ",
        "gateway.toml:23: loging: unknown key; did you mean \"log\"?",
    ] {
        assert!(stderr.contains(expected), "{expected}\n{stderr}");
    }
}

#[test]
fn what_an_upstream_over_tls_needs_is_checked() {
    let place = Place::new();
    let upstream = |url: &str, ca: &str, timeout: &str| {
        let text = place.configuration("\"127.0.0.1:0\"", "\"127.0.0.1:0\"")
            + &format!("[[upstream]]\nname = \"federal\"\nurl = \"{url}\"\nca = \"{ca}\"\ntimeout = \"{timeout}\"\n")
            + "trusted_signers = [\"gateway.crt\"]\n";
        place.write("gateway.toml", &text);
        let done = place.operate(&["check"]);
        assert_eq!(done.code, Some(1), "{}", done.stdout);
        done.stdout
    };
    place.write("empty.pem", "");
    for (url, ca, timeout, expected) in [
        (
            "https://127.0.0.1:1/ws",
            "absent.pem",
            "60s",
            "upstream[1].ca: absent.pem: ",
        ),
        (
            "https://127.0.0.1:1/ws",
            "empty.pem",
            "60s",
            "upstream[1].ca: empty.pem: there is no certificate in it",
        ),
        (
            "http://127.0.0.1:1/ws",
            "empty.pem",
            "60s",
            "upstream[1].ca: is of use only where url begins with https://",
        ),
        (
            "http://127.0.0.1:1/ws",
            "empty.pem",
            "999ms",
            "upstream[1].timeout: must be from 1s to 10m",
        ),
        (
            "http://127.0.0.1:1/ws",
            "empty.pem",
            "11m",
            "upstream[1].timeout: must be from 1s to 10m",
        ),
    ] {
        let found = upstream(url, ca, timeout);
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn syntax_errors_name_the_line() {
    let place = Place::empty();
    place.write("gateway.toml", "[node]\nmnemonic = \n");
    assert!(place.operate(&["queue", "list"]).fails(1).contains("gateway.toml:2: "));
}

#[test]
fn the_environment_overrides_the_file_and_its_errors_name_the_variable() {
    let place = Place::new();
    let run = |name: &str, value: &str| {
        let mut command = place.prepare(&["--config", "gateway.toml", "check"]);
        let output = command.env(name, value).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, stdout) = run("RSMEV__LIMITS__BODY_BYTES", "lots");
    assert_eq!(code, Some(1));
    assert!(
        stdout.contains("environment RSMEV__LIMITS__BODY_BYTES: limits.body_bytes: \"lots\" is not a size"),
        "{stdout}"
    );
    let (code, stdout) = run("RSMEV__LIMITS__BODY_BITES", "1 MiB");
    assert_eq!(code, Some(1));
    assert!(stdout.contains("did you mean \"body_bytes\"?"), "{stdout}");
    assert_eq!(run("RSMEV__LIMITS__QUEUE_MESSAGES", "5").0, Some(0));
}

#[test]
fn check_finds_nothing_wrong_with_what_is_right() {
    let place = Place::new();
    place.command(&["keys", "master", "new", "master.key"]).ok();
    place.name_master_key("master.key");
    let stdout = place.operate(&["check"]).ok();
    assert!(stdout.contains("Everything is in order, 0 warnings."), "{stdout}");
}

#[test]
fn check_reports_every_problem_and_warns_of_an_open_door() {
    let place = Place::new();
    let text = place.configuration("\"0.0.0.0:7500\"", "\"127.0.0.1:0\"")
        + "[[upstream]]\nname = \"federal\"\nurl = \"http://127.0.0.1:1/ws\"\ntrusted_signers = [\"absent.crt\"]\n";
    place.write("gateway.toml", &text);
    std::fs::remove_file(place.path("gateway.key")).unwrap();
    let done = place.operate(&["check"]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stdout
            .contains("warning  gateway.toml:10: smev3.listen: 0.0.0.0:7500: without TLS"),
        "{}",
        done.stdout
    );
    for expected in [
        "error    gateway.toml:6: keys.private_key: ",
        "error    gateway.toml:21: upstream[1].trusted_signers[1]: absent.crt: ",
        "warning  gateway.toml:10: smev3.listen: 0.0.0.0:7500: the WSDL",
        "warning  gateway.toml: storage.master_key: no master key is named",
        "2 errors, 3 warnings",
    ] {
        assert!(done.stdout.contains(expected), "{expected}\n{}", done.stdout);
    }
    let json = place.operate(&["check", "--output", "json"]);
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (json.code, &found["errors"]),
        (Some(1), &serde_json::json!(2)),
        "{found}"
    );
}

#[test]
fn a_wrong_value_hides_no_missing_file_and_no_name_that_comes_twice() {
    let place = Place::new();
    let upstream =
        "[[upstream]]\nname = \"federal\"\nurl = \"http://127.0.0.1:1/ws\"\ntrusted_signers = [\"absent.crt\"]\n";
    let wrong = upstream.replace("http:", "ftp:");
    let text = place.configuration("\"nowhere\"", "\"127.0.0.1:0\"") + upstream + &wrong;
    place.write("gateway.toml", &text);
    std::fs::remove_file(place.path("gateway.crt")).unwrap();
    let done = place.operate(&["check"]);
    assert_eq!(done.code, Some(1));
    for expected in [
        "gateway.toml:7: keys.certificate: ",
        "gateway.toml:10: smev3.listen: \"nowhere\"",
        "gateway.toml:21: upstream[1].trusted_signers[1]: absent.crt: ",
        "gateway.toml:23: upstream[2].name: there is an upstream federal already",
        "gateway.toml:24: upstream[2].url: ",
        "gateway.toml:25: upstream[2].trusted_signers[1]: absent.crt: ",
    ] {
        assert!(done.stdout.contains(expected), "{expected}\n{}", done.stdout);
    }
}

#[test]
fn check_finds_what_does_not_fit_together() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let text = place.configuration("\"127.0.0.1:7501\"", "\"127.0.0.1:7501\"")
        .replace("[limits]\n", "tls = { certificate = \"gateway.key\", private_key = \"gateway.key\" }\n[limits]\nbody_bytes = \"4 MiB\"\nin_flight_bytes = \"7 MiB\"\n")
        .replace("\"10 MB\"", "\"9000000 TB\"");
    place.write("gateway.toml", &text);
    std::fs::set_permissions(place.path("gateway.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let done = place.operate(&["check"]);
    for expected in [
        "smev3.tls.certificate: gateway.key: there is no certificate in it",
        "limits.in_flight_bytes: must be at least",
        "limits.attachments_bytes: ",
        "limits.disk_reserve: ",
        "admin.listen: 127.0.0.1:7501: is the address of smev3.listen too",
        "keys.private_key: ",
        "has mode 0640",
    ] {
        assert!(done.stdout.contains(expected), "{expected}\n{}", done.stdout);
    }
}

#[test]
fn the_installed_configuration_is_valid_and_shows_the_defaults() {
    let text = include_str!("../../../../config/gateway.toml");
    let place = Place::empty();
    place.write("gateway.toml", text);
    // Its keys and data are not there; the configuration itself is fine.
    let done = place.operate(&["check"]);
    assert!(
        done.stdout.contains("ok       gateway.toml: configuration"),
        "{}",
        done.stdout
    );
    // With everything uncommented it must be valid too: what is commented out are examples that work.
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest)
            if rest.starts_with('[')
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.trim_end().contains(' ')) =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    place.write(
        "gateway.toml",
        &text.lines().map(uncomment).collect::<Vec<_>>().join("\n"),
    );
    let done = place.operate(&["check"]);
    assert!(
        done.stdout.contains("ok       gateway.toml: configuration"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains("federal.crt"),
        "the upstream was read: {}",
        done.stdout
    );
}

#[test]
fn rules_of_retention_are_read_with_their_faults_and_checked_against_the_registry() {
    let place = Place::new();
    let good = crate::place::read(&place.path("gateway.toml"));
    place.write(
        "gateway.toml",
        &format!(
            "{good}\n[retention]\njournal = \"1000d\"\n[[retention.rule]]\nbodies = \"1d\"\n[[retention.rule]]\nkind = \"gpzu\"\n"
        ),
    );
    let stderr = place.operate(&["queue", "list"]).fails(1);
    for expected in [
        "retention.journal: must be at least \"1095d\"",
        "retention.rule[1].bodies: name a kind or a participant",
        "retention.rule[2].bodies: is missing",
    ] {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    place.write(
        "gateway.toml",
        &format!("{good}\n[[retention.rule]]\nkind = \"nosuch\"\nparticipant = \"NOBODY\"\nbodies = \"90d\"\n"),
    );
    let found = place.operate(&["check"]).stdout;
    for expected in ["nosuch is not registered", "NOBODY is not registered"] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
}
