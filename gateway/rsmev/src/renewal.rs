//! Certificate and key of the door's TLS while the gateway runs: read again on SIGHUP, and when the files change.
//!
//! What cannot be used changes nothing: the door goes on with what it has, and says so.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gost::CertificateOutline;
use jiff::Timestamp;
use logbook::log;
use smev3::door::{LiveTls, LoadedTls, Tls};
use tokio::time::MissedTickBehavior;

use crate::door;
use crate::failure::Failure;
use crate::logged;
use crate::settings::Settings;

/// Pause between two looks at the files.
const LOOK: Duration = Duration::from_secs(60);

/// The door's TLS, if it has one. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Renewal(Option<Arc<Watched>>);

struct Watched {
    live: LiveTls,
    files: Mutex<Files>,
}

struct Files {
    tls: Tls,
    stamps: Vec<Stamp>,
}

/// What shows that a file is another one: its inode, length and time of change; `None` if it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

/// What was read and waits to be used.
pub(crate) struct Renewed(Option<(Tls, Vec<Stamp>, LoadedTls)>);

impl Renewal {
    /// Of a door that was bound under these settings.
    pub(crate) fn new(live: Option<LiveTls>, settings: &Settings) -> Self {
        let watched = live.zip(door::tls(settings)).map(|(live, tls)| {
            warn_if_expired(&live.certificate());
            let files = Files {
                stamps: stamps(&tls),
                tls,
            };
            Arc::new(Watched {
                live,
                files: Mutex::new(files),
            })
        });
        Self(watched)
    }

    /// Reads the files that a configuration names; nothing is changed yet.
    pub(crate) fn read(&self, settings: &Settings) -> Result<Renewed, Failure> {
        let tls = door::tls(settings);
        if tls.is_some() != self.0.is_some() {
            log!(
                logged::TLS_NEEDS_RESTART,
                "smev3.tls: switching TLS on or off needs a restart"
            );
        }
        let Some(tls) = tls.filter(|_| self.0.is_some()) else {
            return Ok(Renewed(None));
        };
        // Taken first: what changes after it is seen at the next look.
        let stamps = stamps(&tls);
        match tls.load() {
            Ok(loaded) => Ok(Renewed(Some((tls, stamps, loaded)))),
            Err(error) => Err(Failure::refused(format!("smev3.tls: {error}"))),
        }
    }

    /// Uses what was read, for new connections.
    pub(crate) fn put(&self, renewed: Renewed) {
        if let (Some(watched), Some((tls, stamps, loaded))) = (&self.0, renewed.0) {
            *watched.files() = Files { tls, stamps };
            watched.put(loaded);
        }
    }

    /// Looks at the files from time to time, if there are any; never ends.
    pub(crate) async fn watch(self) {
        let Some(watched) = self.0 else {
            return std::future::pending().await;
        };
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let watched = Arc::clone(&watched);
            // What panics there is told by the next look, or not at all.
            let _ = tokio::task::spawn_blocking(move || watched.look()).await;
        }
    }
}

impl Watched {
    /// Reads the files if one of them is another than at the last look.
    fn look(&self) {
        let mut files = self.files();
        let stamps = stamps(&files.tls);
        if stamps == files.stamps {
            return;
        }
        files.stamps = stamps;
        match files.tls.load() {
            Ok(loaded) => self.put(loaded),
            Err(error) => {
                log!(logged::TLS_NOT_RENEWED, %error, "smev3.tls: the files have changed and cannot be used; the door keeps what it has");
            }
        }
    }

    fn put(&self, loaded: LoadedTls) {
        let before = self.live.certificate();
        self.live.put(loaded);
        let now = self.live.certificate();
        if now != before {
            let until = Timestamp::from_second(now.not_after).unwrap_or(Timestamp::MAX);
            log!(logged::TLS_RENEWED, subject = now.subject, %until, "the door has another TLS certificate");
        }
        warn_if_expired(&now);
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By the machine's clock, as the clients will look at it.
fn warn_if_expired(certificate: &CertificateOutline) {
    if certificate.not_after < Timestamp::now().as_second() {
        let subject = &certificate.subject;
        log!(
            logged::TLS_EXPIRED,
            subject,
            "smev3.tls: the certificate has expired; clients will refuse it"
        );
    }
}

fn stamps(tls: &Tls) -> Vec<Stamp> {
    let files = [Some(&tls.certificate), Some(&tls.private_key), tls.client_ca.as_ref()];
    files.into_iter().flatten().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let found = std::fs::metadata(file).ok()?;
    Some((found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use harness::Authority;

    use super::*;

    #[test]
    fn changed_files_are_seen_and_used_only_if_they_belong_together() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("servers");
        let issue = |name: &str| authority.issue(name).write(folder.path(), "door").unwrap();
        issue("first");
        let tls = Tls {
            certificate: folder.path().join("door.crt"),
            private_key: folder.path().join("door.key"),
            client_ca: None,
        };
        let watched = Watched {
            live: LiveTls::new(tls.load().unwrap()),
            files: Mutex::new(Files {
                stamps: stamps(&tls),
                tls,
            }),
        };
        let subject = || watched.live.certificate().subject;
        let look = || {
            watched.look();
            subject()
        };
        assert_eq!(look(), "CN=first");
        // Certificate and key are replaced one after the other.
        let second = authority.issue("second");
        std::fs::write(folder.path().join("door.crt"), &second.certificate).unwrap();
        assert_eq!(look(), "CN=first", "the key is still the first one's");
        std::fs::write(folder.path().join("door.key"), &second.private_key).unwrap();
        assert_eq!(look(), "CN=second");
        std::fs::remove_file(folder.path().join("door.key")).unwrap();
        assert_eq!(look(), "CN=second");
        issue("third");
        assert_eq!(look(), "CN=third");
    }
}
