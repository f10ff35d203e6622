//! The gateway's process: its own child, ended only through its handle.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::error::HarnessError;

/// How much of a log an error shows.
const LOG_TAIL: usize = 4000;

/// A running gateway. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; its output is appended to the log.
    pub(crate) fn start(binary: &Path, arguments: &[String], log: &Path) -> Result<Process, HarnessError> {
        if !binary.exists() {
            return Err(HarnessError::NoBinary(binary.to_owned()));
        }
        let file = || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(log) };
        let out = file().map_err(HarnessError::io("opening the log"))?;
        let err = file().map_err(HarnessError::io("opening the log"))?;
        let child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .map_err(HarnessError::io(format!("starting {}", binary.display())))?;
        Ok(Process {
            child,
            log: log.to_owned(),
        })
    }

    /// The process id; nothing once it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, HarnessError> {
        self.child
            .try_wait()
            .map_err(HarnessError::io("asking after the gateway"))
    }

    /// SIGKILL, as at a power cut of this one process.
    pub(crate) async fn kill(mut self) -> Result<(), HarnessError> {
        self.child.kill().await.map_err(HarnessError::io("killing the gateway"))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), HarnessError> {
        let id = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let id = id.ok_or(HarnessError::NotRunning)?;
        kill_process(id, signal).map_err(|error| HarnessError::Io {
            what: "signalling the gateway".to_owned(),
            cause: error.into(),
        })
    }

    /// SIGTERM, and its end within a bound.
    pub(crate) async fn stop(mut self, within: Duration) -> Result<ExitStatus, HarnessError> {
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(ended) => ended.map_err(HarnessError::io("waiting for the gateway")),
            Err(_) => Err(HarnessError::Late {
                what: "stopped".to_owned(),
                within,
                log: log_tail(&self.log),
            }),
        }
    }
}

/// The end of the log.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = std::fs::read(log)
        .map(|octets| String::from_utf8_lossy(&octets).into_owned())
        .unwrap_or_default();
    let skip = text.chars().count().saturating_sub(LOG_TAIL);
    text.chars().skip(skip).collect()
}
