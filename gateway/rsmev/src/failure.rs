//! Why a command did not do what it was asked, and the exit code that says so (DESIGN §8).

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::problem::Problems;

/// The end of a command that was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Refused or found wrong: exit code 1.
    #[error("{0}")]
    Refused(String),
    /// Wrong usage: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The running gateway cannot keep its promises any more, because its storage failed or its writer panicked: exit
    /// code 3. A start looks at what really is on the disk.
    #[error("the gateway ended because it cannot keep its promises: {0}")]
    Ended(String),
    /// Everything has been said on standard output already: exit code 1.
    #[error("found wrong")]
    Said,
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Refused or found wrong.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// Wrong usage.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A file that cannot be used.
    pub(crate) fn file(file: &Path, error: impl Display) -> Self {
        Self::Refused(format!("{}: {error}", file.display()))
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Ended(_) => 3,
            _ => 1,
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Refused(problems.to_string())
    }
}
