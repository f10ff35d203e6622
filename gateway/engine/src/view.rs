//! Looking at the store of a stopped gateway without changing it.

use std::io;
use std::sync::Arc;

use journal::disk::Disk;

use crate::backup::{self, BackupDone};
use crate::blobs::Blobs;
use crate::command::{Quarantined, QueueStatus, QueuedMessage};
use crate::destruction::{self, DestructionStatus};
use crate::engine::current_registry;
use crate::episodes::{self, IncidentStatus};
use crate::error::{IndexError, StartError};
use crate::inspect;
use crate::names::Queue;
use crate::recover::{self, Looked};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::state::State;

/// The store of a stopped gateway, as its next start would find it, under the store's lock. Journal and spool stay octet
/// for octet what they are.
pub struct View {
    // Dropped in this order: the index, and after it the lock.
    looked: Looked,
    blobs: Blobs,
    registry: Registry,
    _store: journal::View,
}

impl View {
    /// Opens the store; none if nothing was ever stored.
    ///
    /// # Errors
    /// See [`StartError`]: it is in use, damaged, or cannot be read.
    pub fn open(settings: &Settings, disk: Arc<dyn Disk>) -> Result<Option<Self>, StartError> {
        let Some(store) = journal::view(&settings.data_dir, Arc::clone(&disk))? else {
            return Ok(None);
        };
        let looked = recover::look(settings, &store)?;
        let blobs = Blobs::at(disk, &settings.data_dir);
        let registry = current_registry(&State::over(&looked.index, looked.beyond.clone()), &blobs)?;
        Ok(Some(Self {
            looked,
            blobs,
            registry,
            _store: store,
        }))
    }

    /// Queues that hold something or are paused, in the order of their names.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn queues(&self) -> Result<Vec<QueueStatus>, IndexError> {
        inspect::queues(&self.state())
    }

    /// The first messages of a queue, in order.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn queue(&self, queue: &Queue, limit: usize) -> Result<Vec<QueuedMessage>, IndexError> {
        inspect::queue(&self.state(), queue, limit)
    }

    /// What a person must decide about, oldest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, IndexError> {
        inspect::quarantine(&self.state())
    }

    /// Every destruction that was ever proposed, oldest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn destructions(&self) -> Result<Vec<DestructionStatus>, IndexError> {
        destruction::statuses(&self.state())
    }

    /// The newest backup, if one was ever made.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn last_backup(&self) -> Result<Option<BackupDone>, IndexError> {
        backup::last(&self.state())
    }

    /// Incidents that are open, and the latest that were closed, oldest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn opened_incidents(&self) -> Result<Vec<IncidentStatus>, IndexError> {
        episodes::statuses(&self.state())
    }

    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A certificate (DER) or schema file by its Streebog-256 in hexadecimal.
    ///
    /// # Errors
    /// It is not there, or not what its name says.
    pub fn blob(&self, hash: &str) -> io::Result<Vec<u8>> {
        self.blobs.get(hash)
    }

    fn state(&self) -> State<'_> {
        State::over(&self.looked.index, self.looked.beyond.clone())
    }
}
