//! What somebody may do at the admin socket follows from Unix groups.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::place::{Done, Place, read};

/// An account in the socket's group that every machine has: nobody.
const ANNA: u32 = 65_534;
/// Its group, which the admin socket gets from its folder.
const GROUP: u32 = 65_534;

fn as_anna(place: &Place, arguments: &[&str]) -> Done {
    let mut all = vec!["--config", "gateway.toml"];
    all.extend(arguments);
    let mut command = place.prepare(&all);
    command.uid(ANNA).gid(GROUP);
    command.output().expect("the executable runs").into()
}

/// The name of the group of ANNA's account.
fn her_group() -> String {
    let groups = read("/etc/group".as_ref());
    let line = groups.lines().find(|line| line.split(':').nth(2) == Some("65534"));
    let name = line.and_then(|line| line.split(':').next());
    name.expect("every machine has the group of nobody").to_owned()
}

/// What each role is for: a look, an operator's and a registrar's command. The last two end with 1 for those who may give
/// them, too, with words of their own.
const LOOK: &[&str] = &["queue", "list"];
const OPERATE: &[&str] = &["journal", "acknowledge", "--reason", "known"];
const REGISTER: &[&str] = &["registry", "apply", "registry.toml"];

#[test]
fn groups_give_roles_and_a_refusal_names_what_is_missing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can act as somebody else");
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.path("."), None, Some(GROUP)).expect("we are root");
    std::fs::set_permissions(place.path("."), std::fs::Permissions::from_mode(0o2755)).expect("the folder is ours");
    let configuration = read(&place.path("gateway.toml"));
    let nowhere = "there-is-no-such-group";
    let under = |operator: &str, registrar: &str, auditor: &str| {
        let roles =
            format!("roles = {{ operator = \"{operator}\", registrar = \"{registrar}\", auditor = \"{auditor}\" }}\n");
        place.write("gateway.toml", &format!("{configuration}{roles}"));
    };
    place.write(
        "registry.toml",
        "[[participant]]\nmnemonic = \"MUN001\"\nname = \"A\"\ncertificates = [\"gateway.crt\"]\n",
    );
    let hers = her_group();
    let denied = |arguments: &[&str], role: &str, group: &str| {
        let told = as_anna(&place, arguments).fails(1);
        let expected = format!("this needs the role {role}, which members of the group {group} have");
        assert!(told.contains(&expected), "{told}");
    };
    let operates = || {
        let told = as_anna(&place, OPERATE).fails(1);
        assert!(told.contains("no cut to take note of"), "{told}");
    };

    under(&hers, "root", nowhere);
    let gateway = place.serve(&[]);
    as_anna(&place, LOOK).ok();
    operates();
    denied(REGISTER, "registrar", "root");
    place.operate(REGISTER).ok();
    let log = gateway.log();
    let line = log
        .lines()
        .find(|line| line.contains("refused a request"))
        .expect("a refusal is logged");
    assert!(
        line.contains("registry_apply") && line.contains("registrar") && line.contains("65534"),
        "{line}"
    );
    let checked = as_anna(&place, &["check"]).stdout;
    let absent = format!("admin.roles.auditor: there is no group {nowhere}");
    assert!(checked.contains(&absent), "{checked}");
    assert_eq!(gateway.stop(), Some(0));

    under("root", &hers, nowhere);
    let gateway = place.serve(&[]);
    as_anna(&place, LOOK).ok();
    as_anna(&place, REGISTER).ok();
    denied(OPERATE, "operator", "root");
    let propose = ["retention", "propose", "--before", "2020-01-01", "--reason", "x"];
    denied(&propose, "operator", "root");
    assert_eq!(gateway.stop(), Some(0));

    under("root", "root", &hers);
    let gateway = place.serve(&[]);
    for look in [
        LOOK,
        &["registry", "show"],
        &["quarantine", "list"],
        &["retention", "show"],
    ] {
        as_anna(&place, look).ok();
    }
    denied(OPERATE, "operator", "root");
    denied(REGISTER, "registrar", "root");
    assert_eq!(gateway.stop(), Some(0));

    under("root", "root", "root");
    let gateway = place.serve(&[]);
    let told = as_anna(&place, LOOK).fails(1);
    assert!(told.contains("you have no role at this gateway"), "{told}");
    denied(OPERATE, "operator", "root");
    assert_eq!(gateway.stop(), Some(0));

    // Names that no group has open nothing.
    under(nowhere, "nor-this", "nor-that");
    let mut gateway = place.serve(&[]);
    let told = as_anna(&place, LOOK).fails(1);
    assert!(told.contains("you have no role at this gateway"), "{told}");
    place.operate(LOOK).ok();
    let checked = as_anna(&place, &["check"]).stdout;
    let warned = |role: &str| checked.contains(&format!("only root has the role {role}"));
    assert!(
        ["operator", "registrar", "auditor"].into_iter().all(warned),
        "{checked}"
    );
    gateway.wait_for("admin-role-without-group");
    assert_eq!(gateway.stop(), Some(0));

    let groups = read("/etc/group".as_ref());
    if groups.lines().any(|line| line.starts_with("rsmev-")) {
        eprintln!("SKIPPED in part: this machine has groups of roles");
        return;
    }
    place.write("gateway.toml", &configuration);
    let gateway = place.serve(&[]);
    as_anna(&place, LOOK).ok();
    as_anna(&place, REGISTER).ok();
    operates();
    let checked = place.operate(&["check"]).ok();
    let note = checked.lines().find(|line| line.contains("may do everything"));
    assert!(note.is_some_and(|note| note.starts_with("note ")), "{checked}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_role_is_given_to_a_group_by_its_name() {
    let place = Place::new();
    let configuration = read(&place.path("gateway.toml"));
    place.write(
        "gateway.toml",
        &format!("{configuration}roles = {{ operator = \"\", registar = \"x\", auditor = \"a:b\" }}\n"),
    );
    let told = place.operate(&["queue", "list"]).fails(1);
    for expected in [
        "admin.roles.operator: must be the name of a group",
        "admin.roles.registar: unknown key; did you mean \"registrar\"?",
        "admin.roles.auditor: \"a:b\" is not the name of a group",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}
