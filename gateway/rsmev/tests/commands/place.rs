//! A folder with a configuration, and the executable run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a gateway.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own for one test.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What a command printed and how it ended.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("the executable prints UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }

    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What a command told before it ended with 1.
    #[track_caller]
    pub(crate) fn json_of_refusal(self) -> serde_json::Value {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The executable with a clean environment.
pub(crate) fn rsmev() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsmev"));
    command.stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

impl Place {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// With keys and a configuration that works.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place
            .command(&[
                "keys",
                "new",
                "--key",
                "gateway.key",
                "--subject",
                "CN=Region",
                "--certificate",
                "gateway.crt",
            ])
            .ok();
        std::fs::create_dir(place.path("data")).expect("the folder is ours");
        place.write(
            "gateway.toml",
            &place.configuration("\"127.0.0.1:0\"", "\"127.0.0.1:0\""),
        );
        place
    }

    pub(crate) fn configuration(&self, door: &str, admin: &str) -> String {
        let dir = self.folder.path().display();
        format!(
            "[node]\nmnemonic = \"RSMEV73\"\ndata_dir = \"{dir}/data\"\n\n[keys]\nprivate_key = \"{dir}/gateway.key\"\n\
             certificate = \"{dir}/gateway.crt\"\n\n[smev3]\nlisten = {door}\n\n[limits]\ndisk_reserve = \"10 MB\"\n\n\
             [admin]\nlisten = {admin}\nsocket = \"{dir}/admin.sock\"\n"
        )
    }

    /// Names a master key at the end of the configuration, in place of one that was named before.
    pub(crate) fn name_master_key(&self, name: &str) {
        let written = read(&self.path("gateway.toml"));
        let written = written.split("\n[storage]").next().unwrap_or_default();
        let key = self.path(name).display().to_string();
        self.write("gateway.toml", &format!("{written}\n[storage]\nmaster_key = {key:?}\n"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().expect("a file has a folder")).expect("the folder is ours");
        std::fs::write(file, text).expect("the folder is ours");
    }

    /// Runs a command in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Done {
        self.prepare(arguments).output().expect("the executable runs").into()
    }

    /// The same with `--config gateway.toml`.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Done {
        let mut all = vec!["--config", "gateway.toml"];
        all.extend(arguments);
        self.command(&all)
    }

    pub(crate) fn prepare(&self, arguments: &[&str]) -> Command {
        let mut command = rsmev();
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Starts the gateway and waits until it listens.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Gateway {
        let mut gateway = self.begin_to_serve(arguments);
        gateway.wait_for("the gateway is running");
        gateway
    }

    /// Starts the gateway.
    pub(crate) fn begin_to_serve(&self, arguments: &[&str]) -> Gateway {
        let log = std::fs::File::create(self.path("gateway.log")).expect("the folder is ours");
        let mut all = vec!["--config", "gateway.toml", "serve"];
        all.extend(arguments);
        let child = self
            .prepare(&all)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the executable runs");
        Gateway {
            child,
            log: self.path("gateway.log"),
        }
    }
}

/// A running gateway; killed when it is dropped.
pub(crate) struct Gateway {
    child: Child,
    log: PathBuf,
}

impl Gateway {
    /// Waits until the log has this text; the log so far.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            let ended = self.child.try_wait().expect("it is our child");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "no {text:?}; ended: {ended:?}; log:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log is ours")
    }

    /// The address in the log line that has this text.
    pub(crate) fn address(&self, text: &str) -> String {
        let log = self.log();
        let line = log
            .lines()
            .find(|line| line.contains(text))
            .expect("the address is logged");
        let (_, rest) = line.split_once("address=").expect("the line names the address");
        rest.split_whitespace().next().expect("an address").to_owned()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it is our child");
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// GET over HTTP/1.1: status line and body.
pub(crate) fn get(address: &str, path: &str) -> (String, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("the gateway listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the gateway reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the gateway answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// The file as it is.
pub(crate) fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("the file is there")
}
