//! The Debian package as an administrator meets it: installed in a clean system, set up, run, upgraded, removed, purged.
//!
//! Runs where `packaging/test` has made a system for it (`RSMEV_PACKAGE_ROOT`, a folder to change the root to) and named
//! two packages (`RSMEV_PACKAGE_PREVIOUS`, `RSMEV_PACKAGE`, as that system sees them); says SKIPPED elsewhere. No systemd
//! runs there: the service is started by what its unit says. [`booted`] does it with one.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod booted;
#[path = "../common/mod.rs"]
mod common;
mod region;
mod system;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::{SOON, echo, eventually, take_response};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use region::{exchange, free_address, join, region, set_up};
use system::{System, done};

/// The header of the data.
const FORMAT: &str = "/var/lib/rsmev/FORMAT";
/// What a program before may have written there.
const OLDER: &str = "rsmev storage, format 4\n";
/// Where its keys are put in place of systemd.
const CREDENTIALS: &str = "/run/credentials/rsmev.service";

/// Starts the service as its unit says: as its user, with its keys handed over, after its check.
async fn start(system: &System) -> Child {
    let [user] = &system.unit("User")[..] else {
        panic!("one user")
    };
    assert_eq!(system.unit("LoadCredential"), ["keys:/etc/rsmev/keys"]);
    let credentials = system.path(CREDENTIALS);
    let _ = std::fs::remove_dir_all(&credentials);
    std::fs::create_dir_all(&credentials).unwrap();
    for key in std::fs::read_dir(system.path("/etc/rsmev/keys")).unwrap() {
        let key = key.unwrap();
        let copy = credentials.join(format!("keys_{}", key.file_name().to_str().unwrap()));
        std::fs::copy(key.path(), &copy).unwrap();
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o400)).unwrap();
    }
    system.run("chown", &["-R", &format!("{user}:{user}"), "/run/credentials"]);
    // RuntimeDirectory=
    system.run("install", &["-d", "-o", user, "-g", user, "-m", "750", "/run/rsmev"]);
    let as_user = [
        "--reuid",
        user.as_str(),
        "--regid",
        user.as_str(),
        "--init-groups",
        "env",
    ];
    let environment = format!("CREDENTIALS_DIRECTORY={CREDENTIALS}");
    let command = |line: &str| -> Vec<String> {
        let words = line.split_whitespace();
        let words = as_user.iter().copied().chain([environment.as_str()]).chain(words);
        words.map(str::to_owned).collect()
    };
    for before in system.unit("ExecStartPre") {
        system.run(
            "setpriv",
            &command(&before).iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(system.path("/tmp/service.log"))
        .unwrap();
    let serve = command(&system.unit("ExecStart")[0]);
    let serve: Vec<&str> = serve.iter().map(String::as_str).collect();
    let mut child = Command::from(system.command("setpriv", &serve))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually("the service answers its operator", async || {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}\n{}", system.read("/tmp/service.log"));
        system.path("/run/rsmev/admin.sock").exists().then_some(())
    })
    .await;
    child
}

async fn stop(mut child: Child) {
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let status = tokio::time::timeout(SOON, child.wait()).await;
    assert!(status.expect("an end within its time").unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn a_package_is_installed_set_up_run_upgraded_removed_and_purged() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(root), Some(previous), Some(package)) = (
        variable("RSMEV_PACKAGE_ROOT"),
        variable("RSMEV_PACKAGE_PREVIOUS"),
        variable("RSMEV_PACKAGE"),
    ) else {
        eprintln!("SKIPPED: the package is tested by packaging/test, which makes a system to install it in");
        return;
    };
    let system = System::new(PathBuf::from(root), None);
    installed(&system, &previous);
    let (door, admin) = (free_address(), free_address());
    set_up(&system, door, admin);
    let region = region(&system, door).await;
    join(&system, &region);
    let service = start(&system).await;
    let waiting = exchange(&system, &region).await;

    // What a person does beside the stopped service, as root, leaves it everything that it needs.
    stop(service).await;
    system.rsmev(&["registry", "apply", "/root/region.toml"]);
    let service = start(&system).await;

    // As if the program before had known an older format: there is no upgrade without a backup.
    let before = system.installed_version();
    let configuration = system.read("/etc/rsmev/gateway.toml");
    std::fs::write(system.path(FORMAT), OLDER).unwrap();
    let kept = "--option=Dpkg::Options::=--force-confold";
    let mut upgrade = system.command("apt-get", &["install", "-y", "-q", kept, &package]);
    let refused = upgrade.env("RSMEV_BACKUP_DIR", "/missing/folder").output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(system.installed_version(), before);
    assert!(
        system.rsmev(&["queue", "list"]).contains("requests"),
        "the old program serves"
    );

    // The upgrade lets the old program run until the service is restarted.
    let told = system.install(&package);
    assert!(told.contains("making a backup in /var/backups/rsmev"), "{told}");
    assert_ne!(system.installed_version(), before);
    assert_eq!(system.read(FORMAT), OLDER);
    assert_eq!(
        system.read("/etc/rsmev/gateway.toml"),
        configuration,
        "the new package brings another one"
    );
    stop(service).await;
    let service = start(&system).await;
    assert_ne!(system.read(FORMAT), OLDER, "the new program raises it");
    assert_eq!(echo(&region.provider).await, waiting, "what waited was delivered");
    take_response(&region.consumer).await;
    assert!(system.rsmev(&["trace", &waiting]).contains(&waiting));
    stop(service).await;
    system.rsmev(&["journal", "verify"]);

    // Back, as docs/installation.md tells.
    let newer = "rsmev storage, format 4000\n";
    let raised = system.read(FORMAT);
    std::fs::write(system.path(FORMAT), newer).unwrap();
    let downgrade = ["install", "-y", "-q", "--allow-downgrades", &previous];
    let refused = system.command("apt-get", &downgrade).output().unwrap();
    assert!(!refused.status.success(), "the program before would not know the data");
    std::fs::write(system.path(FORMAT), raised).unwrap();
    system.run("mv", &["/var/lib/rsmev", "/var/lib/rsmev.aside"]);
    system.install(&previous);
    assert_eq!(system.installed_version(), before);
    assert_eq!(system.rights("/var/lib/rsmev"), "rsmev:rsmev 750");
    system.rsmev(&["backup", "restore", "/var/backups/rsmev"]);
    let service = start(&system).await;
    system.rsmev(&["backup", "resume-upstream", "--reason", "back to the version before"]);
    assert_eq!(
        echo(&region.provider).await,
        waiting,
        "it waited when the backup was made"
    );
    take_response(&region.consumer).await;
    stop(service).await;
    system.rsmev(&["journal", "verify"]);
    system.run("rm", &["-r", "/var/lib/rsmev.aside"]);
    let told = system.install(&package);
    assert!(!told.contains("making a backup"), "the format is the same: {told}");

    removed(&system, &package);
}

fn installed(system: &System, package: &str) {
    system.install(package);
    assert!(system.read("/etc/passwd").contains("\nrsmev:"), "an account was made");
    for (place, rights) in [
        ("/etc/rsmev/keys", "root:root 700"),
        ("/etc/rsmev/tls", "root:rsmev 750"),
        ("/var/lib/rsmev", "rsmev:rsmev 750"),
        ("/var/backups/rsmev", "rsmev:rsmev 750"),
        ("/etc/rsmev/gateway.toml", "root:root 644"),
        ("/usr/bin/rsmev", "root:root 755"),
    ] {
        assert_eq!(system.rights(place), rights, "{place}");
    }
    assert!(
        !system.path("/etc/rsmev/keys/gateway.key").exists(),
        "no key without a request"
    );
    assert!(
        !system
            .path("/etc/systemd/system/multi-user.target.wants/rsmev.service")
            .exists(),
        "a service that is not set up is not started"
    );
    for file in [
        "man/man1/rsmev.1.gz",
        "man/man1/rsmev-journal-verify.1.gz",
        "bash-completion/completions/rsmev",
        "zsh/vendor-completions/_rsmev",
        "fish/vendor_completions.d/rsmev.fish",
        "doc/rsmev-gateway/copyright",
        "doc/rsmev-gateway/docs/ru/operation.md.gz",
    ] {
        assert!(system.path("/usr/share").join(file).exists(), "{file}");
    }
    let conffiles = system.run("dpkg-query", &["-W", "-f=${Conffiles}", "rsmev-gateway"]);
    for file in ["/etc/rsmev/gateway.toml", "/etc/rsmev/examples/region.toml"] {
        assert!(conffiles.contains(file), "{conffiles}");
    }
    for file in ["prometheus/rsmev.rules.yml", "grafana/rsmev.json"] {
        assert!(system.path("/usr/share/rsmev").join(file).exists(), "{file}");
    }
    let size = system.run("dpkg-query", &["-W", "-f=${Installed-Size}", "rsmev-gateway"]);
    let size = size.trim().parse::<u64>().unwrap() * 1024;
    assert!(size <= 20_000_000, "{size} octets");
    let check = system.command("/usr/bin/rsmev", &["check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1), "half a configuration is found");
}

fn removed(system: &System, package: &str) {
    let configuration = system.read("/etc/rsmev/gateway.toml");
    let there = |inside: &str| system.path(inside).exists();
    system.run("apt-get", &["remove", "-y", "-q", "rsmev-gateway"]);
    assert!(!there("/usr/bin/rsmev"));
    assert_eq!(system.read("/etc/rsmev/gateway.toml"), configuration);
    assert!(there("/var/lib/rsmev/spool") && there("/etc/rsmev/keys/gateway.key"));

    system.run("apt-get", &["purge", "-y", "-q", "rsmev-gateway"]);
    assert!(!there("/etc/rsmev") && !there("/var/lib/rsmev/spool"));
    assert!(there("/var/lib/rsmev/journal"), "the journal is left");
    let left = system.path("/var/lib/rsmev/journal");
    let verified = std::process::Command::new(common::BINARY)
        .args(["journal", "verify", "--dir"])
        .arg(&left)
        .output();
    done(&verified.unwrap(), "journal verify", &[left.to_str().unwrap()]);

    system.install(package);
    let mut purge = system.command("apt-get", &["purge", "-y", "-q", "rsmev-gateway"]);
    let purged = purge.env("RSMEV_PURGE_JOURNAL", "yes").output().unwrap();
    let told = done(&purged, "apt-get", &["purge"]);
    assert!(!there("/var/lib/rsmev"), "nothing is left");
    assert!(told.contains("The backups in /var/backups/rsmev were left."), "{told}");
}
