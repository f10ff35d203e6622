//! The server's processor time and memory, from `/proc`.

use std::fs;
use std::time::Duration;

/// Clock ticks in a second, as Linux shows them to programs on every architecture it runs on.
const TICKS: u32 = 100;

/// A process that is watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pid: u32,
}

/// What it has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time together.
    pub(crate) cpu: Duration,
    /// Octets in memory now.
    pub(crate) rss: u64,
    /// The most octets in memory ever.
    pub(crate) peak_rss: u64,
}

impl Server {
    pub(crate) fn new(pid: u32) -> Server {
        Server { pid }
    }

    /// Its usage; nothing when it has ended.
    pub(crate) fn usage(self) -> Option<Usage> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The name, in parentheses, may have spaces; what follows has none (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u32 = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        Some(Usage {
            cpu: Duration::from_secs(1) * ticks / TICKS,
            rss: kilobytes(&status, "VmRSS:"),
            peak_rss: kilobytes(&status, "VmHWM:"),
        })
    }
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let usage = Server::new(std::process::id()).usage().unwrap();
        assert!(usage.rss > 100_000 && usage.peak_rss >= usage.rss, "{usage:?}");
        assert!(Server::new(u32::MAX).usage().is_none());
    }
}
