//! The segment of either kind that is being written.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::error::{CommitError, is_no_space};
use crate::health::Health;

/// A preallocated file that grows by writes at its end.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    /// Where the next write goes; zeros follow.
    pub(crate) end: u64,
    /// Where the preallocated space ends.
    pub(crate) capacity: u64,
    /// The space up to `capacity` was given back and must be reserved again before the next write.
    pub(crate) short: bool,
    /// Something was written since the last sync.
    pub(crate) dirty: bool,
}

impl LiveFile {
    /// Writes at the end. After [`CommitError::NoSpace`] the file is as before, once [`cut_back`](Self::cut_back) is called.
    pub(crate) fn write(&mut self, octets: &[u8], health: &Health) -> Result<(), CommitError> {
        if self.short {
            self.reserve(health)?;
        }
        self.dirty = true;
        self.file
            .write_at(octets, self.end)
            .map_err(|error| health.sort(&self.path, "writing", error))?;
        self.end += octets.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&mut self, health: &Health) -> Result<(), CommitError> {
        if self.dirty {
            self.file
                .sync_data()
                .map_err(|error| health.fail(&self.path, "syncing", error))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Removes everything after `end`, durably, and reserves the space anew; if there is none, the next write tries again.
    pub(crate) fn cut_back(&mut self, end: u64, health: &Health) -> Result<(), CommitError> {
        self.end = end;
        self.file
            .truncate(end)
            .map_err(|error| health.fail(&self.path, "truncating", error))?;
        match self.reserve(health) {
            Ok(()) | Err(CommitError::NoSpace { .. }) => {}
            Err(error) => return Err(error),
        }
        self.dirty = true;
        self.sync(health)
    }

    fn reserve(&mut self, health: &Health) -> Result<(), CommitError> {
        match self.file.preallocate(self.capacity) {
            Ok(()) => {
                self.short = false;
                Ok(())
            }
            Err(error) if is_no_space(&error) => {
                self.short = true;
                // Half a reservation would only take the space from those who could do with it.
                self.file
                    .truncate(self.end)
                    .map_err(|error| health.fail(&self.path, "truncating", error))?;
                Err(CommitError::NoSpace {
                    path: self.path.clone(),
                    error,
                })
            }
            Err(error) => Err(health.fail(&self.path, "reserving space in", error)),
        }
    }
}
