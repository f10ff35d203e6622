//! The gateway's command line, run as a person would.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::error::HarnessError;

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct CommandOutput {
    /// Its arguments, as text.
    pub command: String,
    /// The exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl CommandOutput {
    /// Itself, if the code is 0.
    ///
    /// # Errors
    /// [`HarnessError::Command`].
    pub fn success(self) -> Result<CommandOutput, HarnessError> {
        if self.code == Some(0) {
            return Ok(self);
        }
        let said = if self.stderr.is_empty() {
            self.stdout
        } else {
            self.stderr
        };
        Err(HarnessError::Command {
            command: self.command,
            code: self.code,
            stderr: said,
        })
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// [`HarnessError::NotJson`].
    pub fn json(&self) -> Result<Value, HarnessError> {
        serde_json::from_str(&self.stdout).map_err(|_| HarnessError::NotJson {
            command: self.command.clone(),
            output: self.stdout.chars().take(300).collect(),
        })
    }
}

/// Runs `binary` with arguments and waits for it.
pub(crate) async fn run<S: AsRef<OsStr>>(binary: &Path, arguments: &[S]) -> Result<CommandOutput, HarnessError> {
    let shown: Vec<_> = arguments
        .iter()
        .map(|argument| argument.as_ref().to_string_lossy())
        .collect();
    let command = shown.join(" ");
    let output = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(HarnessError::io(format!("running {}", binary.display())))?;
    Ok(CommandOutput {
        command,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
