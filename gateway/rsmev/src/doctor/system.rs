//! The program and the machine: versions, and what systemd says of the service.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use crate::build;

/// How long a program of the machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The version of sled that this program was built with; a test holds it against the lock file.
const SLED: &str = "0.34.7";
/// The service and what belongs to it.
const UNITS: [&str; 3] = ["rsmev.service", "rsmev-verify.timer", "rsmev-backup.timer"];
/// What is asked of each.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,MemoryMax,LimitNOFILE";

/// Versions of what there is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct System {
    /// This program.
    pub(crate) version: &'static str,
    /// Its commit.
    pub(crate) commit: &'static str,
    /// The storage library of the index.
    pub(crate) sled: &'static str,
    /// The kernel.
    pub(crate) kernel: Option<String>,
    /// The C library.
    pub(crate) libc: Option<String>,
    /// The distribution.
    pub(crate) distribution: Option<String>,
}

/// A unit of systemd.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Unit {
    /// Its name.
    pub(crate) name: String,
    /// What systemd says, by the names of its properties.
    pub(crate) properties: BTreeMap<String, String>,
}

impl Unit {
    /// A property; empty if it is not there.
    pub(crate) fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }
}

/// Looks at the machine.
pub(super) async fn system() -> System {
    System {
        version: build::VERSION,
        commit: build::COMMIT,
        sled: SLED,
        kernel: first_line("/proc/sys/kernel/osrelease"),
        libc: said("getconf", &["GNU_LIBC_VERSION"])
            .await
            .map(|text| text.trim().to_owned()),
        distribution: std::fs::read_to_string("/etc/os-release")
            .ok()
            .and_then(|text| pretty_name(&text)),
    }
}

/// The service and its timers; none where systemd does not run, or does not answer.
pub(super) async fn units() -> Vec<Unit> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let property = format!("--property={PROPERTIES}");
    let arguments: Vec<&str> = ["show", "--no-pager", &property].into_iter().chain(UNITS).collect();
    let said = said("systemctl", &arguments).await;
    said.map_or_else(Vec::new, |text| parse_units(&text))
}

/// What a program of the machine prints; `None` if it is not there, fails, or takes too long.
pub(crate) async fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

fn first_line(file: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// `systemctl show`: lines `Name=value`, an empty line between two units.
fn parse_units(text: &str) -> Vec<Unit> {
    let blocks = text.split("\n\n").map(|block| {
        let lines = block.lines().filter_map(|line| line.split_once('='));
        lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>()
    });
    blocks
        .filter_map(|mut properties| {
            let name = properties.remove("Id")?;
            Some(Unit { name, properties })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_sled_is_that_of_the_build() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let (_, after) = lock.split_once("name = \"sled\"\nversion = \"").unwrap();
        assert_eq!(after.split('"').next(), Some(SLED));
    }

    #[test]
    fn units_are_told_apart() {
        let text = "Id=rsmev.service\nActiveState=active\nMemoryMax=1000000000\n\nId=rsmev-backup.timer\nActiveState=inactive\n";
        let units = parse_units(text);
        let found: Vec<_> = units
            .iter()
            .map(|unit| {
                (
                    unit.name.as_str(),
                    unit.property("ActiveState"),
                    unit.property("MemoryMax"),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("rsmev.service", "active", "1000000000"),
                ("rsmev-backup.timer", "inactive", "")
            ]
        );
        assert_eq!(
            pretty_name("ID=debian\nPRETTY_NAME=\"Debian 12\"\n").as_deref(),
            Some("Debian 12")
        );
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_nothing() {
        assert_eq!(said("/nonexistent", &[]).await, None);
        assert_eq!(said("false", &[]).await, None);
        assert_eq!(said("echo", &["a"]).await.as_deref(), Some("a\n"));
    }
}
