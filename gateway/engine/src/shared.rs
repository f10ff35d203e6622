//! What the handle, the writer and its helpers share.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use journal::disk::Disk;
use journal::{BodyError, Location, Sizes};
use tokio::sync::{Notify, watch};

use crate::backup::Holds;
use crate::blobs::Blobs;
use crate::command::BodyRef;
use crate::conditions::{Conditions, JOURNAL};
use crate::error::IndexError;
use crate::incidents::Incidents;
use crate::index::Index;
use crate::keys;
use crate::message::JournalCut;
use crate::metrics::EngineMetrics;
use crate::names::UpstreamName;
use crate::panics::Panics;
use crate::protection::Spool;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::state::State;
use crate::steady::Steady;

/// Shared parts of an engine.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Steady,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) index: Arc<Index>,
    pub(crate) spool: Spool,
    pub(crate) blobs: Blobs,
    pub(crate) conditions: Conditions,
    pub(crate) metrics: EngineMetrics,
    pub(crate) incidents: Incidents,
    pub(crate) panics: Panics,
    pub(crate) sizes: Mutex<(Sizes, u64)>,
    /// Sequence number of the journal's last record.
    pub(crate) last_seq: AtomicU64,
    /// This start found a cut of the journal.
    pub(crate) found_cut: AtomicBool,
    pub(crate) moved: Moved,
    /// Backups that are being made.
    pub(crate) holds: Holds,
    /// Nothing goes to upstreams: the store was restored.
    pub(crate) upstream_held: AtomicBool,
    pub(crate) failed: watch::Sender<Option<String>>,
    pub(crate) registry_changes: watch::Sender<u64>,
    registry: RwLock<Arc<Registry>>,
    work: Mutex<HashMap<UpstreamName, Arc<Notify>>>,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        clock: Steady,
        disk: Arc<dyn Disk>,
        index: Arc<Index>,
        spool: Spool,
        blobs: Blobs,
        registry: Registry,
    ) -> Self {
        let conditions = Conditions::new(clock.now());
        Self {
            settings,
            clock,
            disk,
            index,
            spool,
            blobs,
            conditions,
            metrics: EngineMetrics::default(),
            incidents: Incidents::default(),
            panics: Panics::default(),
            sizes: Mutex::default(),
            last_seq: AtomicU64::new(0),
            found_cut: AtomicBool::new(false),
            moved: Moved::default(),
            holds: Holds::default(),
            upstream_held: AtomicBool::new(false),
            failed: watch::Sender::new(None),
            registry_changes: watch::Sender::new(0),
            registry: RwLock::new(Arc::new(registry)),
            work: Mutex::default(),
        }
    }

    /// The folder with the journal's segments.
    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.settings.data_dir.join("journal")
    }

    /// The present moment in the engine's grain, microseconds: what the journal says is what decisions were made with.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish(&self, registry: Arc<Registry>) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = registry;
        self.registry_changes.send_modify(|n| *n += 1);
    }

    pub(crate) fn work(&self, upstream: &UpstreamName) -> Arc<Notify> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(work.entry(upstream.clone()).or_default())
    }

    /// Shows a cut of the journal that nobody has taken note of.
    pub(crate) fn hold_journal_cut(&self) -> Result<(), IndexError> {
        let cut = State::new(&*self.index).get::<JournalCut>(&keys::journal_cut())?;
        if let Some(cut) = cut {
            self.hold_cut(&cut);
        }
        Ok(())
    }

    /// Shows a cut of the journal.
    pub(crate) fn hold_cut(&self, cut: &JournalCut) {
        self.conditions.hold(JOURNAL, cut.words(), self.now());
    }

    /// What waited for upstreams after a restoration may go.
    pub(crate) fn resume_upstreams(&self) {
        self.upstream_held.store(false, Ordering::Release);
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.values().for_each(|work| work.notify_one());
    }

    /// The engine has failed for good.
    pub(crate) fn fail(&self, why: &str) {
        self.failed.send_modify(|failed| {
            failed.get_or_insert_with(|| why.to_owned());
        });
    }

    /// Reads a body; one that was moved meanwhile at its new place.
    pub(crate) fn body(&self, body: &BodyRef) -> Result<Vec<u8>, BodyError> {
        let mut place = body.place;
        loop {
            match self.spool.read(&place, body.message, body.name, body.sealed) {
                Ok(octets) => return Ok(octets),
                Err(BodyError::Gone(segment)) => match self.moved.to(&place) {
                    Some(next) => place = next,
                    None => return Err(BodyError::Gone(segment)),
                },
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where bodies went that were copied forward lately, for those who learnt the old place before.
#[derive(Debug, Default)]
pub(crate) struct Moved(Mutex<(HashMap<Location, Location>, VecDeque<Location>)>);

impl Moved {
    /// Moves that are remembered.
    const KEPT: usize = 100_000;

    pub(crate) fn remember(&self, from: Location, to: Location) {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (places, order) = &mut *moved;
        places.insert(from, to);
        order.push_back(from);
        if order.len() > Self::KEPT
            && let Some(oldest) = order.pop_front()
        {
            places.remove(&oldest);
        }
    }

    fn to(&self, from: &Location) -> Option<Location> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .get(from)
            .copied()
    }
}
