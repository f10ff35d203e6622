//! The segment of either kind that is being written.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::error::{CommitError, is_no_space};
use crate::health::Health;

/// A segment that is not reserved as a whole is reserved in so many pieces.
pub(crate) const PIECES: u64 = 16;

/// A preallocated file that grows by writes at its end.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    /// Where the next write goes; zeros follow.
    pub(crate) end: u64,
    /// Where the segment ends: nothing is written beyond.
    pub(crate) capacity: u64,
    /// Where the preallocated space ends, which is the length of the file. What lies between it and `capacity` is
    /// reserved a piece at a time before it is written to.
    pub(crate) reserved: u64,
    /// Something was written since the last sync.
    pub(crate) dirty: bool,
}

impl LiveFile {
    /// Writes at the end. After [`CommitError::NoSpace`] the file is as before, once [`cut_back`](Self::cut_back) is called.
    pub(crate) fn write(&mut self, octets: &[u8], health: &Health) -> Result<(), CommitError> {
        let end = self.end + octets.len() as u64;
        if end > self.reserved {
            let ahead = (end + self.piece()).min(self.capacity).max(end);
            match self.reserve(ahead, health) {
                // Where there is little, what is written now comes first.
                Err(CommitError::NoSpace { .. }) if ahead > end => self.reserve(end, health)?,
                reserved => reserved?,
            }
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
        let reserved = self.reserved.max(end);
        self.truncate(end, health)?;
        match self.reserve(reserved, health) {
            Ok(()) | Err(CommitError::NoSpace { .. }) => {}
            Err(error) => return Err(error),
        }
        self.dirty = true;
        self.sync(health)
    }

    /// Gives space back that is reserved for much more than the next writes. Whether a crash knows of it does not matter.
    pub(crate) fn give_back(&mut self, health: &Health) -> Result<(), CommitError> {
        let enough = self.end + self.piece();
        if self.reserved <= enough + self.piece() {
            return Ok(());
        }
        match self.file.truncate(enough) {
            Ok(()) => {
                self.reserved = enough;
                Ok(())
            }
            // A file system that copies on writing needs some to give some.
            Err(error) if is_no_space(&error) => Ok(()),
            Err(error) => Err(health.fail(&self.path, "truncating", error)),
        }
    }

    /// What is reserved at once.
    fn piece(&self) -> u64 {
        self.capacity.div_ceil(PIECES)
    }

    fn truncate(&mut self, len: u64, health: &Health) -> Result<(), CommitError> {
        self.file
            .truncate(len)
            .map_err(|error| health.fail(&self.path, "truncating", error))?;
        self.reserved = len;
        Ok(())
    }

    fn reserve(&mut self, len: u64, health: &Health) -> Result<(), CommitError> {
        match self.file.preallocate(len) {
            Ok(()) => {
                self.reserved = len;
                Ok(())
            }
            Err(error) if is_no_space(&error) => {
                // Half a reservation would only take the space from those who could do with it.
                self.truncate(self.reserved.max(self.end), health)?;
                Err(CommitError::NoSpace {
                    path: self.path.clone(),
                    error,
                })
            }
            Err(error) => Err(health.fail(&self.path, "reserving space in", error)),
        }
    }
}
