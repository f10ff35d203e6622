//! The package under a systemd of its own: the unit with its sandbox, its limits, its watchdog and its pauses, timers, an upgrade
//! under load.
//!
//! Runs where `packaging/test` has made a second system (`RSMEV_PACKAGE_BOOT`) and a container can be booted with it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::common::callers::Callers;
use crate::common::{echo, eventually, within};
use crate::region::{Region, exchange, free_address, join, region, set_up};
use crate::system::System;

/// How long a system takes to boot at most, and a service to come back after pauses.
const BOOT: Duration = Duration::from_secs(240);
/// The unit.
const SERVICE: &str = "rsmev.service";
/// More connections than the door admits (`limits.connections`).
const CONNECTIONS: usize = 1100;
/// MemoryHigh= in KiB.
const MEMORY_HIGH: u64 = 768 << 10;

/// A booted container; it ends with this.
struct Machine {
    container: Child,
    leader: Pid,
    system: System,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The container does not end with the program that booted it. It may be down already.
        let _ = kill_process(self.leader, Signal::KILL);
    }
}

impl Machine {
    /// None if no container can be booted here.
    async fn boot(root: &Path) -> Option<Machine> {
        let log = File::create(root.with_extension("log")).unwrap();
        let mut container = Command::new("systemd-nspawn")
            .args([
                "--register=no",
                "--keep-unit",
                "--quiet",
                "--machine=rsmev-package",
                "--boot",
                "--directory",
            ])
            .arg(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let leader = within(BOOT, "the container has a first process", async || {
            if container.try_wait().unwrap().is_some() {
                return Some(None);
            }
            first_below(container.id()?).map(Some)
        })
        .await?;
        let system = System::new(root.to_owned(), Some(leader));
        within(BOOT, "the system is up", async || {
            let state = system.command("systemctl", &["is-system-running"]).output().unwrap();
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            ["running", "degraded"].contains(&state.as_str()).then_some(())
        })
        .await;
        let leader = Pid::from_raw(i32::try_from(leader).unwrap()).unwrap();
        Some(Machine {
            container,
            leader,
            system,
        })
    }

    async fn power_off(mut self) {
        // The command's own connection may be cut off.
        let _ = self.system.command("systemctl", &["poweroff"]).output();
        let ended = tokio::time::timeout(BOOT, self.container.wait()).await;
        assert!(ended.is_ok(), "the system goes down");
    }
}

/// The process below `parent` that is the first one of its own namespace.
fn first_below(parent: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let child: u32 = child.parse().ok()?;
        match status(child, "NSpid")?.split_whitespace().last() {
            Some("1") => Some(child),
            _ => first_below(child),
        }
    })
}

/// A line of `/proc/PID/status`.
fn status(process: u32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    found.map(|value| value.trim().to_owned())
}

impl System {
    fn systemctl(&self, arguments: &[&str]) -> String {
        self.run("systemctl", arguments)
    }

    fn property(&self, name: &str) -> String {
        let shown = self.systemctl(&["show", "--property", name, "--value", SERVICE]);
        shown.trim().to_owned()
    }

    fn main_process(&self) -> String {
        self.property("MainPID")
    }

    fn is_active(&self) -> bool {
        self.property("ActiveState") == "active"
    }

    async fn comes_back(&self, after: &str, before: &str) {
        within(BOOT, after, async || {
            (self.is_active() && self.main_process() != before).then_some(())
        })
        .await;
    }

    fn inside(&self, file: &str) -> String {
        self.run("cat", &[file])
    }

    fn journal(&self) -> String {
        self.run("journalctl", &["--unit", SERVICE, "--output", "cat", "--no-pager"])
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn a_package_lives_under_systemd() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(root), Some(previous), Some(package)) = (
        variable("RSMEV_PACKAGE_BOOT"),
        variable("RSMEV_PACKAGE_PREVIOUS"),
        variable("RSMEV_PACKAGE"),
    ) else {
        eprintln!("SKIPPED: packaging/test makes a system to boot");
        return;
    };
    let Some(machine) = Machine::boot(&PathBuf::from(root)).await else {
        eprintln!("SKIPPED: no container can be booted on this machine");
        return;
    };
    let system = &machine.system;
    system.install(&previous);
    assert!(!system.is_active(), "a service that is not set up is not started");
    let (door, admin) = (free_address(), free_address());
    set_up(system, door, admin);
    let region = region(system, door).await;
    join(system, &region);
    system.systemctl(&["enable", "--now", "rsmev.socket", SERVICE]);
    assert!(system.is_active());
    let waiting = exchange(system, &region).await;

    is_confined_and_bounded(system, &region, door).await;
    upgrades_under_load(system, &region, &package).await;
    assert_eq!(echo(&region.provider).await, waiting, "what waited was delivered");
    timers_do_their_work(system);
    comes_back_by_itself(system).await;

    system.run("apt-get", &["remove", "-y", "-q", "rsmev-gateway"]);
    assert!(!system.is_active());
    system.run("apt-get", &["purge", "-y", "-q", "rsmev-gateway"]);
    let left = system.systemctl(&["list-unit-files", "--no-legend"]);
    assert!(!left.contains("rsmev"), "{left}");
    machine.power_off().await;
}

/// No right but those of the unit, and the limits that the unit states.
async fn is_confined_and_bounded(system: &System, region: &Region, door: SocketAddr) {
    let process = system.main_process();
    let told = system.inside(&format!("/proc/{process}/status"));
    let line = |key: &str| {
        let found = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("{key}: {told}")).trim().to_owned()
    };
    assert_eq!(line("NoNewPrivs"), "1");
    assert_eq!(line("Seccomp"), "2", "system calls are filtered");
    assert_eq!(
        [line("CapEff"), line("CapBnd"), line("CapAmb")],
        ["0"; 3].map(|_| "0".repeat(16))
    );
    assert_ne!(line("Uid").split_whitespace().next(), Some("0"));
    let limits = system.inside(&format!("/proc/{process}/limits"));
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(
        files.split_whitespace().filter(|word| *word == "16384").count() == 2,
        "{files}"
    );
    assert_eq!(system.property("MemoryMax"), (1_u64 << 30).to_string());
    assert_eq!(system.property("MemoryHigh"), (MEMORY_HIGH << 10).to_string());

    // More connections than it admits: it stays within its limits, and answers who is connected.
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(TcpStream::connect(door).await.unwrap());
    }
    let open = system.run("sh", &["-c", "ls /proc/$1/fd | wc -l", "sh", &process]);
    let open: usize = open.trim().parse().unwrap();
    assert!(open < 16_384, "{open} descriptors");
    drop(connections);
    eventually("calls are answered again", async || {
        let asked = region.consumer.get_response(&emulator::Selector::any()).await;
        asked.is_ok().then_some(())
    })
    .await;
    let told = system.inside(&format!("/proc/{process}/status"));
    let peak = told.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_HIGH, "{peak} KiB");
    assert_eq!(system.main_process(), process, "it was not restarted");
}

/// The package restarts the service behind its socket, and no caller notices.
#[allow(clippy::print_stderr, reason = "the figures of the run")]
async fn upgrades_under_load(system: &System, region: &Region, package: &str) {
    let before = system.main_process();
    let callers = Callers::start((0..4).map(|_| region.consumer.clone()));
    callers.more().await;
    let installing = {
        let mut install = Command::from(system.command(
            "apt-get",
            &[
                "install",
                "-y",
                "-q",
                "--option=Dpkg::Options::=--force-confold",
                package,
            ],
        ));
        install.output().await.unwrap()
    };
    assert!(
        installing.status.success(),
        "{}",
        String::from_utf8_lossy(&installing.stderr)
    );
    system.comes_back("the new program runs", &before).await;
    callers.more().await;
    let seen = callers.stop().await;
    eprintln!("an upgrade, {seen}");
    let queues = system.rsmev(&["queue", "list", "--output", "json"]);
    let queues: serde_json::Value = serde_json::from_str(&queues).unwrap();
    // One more was waiting before.
    assert_eq!(queues[0]["messages"].as_u64(), Some(seen.accepted + 1), "{queues}");
}

fn timers_do_their_work(system: &System) {
    for (service, timer) in [("rsmev-verify", true), ("rsmev-backup", false)] {
        // A unit that fails makes this fail.
        system.systemctl(&["start", &format!("{service}.service")]);
        let timer_state = system
            .command("systemctl", &["is-enabled", &format!("{service}.timer")])
            .output()
            .unwrap();
        let enabled = timer_state.stdout.starts_with(b"enabled");
        assert!(!enabled || timer, "{service}.timer is for the operator to enable");
    }
    system.rsmev(&["backup", "verify", "/var/backups/rsmev"]);
}

/// After a crash, after it hangs, and after a configuration that was wrong for a while.
async fn comes_back_by_itself(system: &System) {
    let before = system.main_process();
    system.systemctl(&["kill", "--kill-whom", "main", "--signal", "KILL", SERVICE]);
    system.comes_back("a killed service", &before).await;

    let drop_in = system.path("/etc/systemd/system/rsmev.service.d");
    std::fs::create_dir_all(&drop_in).unwrap();
    std::fs::write(drop_in.join("impatient.conf"), "[Service]\nWatchdogSec=5s\n").unwrap();
    system.systemctl(&["daemon-reload"]);
    system.systemctl(&["restart", SERVICE]);
    let before = system.main_process();
    system.systemctl(&["kill", "--kill-whom", "main", "--signal", "STOP", SERVICE]);
    system.comes_back("a service that hangs", &before).await;
    assert!(system.journal().contains("Watchdog timeout"), "{}", system.journal());
    let by_code = system.run(
        "journalctl",
        &["RSMEV_CODE=message-accepted", "--output", "cat", "--no-pager"],
    );
    assert!(by_code.contains("accepted"), "the log has fields: {by_code}");

    let file = system.path("/etc/rsmev/gateway.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("wrong = true\n{right}")).unwrap();
    let before = system.main_process();
    let restarted = system.command("systemctl", &["restart", SERVICE]).output().unwrap();
    assert!(!restarted.status.success(), "the check refuses the configuration");
    within(BOOT, "a pause", async || {
        system
            .journal()
            .contains("3 failures in a row: waiting for 10 s")
            .then_some(())
    })
    .await;
    std::fs::write(&file, right).unwrap();
    system
        .comes_back("a service whose configuration was mended", &before)
        .await;
}
