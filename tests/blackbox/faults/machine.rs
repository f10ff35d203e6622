//! Faults that a test makes for real.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Says that a test did not run, and why.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// A file system in memory of its own; gone with this.
#[derive(Debug)]
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one with options such as `size=300m`; none, with a word about it, where the test may not.
    pub(crate) fn mount(options: &str) -> Option<SmallDisk> {
        let dir = TempDir::with_prefix("rsmev-disk-").unwrap();
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"].map(OsStr::new);
        match run("mount", arguments.into_iter().chain([dir.path().as_os_str()])) {
            Ok(()) => Some(SmallDisk(dir)),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever is still open goes with its process.
        let arguments = [OsStr::new("-l"), self.path().as_os_str()];
        if let Err(why) = run("umount", arguments) {
            eprintln!("{why}");
        }
    }
}

/// Runs a tool of the system.
fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
