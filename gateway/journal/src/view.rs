//! Looking at a data directory without changing anything in it.

use std::path::Path;
use std::sync::Arc;

use crate::cut;
use crate::disk::{Access, Disk, DiskLock};
use crate::error::{OpenError, ReadError, SnapshotError};
use crate::health::Health;
use crate::layout::Layout;
use crate::read::Records;
use crate::recovery::{Recovery, find_end};
use crate::setup::{Session, check_header, io_error};
use crate::snapshot::{Position, SnapshotReader, Snapshots};

/// A data directory as the next start would find it, held so that nobody writes. Journal, spool and the session's mark
/// stay octet for octet what they are, a torn end included.
#[derive(Debug)]
pub struct View {
    disk: Arc<dyn Disk>,
    layout: Layout,
    position: Position,
    recovery: Recovery,
    snapshots: Snapshots,
    _held: Box<dyn DiskLock>,
}

/// Holds a data directory's exclusive lock and nothing else.
///
/// # Errors
/// [`OpenError::Locked`] or [`OpenError::Io`].
pub fn hold(dir: &Path, disk: &dyn Disk) -> Result<Box<dyn DiskLock>, OpenError> {
    let lock = Layout::new(dir).lock();
    disk.lock(&lock).map_err(|error| OpenError::lock(dir, error))
}

/// Looks at a data directory under its exclusive lock; none if nothing was ever stored in it.
///
/// # Errors
/// As for [`open`](crate::open()).
pub fn view(dir: &Path, disk: Arc<dyn Disk>) -> Result<Option<View>, OpenError> {
    let layout = Layout::new(dir);
    if check_header(&*disk, dir)?.is_none() {
        return Ok(None);
    }
    let held = hold(dir, &*disk)?;
    let io = |error| io_error(dir, error);
    let last = Session::load(&*disk, &layout).map_err(io)?;
    let clean = last.as_ref().filter(|session| session.clean);
    let end = find_end(&*disk, &layout, Access::Read)?;
    end.check_orderly(clean.map(|session| session.last_seq))?;
    let position = end.position();
    let boot = disk.boot_id().map_err(io)?;
    let recovery = Recovery {
        created: false,
        raised_from: None,
        last_seq: position.seq,
        last_at: end.replay.state.last_at,
        cut: end.cut,
        clean_close: clean.is_some(),
        same_boot: last.is_some_and(|session| session.boot == boot),
        cuts: cut::load(&*disk, &layout)?,
        gaps: end.history.gaps,
        passed_over: Vec::new(),
    };
    let health = Arc::new(Health::default());
    let snapshots = Snapshots::new(Arc::clone(&disk), layout.snapshot.clone(), 0, health);
    Ok(Some(View {
        disk,
        layout,
        position,
        recovery,
        snapshots,
        _held: held,
    }))
}

impl View {
    /// The place right after the last record that a start would keep.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// What a start would find; `cut` is what it would cut off.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Every record from `from_seq` to [`position`](Self::position), as [`Store::events`](crate::Store::events).
    pub fn events(&self, from_seq: u64) -> Records {
        let last = Some(self.position.seq);
        Records::chained(Arc::clone(&self.disk), &self.layout.journal, from_seq, last)
    }

    /// The newest whole snapshot of this journal that reflects no record from `before` on.
    ///
    /// # Errors
    /// As [`Snapshots::latest`].
    pub fn snapshot(&self, before: u64) -> Result<Option<SnapshotReader>, SnapshotError> {
        self.snapshots.latest(before, &|position| self.holds(position))
    }

    /// Whether the journal has the record at a position; yes, if that record is archived, or missing in a gap.
    ///
    /// # Errors
    /// The journal cannot be read there.
    pub fn holds(&self, position: Position) -> Result<bool, ReadError> {
        cut::holds(&self.disk, &self.layout.journal, self.position, position)
    }
}
