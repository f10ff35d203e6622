//! What can go wrong around the gateway.

use std::path::PathBuf;
use std::time::Duration;

/// Why the gateway could not be run as the test wanted.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A file or socket of the harness.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// A key or certificate could not be made.
    #[error(transparent)]
    Identity(#[from] emulator::IdentityError),
    /// The gateway ended instead of becoming ready.
    #[error("the gateway ended with {status} instead of becoming ready; its log:\n{log}")]
    Ended {
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// The gateway did not do something in time.
    #[error("the gateway is not {what} within {within:?}; its log:\n{log}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// The end of its log.
        log: String,
    },
    /// The gateway is not running.
    #[error("the gateway is not running")]
    NotRunning,
    /// The gateway runs already.
    #[error("the gateway runs already")]
    Running,
    /// A command failed that should not have.
    #[error("`rsmev {command}` ended with code {code:?}: {stderr}")]
    Command {
        /// Its arguments.
        command: String,
        /// Its exit code; nothing if a signal ended it.
        code: Option<i32>,
        /// What it said.
        stderr: String,
    },
    /// A command's output is not the JSON that it should be.
    #[error("`rsmev {command}` did not print JSON: {output}")]
    NotJson {
        /// Its arguments.
        command: String,
        /// The beginning of what it printed.
        output: String,
    },
    /// The gateway could not be asked over HTTP.
    #[error("the gateway does not answer over HTTP: {0}")]
    Http(#[from] emulator::TransportError),
    /// A participant that the region does not have.
    #[error("the region has no participant {0}")]
    UnknownParticipant(String),
    /// The binary is not there.
    #[error("{} is not there: build the gateway first", .0.display())]
    NoBinary(PathBuf),
}

impl HarnessError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> HarnessError {
        let what = what.into();
        |cause| HarnessError::Io { what, cause }
    }
}
