//! How the journal was found when it was last verified. `rsmev journal verify` runs beside the gateway, every night if its
//! timer is enabled, and tells the gateway what came of it, which shows it in `/metrics` and makes an incident of damage.
//! A small file keeps it over restarts; without it the journal counts as not verified yet.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::Engine;
use jiff::Timestamp;
use journal::disk::RealDisk;
use logbook::log;
use serde::{Deserialize, Serialize};

use crate::logged;

/// The file in the data directory.
const FILE: &str = "VERIFIED";
/// So many characters of what was found are kept.
const LONGEST: usize = 2000;
/// Kind of the incident.
const INCIDENT: &str = "journal_verification";

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// When the whole journal was last found whole.
    pub(crate) whole_at: Option<Timestamp>,
    /// What the last verification found wrong.
    pub(crate) failed: Option<String>,
}

/// The handle; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Verification {
    file: Arc<PathBuf>,
    status: Arc<Mutex<Status>>,
}

impl Verification {
    /// What is known of the journal in this data directory.
    pub(crate) fn of(data_dir: &Path) -> Self {
        let file = data_dir.join(FILE);
        let read = std::fs::read(&file).ok();
        let status = read.and_then(|octets| serde_json::from_slice(&octets).ok());
        Self {
            file: Arc::new(file),
            status: Arc::new(Mutex::new(status.unwrap_or_default())),
        }
    }

    /// How things stand.
    pub(crate) fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole journal was verified: `error` says what was wrong with it. If the file cannot be written, that is logged,
    /// and holds until the next start all the same.
    pub(crate) async fn note(&self, engine: &Engine, error: Option<String>) {
        let error: Option<String> = error.map(|error| error.chars().take(LONGEST).collect());
        let status = {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.failed.clone_from(&error);
            if error.is_none() {
                status.whole_at = Some(engine.now());
            }
            status.clone()
        };
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            let octets = serde_json::to_vec(&status)?;
            journal::disk::replace_file(&RealDisk, &file, &octets)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                log!(logged::VERIFICATION_NOT_NOTED, %error, file = %self.file.display(), "what the verification found was not written down");
            }
            Err(error) => {
                log!(logged::VERIFICATION_NOT_NOTED, %error, file = %self.file.display(), "what the verification found was not written down");
            }
        }
        match error {
            None => log!(logged::VERIFIED, "the journal was verified and is whole"),
            Some(error) => engine.record_incident(INCIDENT, error).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_known_after_a_restart_and_a_broken_file_means_never() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Verification::of(dir.path()).status(), Status::default());
        let known = Status {
            whole_at: Some(Timestamp::UNIX_EPOCH),
            failed: Some("record 7".to_owned()),
        };
        std::fs::write(dir.path().join(FILE), serde_json::to_vec(&known).unwrap()).unwrap();
        assert_eq!(Verification::of(dir.path()).status(), known);
        std::fs::write(dir.path().join(FILE), b"{").unwrap();
        assert_eq!(Verification::of(dir.path()).status(), Status::default());
    }
}
