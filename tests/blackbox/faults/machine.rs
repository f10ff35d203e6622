//! Faults that a test makes for real.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::Region;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

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

/// An ext4 file system in a file, which the system makes read-only after a fault; gone with this.
#[derive(Debug)]
pub(crate) struct FragileDisk(TempDir);

impl FragileDisk {
    /// Makes one of 1 GiB, of which only what is written takes space, and mounts it; none, with a word about it, where the test may
    /// not.
    pub(crate) fn mount() -> Option<FragileDisk> {
        let disk = FragileDisk(TempDir::with_prefix("rsmev-disk-").unwrap());
        std::fs::create_dir(disk.path()).unwrap();
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(1 << 30).unwrap();
        let made = run("mkfs.ext4", ["-q".as_ref(), disk.image().as_os_str()]).and_then(|()| disk.mount_again());
        match made {
            Ok(()) => Some(disk),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    /// Mounts what is not mounted; the file system makes good what was interrupted.
    pub(crate) fn mount_again(&self) -> Result<(), String> {
        let options = ["-o", "loop,errors=remount-ro"].map(OsStr::new);
        let places = [self.image(), self.path()];
        run(
            "mount",
            options.into_iter().chain(places.iter().map(|place| place.as_os_str())),
        )
    }

    /// What happens when the file system finds a fault in itself: it is read-only at once, for files that are open too.
    pub(crate) fn fail(&self) {
        let options = ["-o", "remount,abort"].map(OsStr::new);
        run("mount", options.into_iter().chain([self.path().as_os_str()])).unwrap();
    }

    pub(crate) fn unmount(&self) -> Result<(), String> {
        run("umount", [self.path().as_os_str()])
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.0.path().join("image")
    }
}

impl Drop for FragileDisk {
    fn drop(&mut self) {
        // It may not be mounted.
        let _ = run("umount", ["-l".as_ref(), self.path().as_os_str()]);
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

/// System calls of a running gateway on one file, made to fail.
#[derive(Debug)]
pub(crate) struct Strace(Child);

impl Strace {
    /// From now on `call` on this file fails with this error; none, with a word about it, where the test may not.
    pub(crate) async fn attach(region: &Region, file: &Path, call: &str, error: &str) -> Option<Strace> {
        let process = region.pid().expect("the gateway is running").to_string();
        let which = [OsStr::new("-f"), OsStr::new("-P"), file.as_os_str()];
        Strace::begin(&process, &which, call, error).await
    }

    /// The same for all calls of one thread, by its name.
    pub(crate) async fn attach_to_thread(region: &Region, name: &str, call: &str, error: &str) -> Option<Strace> {
        let tasks = format!("/proc/{}/task", region.pid().expect("the gateway is running"));
        let threads = std::fs::read_dir(tasks).unwrap().map(|entry| entry.unwrap().path());
        let named =
            |thread: &Path| std::fs::read_to_string(thread.join("comm")).is_ok_and(|found| found.trim_end() == name);
        let thread = threads
            .into_iter()
            .find(|thread| named(thread))
            .expect("there is such a thread");
        let id = thread
            .file_name()
            .expect("a thread has a number")
            .to_string_lossy()
            .into_owned();
        Strace::begin(&id, &[], call, error).await
    }

    async fn begin(process: &str, which: &[&OsStr], call: &str, error: &str) -> Option<Strace> {
        let started = tokio::process::Command::new("strace")
            .args(["-p", process, "-o", "/dev/null"])
            .args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:error={error}"),
            ])
            .args(which)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                skip(&format!("strace: {error}"));
                return None;
            }
        };
        let mut said = BufReader::new(child.stderr.take()?).lines();
        while let Ok(Some(line)) = said.next_line().await {
            if line.contains("attached") {
                // Whatever else it says is nobody's concern, but it must be able to say it.
                tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
                return Some(Strace(child));
            }
            skip(&line);
        }
        None
    }

    /// The calls work again.
    pub(crate) async fn detach(mut self) {
        if let Some(process) = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
        {
            // It may have ended with the gateway.
            let _ = kill_process(process, Signal::INT);
        }
        let _ = self.0.wait().await;
    }
}
