//! Two people destroy the beginning of the journal.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::place::{Done, Place};

/// Two accounts of one group that every machine has, sync and nobody, another one, bin, and a number without one.
const ANNA: u32 = 4;
const BORIS: u32 = 65_534;
const STRANGER: u32 = 2;
const NOBODY_KNOWN: u32 = 54_321;
/// Their group, which the admin socket gets from its folder.
const GROUP: u32 = 65_534;

/// Runs a command under the socket's group.
fn run_as(uid: u32, place: &Place, arguments: &[&str]) -> Done {
    let mut all = vec!["--config", "gateway.toml"];
    all.extend(arguments);
    let mut command = place.prepare(&all);
    command.uid(uid).gid(GROUP);
    command.output().expect("the executable runs").into()
}

#[test]
fn the_beginning_of_the_journal_goes_by_an_act_of_two_people_and_the_rest_verifies() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can act as two people");
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.path("."), None, Some(GROUP)).expect("we are root");
    std::fs::set_permissions(place.path("."), std::fs::Permissions::from_mode(0o2755)).expect("the folder is ours");
    let configuration = crate::place::read(&place.path("gateway.toml"));
    place.write(
        "gateway.toml",
        &format!("{configuration}\n[archive]\ncommand = [\"/bin/true\"]\nseal_after = \"1s\"\n"),
    );
    for _ in 0..2 {
        let mut gateway = place.serve(&["--test-clock", "2020-01-01T00:00:00Z"]);
        gateway.wait_for("the archive has a segment");
        assert_eq!(gateway.stop(), Some(0));
    }
    let mut gateway = place.serve(&["--test-clock", "2024-06-01T00:00:00Z"]);
    place.operate(&["clock", "accept", "2024-06-01T00:00:00Z"]).ok();
    gateway.wait_for("the archive has a segment");
    let propose = |before: &str| {
        let arguments = ["retention", "propose", "--before", before, "--reason", "term is over"];
        run_as(ANNA, &place, &arguments)
    };
    let young = propose("2023-06-01").fails(1);
    assert!(young.contains("retention.journal"), "{young}");
    let proposed = propose("2021-01-01").ok();
    let id = proposed
        .split([' ', ':'])
        .nth(1)
        .expect("the number is named")
        .to_owned();
    let approve = |uid: u32, id: &str| run_as(uid, &place, &["retention", "approve", id]);
    let alone = approve(ANNA, &id).fails(1);
    assert!(alone.contains("somebody else"), "{alone}");
    let root = approve(0, &id).fails(1);
    assert!(root.contains("no person"), "{root}");
    // The group that a process runs under makes nobody an administrator; the accounts say who is.
    for nobody in [NOBODY_KNOWN, STRANGER] {
        let refused = approve(nobody, &id).fails(1);
        assert!(refused.contains("you may not administer"), "{refused}");
    }
    let rejected = run_as(BORIS, &place, &["retention", "reject", &id, "--reason", "not yet"]).ok();
    assert!(rejected.contains("is closed"), "{rejected}");

    let proposed = propose("2021-01-01").ok();
    let id = proposed
        .split([' ', ':'])
        .nth(1)
        .expect("the number is named")
        .to_owned();
    approve(BORIS, &id).ok();
    gateway.wait_for("journal segments were destroyed");
    let shown = place.operate(&["retention", "show"]).ok();
    assert!(
        shown.contains("destroyed; approved by") && shown.contains("rejected by"),
        "{shown}"
    );
    let verified = place.operate(&["journal", "verify"]).ok();
    assert!(verified.contains("was destroyed by an act of"), "{verified}");
    assert_eq!(gateway.stop(), Some(0));

    let late = place.operate(&["retention", "approve", &id]).fails(1);
    assert!(late.contains("not running"), "{late}");
    place.operate(&["index", "rebuild"]).ok();
    place.operate(&["journal", "verify"]).ok();
    place.operate(&["check"]).ok();
    assert_eq!(place.serve(&["--test-clock", "2024-06-02T00:00:00Z"]).stop(), Some(0));

    // What nobody agreed to is found.
    let mut left: Vec<_> = std::fs::read_dir(place.path("data/journal"))
        .expect("the folder is ours")
        .map(|entry| entry.expect("the folder is ours").path())
        .collect();
    left.sort();
    std::fs::remove_file(&left[0]).expect("the file is ours");
    let missing = place.operate(&["journal", "verify"]).fails(1);
    assert!(missing.contains("no act of two people"), "{missing}");
}
