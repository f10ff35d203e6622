//! What a process has of the system, and what it may have: read from `/proc` and the control group.

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

/// A process; what the system does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
    /// Files that it has open.
    pub(crate) open_files: Option<u64>,
    /// Files that it may have open; absent if there is no bound.
    pub(crate) max_files: Option<u64>,
    /// Octets of memory that it takes.
    pub(crate) resident_bytes: Option<u64>,
    /// Octets at which the system ends it (`MemoryMax` of its unit); absent if there is no bound.
    pub(crate) max_bytes: Option<u64>,
}

impl Process {
    /// This one.
    pub(crate) fn of_self() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self {
            pid: std::process::id(),
            open_files: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| files.count() as u64),
            max_files: getrlimit(Resource::Nofile).current,
            resident_bytes: resident(&status),
            max_bytes: unified(&group).and_then(|path| {
                let bound = std::fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.max")).ok()?;
                bound.trim().parse().ok()
            }),
        }
    }
}

/// `VmRSS:     1234 kB`
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The control group of the one hierarchy (`0::/system.slice/rsmev.service`).
fn unified(group: &str) -> Option<&str> {
    let path = group.lines().find_map(|line| line.strip_prefix("0::"))?.trim();
    (path != "/").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_files_are_understood() {
        assert_eq!(resident("VmPeak:\t  10 kB\nVmRSS:\t   88 kB\n"), Some(88 * 1024));
        assert_eq!(resident("VmRSS:\t many\n"), None);
        let unit = "/system.slice/rsmev.service";
        assert_eq!(unified(&format!("1:name=x:/\n0::{unit}\n")), Some(unit));
        assert_eq!(unified("0::/\n"), None);
    }

    #[test]
    fn this_process_has_files_open() {
        assert!(Process::of_self().open_files.unwrap() > 0);
    }
}
