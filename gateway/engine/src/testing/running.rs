//! A running engine with a clock that tests own, on a real disk or on one in memory.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gost::{Certificate, Curve, KeyAlgorithm, SoftwareKey, SubjectName};
use jiff::{SignedDuration, Timestamp};
use journal::disk::{Disk, RealDisk};
use vault::{Cipher, MasterKey};

use super::region::{NODE, content, mnemonic, start_time};
use crate::clock::Clock;
use crate::command::RegistryChange;
use crate::settings::Settings;
use crate::{AtRest, Engine, Start, StartError};

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub(crate) struct TestTime(Arc<Mutex<(Timestamp, SignedDuration)>>);

impl TestTime {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((start_time(), SignedDuration::ZERO))))
    }

    pub(crate) fn pass(&self, time: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        now.0 += time;
        now.1 += time;
    }

    /// Somebody sets the clock.
    pub(crate) fn jump(&self, by: SignedDuration) {
        self.0.lock().unwrap().0 += by;
    }
}

impl Clock for TestTime {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn counted(&self) -> Option<SignedDuration> {
        Some(self.0.lock().unwrap().1)
    }
}

/// A folder for the index of a short life: in memory where the system offers that, because sled's syncs are what a start
/// on a disk costs most.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// What survives restarts.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) settings: Settings,
    /// Below journal and spool; the index is always on a real one.
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) time: TestTime,
    pub(crate) key: Arc<SoftwareKey>,
    pub(crate) certificate: Certificate,
    pub(crate) cipher: Option<Cipher>,
    pub(crate) accept_lost_keys: bool,
    /// Whether a master key is given.
    pub(crate) at_rest: bool,
}

impl Running {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
        let subject: SubjectName = "CN=gateway".parse().unwrap();
        let certificate = gost::self_signed(&key, &subject, 1_700_000_000, 2_000_000_000).unwrap();
        let mut settings = Settings::new(data_dir.to_owned(), mnemonic(NODE));
        settings.disk_reserve = Some(0);
        // Between two sessions of a test years may pass.
        settings.clock_trusted_for = SignedDuration::MAX;
        // Ticks are the tests' own.
        settings.tick = Duration::from_secs(86_400);
        settings.store.journal_segment_bytes = 256 << 10;
        settings.store.spool_segment_bytes = 64 << 10;
        Self {
            settings,
            disk: RealDisk::shared(),
            time: TestTime::new(),
            key: Arc::new(key),
            certificate,
            cipher: Some(Cipher::Aes256Gcm),
            accept_lost_keys: false,
            at_rest: true,
        }
    }

    pub(crate) fn start(&self) -> Result<Engine, StartError> {
        self.start_in(&self.settings.data_dir.clone())
    }

    /// Starts on another data directory: a copy.
    pub(crate) fn start_in(&self, data_dir: &Path) -> Result<Engine, StartError> {
        Engine::start(self.starting(data_dir))
    }

    /// What a start needs.
    pub(crate) fn starting(&self, data_dir: &Path) -> Start {
        let settings = Settings {
            data_dir: data_dir.to_owned(),
            ..self.settings.clone()
        };
        Start {
            at_rest: self.at_rest(data_dir),
            settings,
            clock: Arc::new(self.time.clone()),
            disk: Arc::clone(&self.disk),
            signer: Arc::clone(&self.key) as Arc<dyn gost::Signer>,
            certificate: self.certificate.clone(),
        }
    }

    /// Bodies are sealed under a master key that lies beside the data and goes with its copies.
    fn at_rest(&self, data_dir: &Path) -> Option<AtRest> {
        if !self.at_rest {
            return None;
        }
        let path = data_dir.join("master.key");
        if !path.exists() {
            MasterKey::generate().unwrap().write(&path).unwrap();
        }
        Some(AtRest {
            master: MasterKey::read(&path).unwrap(),
            new_at: None,
            cipher: self.cipher,
            accept_lost_keys: self.accept_lost_keys,
        })
    }

    /// Starts, with the region's registry applied.
    pub(crate) async fn region(&self) -> Engine {
        let engine = self.start().unwrap();
        let change = RegistryChange {
            content: content(),
            prune: true,
            blobs: std::collections::BTreeMap::new(),
        };
        engine.apply_registry(change, "operator").await.unwrap();
        engine
    }
}
