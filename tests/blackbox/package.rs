//! The Debian package as an administrator meets it: installed in a clean system, set up, run, upgraded, removed, purged.
//!
//! Runs where `packaging/test` has made a system for it (`RSMEV_PACKAGE_ROOT`, a folder to change the root to) and named
//! two packages (`RSMEV_PACKAGE_PREVIOUS`, `RSMEV_PACKAGE`, as that system sees them); says SKIPPED elsewhere. No systemd
//! runs there: the service is started by what its unit says.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::{
    CONSUMER, EGRN, GATEWAY, PROVIDER, SOON, SPRAVKA, answered_text, bus, echo, eventually, identity, request, send,
    take_response,
};
use emulator::{Clock, Emulator, Identity, Participant, Version};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// The unit of the service, as it is installed.
const UNIT: &str = "lib/systemd/system/rsmev.service";
/// Where its keys are put in place of systemd.
const CREDENTIALS: &str = "/run/credentials/rsmev.service";

/// A system of its own, below a folder.
struct System {
    root: PathBuf,
}

impl System {
    fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    fn command(&self, program: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new("chroot");
        command
            .arg(&self.root)
            .arg(program)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program, which must succeed: its standard output.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        done(&self.command(program, arguments).output().unwrap(), program, arguments)
    }

    fn rsmev(&self, arguments: &[&str]) -> String {
        self.run("/usr/bin/rsmev", arguments)
    }

    fn install(&self, package: &str) {
        self.run("apt-get", &["install", "-y", "-q", "--allow-downgrades", package]);
    }

    fn installed_version(&self) -> String {
        self.run("dpkg-query", &["-W", "-f=${Version}", "rsmev-gateway"])
    }

    fn read(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap()
    }

    /// Owner's name, group's name and mode.
    fn rights(&self, inside: &str) -> String {
        self.run("stat", &["-c", "%U:%G %a", inside]).trim().to_owned()
    }
}

fn done(output: &Output, program: &str, arguments: &[&str]) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{out}\n{err}",
        output.status
    );
    out
}

/// A setting of the unit.
fn unit(system: &System, key: &str) -> String {
    let text = system.read(UNIT);
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("the unit has no {key}")).to_owned()
}

/// Starts the service as its unit says: as its user, with its keys handed over, after its check.
async fn start(system: &System) -> Child {
    let user = unit(system, "User");
    assert_eq!(unit(system, "LoadCredential"), "keys:/etc/rsmev/keys");
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
    system.run("install", &["-d", "-o", &user, "-g", &user, "-m", "750", "/run/rsmev"]);
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
    let check = command(&unit(system, "ExecStartPre"));
    system.run("setpriv", &check.iter().map(String::as_str).collect::<Vec<_>>());
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(system.path("/tmp/service.log"))
        .unwrap();
    let serve = command(&unit(system, "ExecStart"));
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

/// The region around the installed gateway.
struct Region {
    bus: Emulator,
    consumer: Participant,
    provider: Participant,
}

/// The bus, and the files that name it and the participants in the system's `/root`.
async fn region(system: &System, door: SocketAddr) -> Region {
    let (key, certificate) = ("/etc/rsmev/keys/gateway.key", "/etc/rsmev/keys/gateway.crt");
    let gateway = Identity::from_pem(GATEWAY, &system.read(key), &system.read(certificate)).unwrap();
    let bus = bus(&gateway, Clock::default()).await;
    let (consumer, provider) = (identity(CONSUMER), identity(PROVIDER));
    let write = |file: &str, text: &str| std::fs::write(system.path("/root").join(file), text).unwrap();
    write("bus.crt", &bus.certificate().to_pem());
    write("consumer.crt", &consumer.certificate().to_pem());
    write("provider.crt", &provider.certificate().to_pem());
    let registry = format!(
        r#"
participant = [
    {{ mnemonic = "{CONSUMER}", name = "Администрация", certificates = ["consumer.crt"] }},
    {{ mnemonic = "{PROVIDER}", name = "ГИСОГД", certificates = ["provider.crt"] }},
]
kind = [
    {{ name = "spravka", namespace = "{SPRAVKA}", request = "Request", response = "Response" }},
    {{ name = "egrn", namespace = "{EGRN}", request = "Request", response = "Response" }},
]
grant = [
    {{ participant = "{CONSUMER}", kind = "spravka", may = ["request"] }},
    {{ participant = "{PROVIDER}", kind = "spravka", may = ["provide"] }},
    {{ participant = "{CONSUMER}", kind = "egrn", may = ["request"] }},
    {{ upstream = "federal", kind = "egrn", may = ["provide"] }},
]
route = [
    {{ kind = "spravka", to = "{PROVIDER}" }},
    {{ kind = "egrn", upstream = "federal" }},
]
"#
    );
    write("region.toml", &registry);
    let url = format!("http://{door}/smev/v1.2/ws");
    let known = gateway.certificate();
    let system = |identity| Participant::new(identity, Version::V1_2, &url, known.clone()).unwrap();
    Region {
        bus,
        consumer: system(consumer),
        provider: system(provider),
    }
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
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
    let system = System {
        root: PathBuf::from(root),
    };
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

    // The upgrade lets the old program run until the service is restarted.
    let before = system.installed_version();
    system.install(&package);
    assert_ne!(system.installed_version(), before);
    stop(service).await;
    let service = start(&system).await;
    assert_eq!(echo(&region.provider).await, waiting, "what waited was delivered");
    take_response(&region.consumer).await;
    assert!(system.rsmev(&["trace", &waiting]).contains(&waiting));
    stop(service).await;
    system.rsmev(&["journal", "verify"]);

    removed(&system, &package);
}

fn installed(system: &System, package: &str) {
    system.install(package);
    assert!(system.read("/etc/passwd").contains("\nrsmev:"), "an account was made");
    for role in ["operator", "registrar", "auditor"] {
        let group = format!("\nrsmev-{role}:");
        assert!(
            system.read("/etc/group").contains(&group),
            "the group of {role}s was made"
        );
    }
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
    for page in ["rsmev.1.gz", "rsmev-journal-verify.1.gz"] {
        assert!(system.path("/usr/share/man/man1").join(page).exists(), "{page}");
    }
    for file in ["prometheus/rsmev.rules.yml", "grafana/rsmev.json"] {
        assert!(system.path("/usr/share/rsmev").join(file).exists(), "{file}");
    }
    let executable = system.path("/usr/bin/rsmev").metadata().unwrap();
    assert!(executable.size() <= 20_000_000, "{} octets", executable.size());
    let check = system.command("/usr/bin/rsmev", &["check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1), "half a configuration is found");
}

fn set_up(system: &System, door: SocketAddr, admin: SocketAddr) {
    let (door, admin) = (door.to_string(), admin.to_string());
    let told = system.rsmev(&[
        "setup",
        "--yes",
        "--mnemonic",
        GATEWAY,
        "--test-key",
        "--listen",
        &door,
        "--admin-listen",
        &admin,
        "--public-url",
        "http://gateway.region:7500",
        "--no-upstream",
    ]);
    assert!(told.contains("the federal bus does not accept"), "{told}");
    assert_eq!(system.rights("/etc/rsmev/keys/gateway.key"), "root:root 600");
    assert_eq!(system.rights("/etc/rsmev/keys/master.key"), "root:root 600");
    let drop_in = system.read("/etc/systemd/system/rsmev.socket.d/listen.conf");
    assert!(drop_in.contains(&format!("ListenStream={door}")), "{drop_in}");
}

/// The upstream comes when the bus knows the gateway.
fn join(system: &System, region: &Region) {
    let url = region.bus.url(Version::V1_2);
    let told = system.rsmev(&[
        "setup",
        "--yes",
        "--upstream",
        &url,
        "--upstream-signer",
        "/root/bus.crt",
    ]);
    assert!(told.contains("it answers in"), "{told}");
    system.rsmev(&["check"]);
}

/// Exchange within the region and through the bus; the identifier of a request that still waits.
async fn exchange(system: &System, region: &Region) -> String {
    system.rsmev(&["registry", "apply", "/root/region.toml"]);
    send(&region.consumer, request(SPRAVKA, "в регионе")).await;
    echo(&region.provider).await;
    assert_eq!(answered_text(&take_response(&region.consumer).await), "в регионе");
    send(&region.consumer, request(EGRN, "в центр")).await;
    assert_eq!(answered_text(&take_response(&region.consumer).await), "в центр");
    send(&region.consumer, request(SPRAVKA, "переживёт обновление")).await
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
    done(&purged, "apt-get", &["purge"]);
    assert!(!there("/var/lib/rsmev"), "nothing is left");
    assert!(Path::new(&system.root).exists());
}
