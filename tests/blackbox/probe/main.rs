//! `rsmev probe`, the real executable: as two participants around a gateway, against the bus, and where it fails.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

#[path = "../common/mod.rs"]
mod common;
mod documents;
mod exchange;
mod person;
mod refused;
mod way;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use emulator::Identity;
use serde_json::Value;
use tempfile::TempDir;

use common::BINARY;

/// A participant's machine: its key and certificate in a folder, and the executable.
struct Machine(TempDir);

/// What the executable printed and how it ended.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Machine {
    fn of(identity: &Identity) -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        machine.write("system.key", identity.private_key_pem().unwrap());
        machine.write("system.crt", identity.certificate().to_pem());
        std::fs::set_permissions(machine.path("system.key"), PermissionsExt::from_mode(0o600)).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        name.to_owned()
    }

    /// `rsmev probe WHAT… --url URL MORE…` in the folder.
    async fn probe(&self, what: &str, url: &str, more: &[&str]) -> Done {
        let output = tokio::process::Command::new(BINARY)
            .current_dir(self.0.path())
            .arg("probe")
            .args(what.split(' '))
            .args(["--key", "system.key", "--certificate", "system.crt", "--url", url])
            .args(more)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same with `--output json`: what it did.
    async fn json(&self, what: &str, url: &str, more: &[&str]) -> Value {
        self.told(what, url, more, 0).await
    }

    /// The same that fails: the trouble.
    async fn trouble(&self, what: &str, url: &str, more: &[&str]) -> Value {
        let told = self.told(what, url, more, 1).await;
        assert_eq!(told["done"], false, "{told}");
        told["trouble"].clone()
    }

    async fn told(&self, what: &str, url: &str, more: &[&str], code: i32) -> Value {
        let done = self.probe(what, url, &[more, &["--output", "json"]].concat()).await;
        assert_eq!(done.code, Some(code), "{}{}", done.stdout, done.stderr);
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.stdout))
    }
}

/// A text in a JSON document.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
