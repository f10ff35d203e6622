//! At a terminal a command that changes something asks first; elsewhere it goes on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::place::Place;

/// A terminal: the end of the person, and that of a program.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the machine has terminals");
    grantpt(&person).expect("it is ours");
    unlockpt(&person).expect("it is ours");
    let name = ptsname(&person, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("names of terminals are ASCII");
    let program = File::options().read(true).write(true).open(name).expect("it is ours");
    (File::from(person), program)
}

/// Runs a command whose standard input and standard error are a terminal, at which a person types `answer`: its exit code, and
/// what is to be seen.
fn at_a_terminal(place: &Place, arguments: &[&str], answer: &str) -> (Option<i32>, String) {
    let (mut person, program) = terminal();
    let mut all = vec!["--config", "gateway.toml"];
    all.extend(arguments);
    let mut command = place.prepare(&all);
    let end = || Stdio::from(OwnedFd::from(program.try_clone().expect("a descriptor")));
    let child = command.stdin(end()).stdout(Stdio::piped()).stderr(end()).spawn();
    let child = child.expect("the executable runs");
    // The child alone holds its end now, so that reading ends with it.
    drop((command, program));
    person.write_all(answer.as_bytes()).expect("the terminal takes it");
    let mut seen = Vec::new();
    let mut part = [0; 1024];
    // Linux tells the end of a terminal as an error.
    while let Ok(count @ 1..) = person.read(&mut part) {
        seen.extend_from_slice(&part[..count]);
    }
    let code = child.wait_with_output().expect("it is our child").status.code();
    (code, String::from_utf8(seen).expect("UTF-8"))
}

#[test]
fn a_person_is_asked_and_a_script_is_not() {
    let place = Place::new();
    place.write(
        "registry.toml",
        "[[participant]]\nmnemonic = \"MUN001\"\nname = \"A\"\ncertificates = [\"gateway.crt\"]\n",
    );
    let apply = ["registry", "apply", "registry.toml"];
    let there = || place.operate(&["registry", "show"]).ok().contains("MUN001");

    let (code, seen) = at_a_terminal(&place, &apply, "n\n");
    assert_eq!(code, Some(1), "{seen}");
    for expected in [
        "This will add 1 item, change 0 and remove 0 in the registry",
        "Go on? [y/N]",
        "nothing was changed",
    ] {
        assert!(seen.contains(expected), "{expected}: {seen}");
    }
    assert!(!there());
    let (code, seen) = at_a_terminal(&place, &apply, "\n");
    assert_eq!((code, there()), (Some(1), false), "{seen}");
    let (code, seen) = at_a_terminal(&place, &apply, "да\n");
    assert_eq!((code, there()), (Some(0), true), "{seen}");

    let suspend = ["participant", "suspend", "MUN001", "--reason", "x"];
    let (code, seen) = at_a_terminal(&place, &[&suspend[..], &["--yes"]].concat(), "");
    assert!(code == Some(0) && !seen.contains("Go on?"), "{seen}");
    // Of a stopped gateway nothing is opened before the yes: opening it begins a session in the journal.
    let records = || place.operate(&["journal", "export"]).ok();
    let before = records();
    let resume = ["participant", "resume", "MUN001"];
    for command in [&resume[..], &["backup", "resume-upstream", "--reason", "x"]] {
        let (code, seen) = at_a_terminal(&place, command, "n\n");
        assert!(code == Some(1) && seen.contains("nothing was changed"), "{seen}");
        assert_eq!(records(), before);
    }
    // Neither end is a terminal.
    place.operate(&resume).ok();
    assert_ne!(records(), before);
    place.operate(&suspend).ok();
}

#[test]
fn every_command_that_changes_something_says_what_it_will_do() {
    let place = Place::new();
    place.write(
        "registry.toml",
        "[[participant]]\nmnemonic = \"MUN001\"\nname = \"A\"\ncertificates = [\"gateway.crt\"]\n",
    );
    place.operate(&["registry", "apply", "registry.toml"]).ok();
    place.operate(&["keys", "master", "new", "new.key"]).ok();
    let gateway = place.serve(&[]);
    let id = "0f2b6c1e-5d7a-11f0-9a3c-0242ac120002";
    let reason = ["--reason", "because"];
    let with_reason = |command: &[&'static str]| [command, &reason[..]].concat();
    let commands = [
        (vec!["quarantine", "retry", id], "try 1 message in quarantine again"),
        (
            with_reason(&["quarantine", "reject", id]),
            "reject 1 message in quarantine for good",
        ),
        (with_reason(&["journal", "acknowledge"]), "its cut is known"),
        (
            with_reason(&["retention", "propose", "--before", "2020-01-01"]),
            "propose to destroy",
        ),
        (vec!["retention", "approve", "7"], "approve proposal 7"),
        (with_reason(&["retention", "reject", "7"]), "close proposal 7"),
        (with_reason(&["retention", "withdraw", "7"]), "close proposal 7"),
        (
            with_reason(&["backup", "resume-upstream"]),
            "let 0 messages go to upstreams",
        ),
        (
            vec!["clock", "accept", "2026-01-01T00:00:00Z"],
            "go by the machine's clock",
        ),
        (
            vec!["keys", "master", "rotate", "--to", "new.key"],
            "wrap the gateway's data keys",
        ),
        (
            with_reason(&["participant", "suspend", "MUN001"]),
            "refuse all calls of MUN001",
        ),
        (
            vec!["participant", "resume", "MUN001"],
            "answer the calls of MUN001 again",
        ),
        (
            with_reason(&["queue", "pause", "MUN001/requests"]),
            "hand nothing out of MUN001/requests",
        ),
        (
            vec!["queue", "resume", "MUN001/requests"],
            "let the 0 messages of MUN001/requests go again",
        ),
    ];
    for (command, will) in commands {
        let (code, seen) = at_a_terminal(&place, &command, "no\n");
        assert_eq!(code, Some(1), "{command:?}: {seen}");
        for expected in ["This will ", will, "not confirmed; nothing was changed"] {
            assert!(seen.contains(expected), "{command:?}: {expected}: {seen}");
        }
    }
    std::fs::create_dir(place.path("backups")).expect("the folder is ours");
    place.operate(&["backup", "create", "backups"]).ok();
    assert_eq!(gateway.stop(), Some(0));
    std::fs::create_dir(place.path("restored")).expect("the folder is ours");
    let restore = ["backup", "restore", "backups", "--data-dir", "restored"];
    for (command, will) in [
        (&["index", "rebuild"][..], "throw the index"),
        (&restore, "restored with Backup 1"),
    ] {
        let (code, seen) = at_a_terminal(&place, command, "no\n");
        assert_eq!(code, Some(1), "{command:?}: {seen}");
        assert!(
            seen.contains("This will ") && seen.contains(will),
            "{command:?}: {seen}"
        );
    }
}
