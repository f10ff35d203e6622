//! Once a sync has failed nobody knows what is durable: the system may have dropped the very pages it could not write,
//! and a second sync would succeed over the loss. So the first failure closes the store for good.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use crate::error::{CommitError, is_no_space};

/// Whether the storage can still be trusted; shared by the writer and its background work.
#[derive(Debug, Default)]
pub(crate) struct Health(OnceLock<String>);

impl Health {
    /// # Errors
    /// [`CommitError::Fatal`] once anything has failed.
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        match self.0.get() {
            Some(why) => Err(CommitError::Fatal(why.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// Closes the store; the first reason given is the one that stays.
    pub(crate) fn fail(&self, path: &Path, doing: &str, error: impl Display) -> CommitError {
        let why = self.0.get_or_init(|| format!("{doing} {}: {error}", path.display()));
        CommitError::Fatal(why.clone())
    }

    /// Sorts an error of anything but a sync: a lack of space goes away, all else does not.
    pub(crate) fn sort(&self, path: &Path, doing: &str, error: io::Error) -> CommitError {
        if is_no_space(&error) {
            CommitError::NoSpace {
                path: path.to_owned(),
                error,
            }
        } else {
            self.fail(path, doing, error)
        }
    }
}
