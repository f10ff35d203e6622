//! A Debian of its own below a folder, and what is done in it.

use std::path::PathBuf;
use std::process::{Output, Stdio};

/// The unit of the service, as it is installed.
const UNIT: &str = "lib/systemd/system/rsmev.service";

/// A system of its own, below a folder.
pub(crate) struct System {
    root: PathBuf,
    /// The first process of a booted one; without it nothing runs there but what a command starts.
    leader: Option<u32>,
}

impl System {
    /// The system below a folder; `leader` is its first process if it was booted.
    pub(crate) fn new(root: PathBuf, leader: Option<u32>) -> Self {
        Self { root, leader }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = match self.leader {
            None => {
                let mut command = std::process::Command::new("chroot");
                command.arg(&self.root);
                command
            }
            Some(leader) => {
                let mut command = std::process::Command::new("nsenter");
                command.args([
                    "--target",
                    &leader.to_string(),
                    "--mount",
                    "--uts",
                    "--ipc",
                    "--pid",
                    "--cgroup",
                    "--",
                ]);
                command
            }
        };
        command
            .arg(program)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program, which must succeed: its standard output.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        done(&self.command(program, arguments).output().unwrap(), program, arguments)
    }

    pub(crate) fn rsmev(&self, arguments: &[&str]) -> String {
        self.run("/usr/bin/rsmev", arguments)
    }

    /// Installs a package, whatever version is there: what was told.
    pub(crate) fn install(&self, package: &str) -> String {
        let kept = "--option=Dpkg::Options::=--force-confold";
        self.run("apt-get", &["install", "-y", "-q", "--allow-downgrades", kept, package])
    }

    /// A setting of the service's unit, each time it is there.
    pub(crate) fn unit(&self, key: &str) -> Vec<String> {
        let text = self.read(UNIT);
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let found: Vec<_> = lines.map(str::to_owned).collect();
        assert!(!found.is_empty(), "the unit has no {key}");
        found
    }

    pub(crate) fn installed_version(&self) -> String {
        self.run("dpkg-query", &["-W", "-f=${Version}", "rsmev-gateway"])
    }

    pub(crate) fn read(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap()
    }

    /// Owner's name, group's name and mode.
    pub(crate) fn rights(&self, inside: &str) -> String {
        self.run("stat", &["-c", "%U:%G %a", inside]).trim().to_owned()
    }
}

pub(crate) fn done(output: &Output, program: &str, arguments: &[&str]) -> String {
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
