//! Lines for journald: a datagram of fields for each (systemd, "Native Journal Protocol"), so that
//! `journalctl RSMEV_CODE=link-down` finds them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use super::form::{Text, said};
use super::line::{Line, escape};

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The form of lines that journald did not take: on standard error, which it reads too.
pub(super) const INSTEAD: Text = Text {
    priority: true,
    time: false,
    colours: false,
};

/// Octets of one value at most, so that a line fits into a datagram.
const VALUE_BYTES: usize = 8 << 10;

/// A journald that has no time for so long does not get the line.
const PATIENCE: Duration = Duration::from_secs(1);

/// The priority of syslog: 3 for an error to 7.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Whether standard error goes to journald: systemd says in `JOURNAL_STREAM` which file that is.
pub(super) fn is_standard_error() -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else {
        return false;
    };
    names(std::env::var_os("JOURNAL_STREAM").as_deref(), stat.st_dev, stat.st_ino)
}

fn names(stream: Option<&OsStr>, device: u64, inode: u64) -> bool {
    let numbers = stream.and_then(OsStr::to_str).and_then(|text| text.split_once(':'));
    numbers.is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// journald's socket.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Who is behind the path is looked up for each line: journald may be started anew.
    pub(super) fn new(socket: UnixDatagram, path: &Path) -> Self {
        // Without the bound a line waits as long as one on standard error would.
        let _ = socket.set_write_timeout(Some(PATIENCE));
        Self {
            socket,
            path: path.to_owned(),
        }
    }

    /// Sends a line.
    pub(super) fn send(&self, line: &Line) -> io::Result<()> {
        self.socket.send_to(datagram(line).as_bytes(), &self.path).map(drop)
    }
}

/// `NAME=value` lines. Values have no line ends of their own, because they are escaped.
fn datagram(line: &Line) -> String {
    let mut out = String::with_capacity(400);
    let mut text = String::new();
    said(line, &mut text);
    let _ = writeln!(out, "PRIORITY={}\nSYSLOG_IDENTIFIER=rsmev", priority(line.level));
    let _ = writeln!(out, "MESSAGE={}", bounded(&text));
    let _ = writeln!(out, "RSMEV_LEVEL={}\nRSMEV_TARGET={}", line.level, line.target);
    if let Some((file, number)) = line.place {
        let _ = writeln!(out, "CODE_FILE={file}\nCODE_LINE={number}");
    }
    if let Some(code) = &line.code {
        field("CODE", code, &mut out);
    }
    for (name, value) in &line.fields {
        field(name, value.text(), &mut out);
    }
    out
}

fn field(name: &str, value: &str, out: &mut String) {
    out.push_str("RSMEV_");
    let letters = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
        _ => '_',
    });
    out.extend(letters);
    out.push('=');
    let mut escaped = String::new();
    escape(bounded(value), &mut escaped);
    out.push_str(bounded(&escaped));
    out.push('\n');
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_journalds_when_device_and_inode_are() {
        for (stream, expected) in [
            (Some("8:42"), true),
            (Some("8:43"), false),
            (Some("9:42"), false),
            (Some("8"), false),
            (Some("a:b"), false),
            (None, false),
        ] {
            assert_eq!(names(stream.map(OsStr::new), 8, 42), expected, "{stream:?}");
        }
    }

    #[test]
    fn a_value_is_cut_between_characters() {
        let long = "ы".repeat(VALUE_BYTES);
        let cut = bounded(&long);
        assert_eq!(cut.len(), VALUE_BYTES);
        assert_eq!(bounded("short"), "short");
        let odd = format!("a{long}");
        assert_eq!(bounded(&odd).len(), VALUE_BYTES - 1);
    }
}
