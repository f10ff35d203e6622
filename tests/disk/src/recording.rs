//! What was done to a disk, in order, and going through it again up to a cut.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::MemDisk;
use crate::platter::Platter;
use crate::survivors::{self, Loss};

/// Operations before a cut that are shown when something is wrong there.
const BEFORE: usize = 16;

/// An operation that changed something, or made a change durable.
#[derive(Clone)]
#[expect(missing_docs, reason = "the fields are the arguments of the operation")]
pub enum Op {
    /// A directory was created.
    CreateDir(PathBuf),
    /// A file was created; it is known by its number from now on.
    Create { path: PathBuf, inode: usize },
    /// Octets were written.
    Write {
        path: PathBuf,
        inode: usize,
        offset: usize,
        octets: Arc<[u8]>,
    },
    /// A file was made at least so long.
    Preallocate { path: PathBuf, inode: usize, len: usize },
    /// A file was made exactly so long.
    Truncate { path: PathBuf, inode: usize, len: usize },
    /// A file's content and length were made durable.
    Sync { path: PathBuf, inode: usize },
    /// A file got another name.
    Rename { from: PathBuf, to: PathBuf },
    /// A file's name was removed.
    Remove(PathBuf),
    /// The names in a directory were made durable.
    SyncDir(PathBuf),
}

impl Op {
    /// Whether it makes anything durable.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::SyncDir(_))
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDir(path) => write!(f, "mkdir {}", path.display()),
            Self::Create { path, .. } => write!(f, "create {}", path.display()),
            Self::Write {
                path, offset, octets, ..
            } => write!(f, "write {} octets at {offset} of {}", octets.len(), path.display()),
            Self::Preallocate { path, len, .. } => write!(f, "preallocate {len} octets of {}", path.display()),
            Self::Truncate { path, len, .. } => write!(f, "truncate {} to {len}", path.display()),
            Self::Sync { path, .. } => write!(f, "sync {}", path.display()),
            Self::Rename { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::SyncDir(dir) => write!(f, "sync directory {}", dir.display()),
        }
    }
}

/// Everything that was done to a disk since it came to be.
#[derive(Debug, Clone)]
pub struct Recording {
    pub(crate) start: Platter,
    pub(crate) boot: u32,
    pub(crate) ops: Vec<Op>,
}

impl Recording {
    /// The operations, in order. A cut at `n` is a crash when the first `n` of them had been begun.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Cuts right before each operation that makes something durable, where the most is in doubt, and the one at the end.
    #[must_use]
    pub fn sync_points(&self) -> Vec<usize> {
        let syncs = self.ops.iter().enumerate().filter(|(_, op)| op.is_sync());
        syncs.map(|(place, _)| place).chain([self.ops.len()]).collect()
    }

    /// Does what may panic, and panics with the place as well.
    ///
    /// # Panics
    /// If it does.
    pub fn at_cut<T>(&self, cut: usize, loss: Loss, check: impl FnOnce() -> T) -> T {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)) {
            Ok(done) => done,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("it panicked");
                let before = &self.ops[cut.saturating_sub(BEFORE)..cut];
                panic!(
                    "cut at {cut} of {}, {loss:?}: {text}\nafter {before:#?}",
                    self.ops.len()
                )
            }
        }
    }

    /// Begins at the beginning.
    #[must_use]
    pub fn replay(&self) -> Replay<'_> {
        Replay {
            recording: self,
            platter: self.start.clone(),
            cut: 0,
        }
    }
}

/// A recording up to a cut; goes forward only.
#[derive(Debug, Clone)]
pub struct Replay<'a> {
    recording: &'a Recording,
    platter: Platter,
    cut: usize,
}

impl Replay<'_> {
    /// Goes on to a cut.
    ///
    /// # Panics
    /// If it lies before the present one, or behind the end.
    pub fn go_to(&mut self, cut: usize) {
        for op in &self.recording.ops[self.cut..cut] {
            self.platter.apply(op);
        }
        self.cut = cut;
    }

    /// The disk as the next start finds it after a crash at this cut.
    #[must_use]
    pub fn image(&self, loss: Loss) -> MemDisk {
        let boots = u32::from(loss != Loss::Process);
        MemDisk::on(survivors::image(&self.platter, loss), self.recording.boot + boots)
    }

    /// Whether a crash at this cut leaves the same whatever the loss.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let settled = |content: &crate::platter::Content| content.unsynced.is_empty();
        self.platter.unsynced_names.is_empty() && self.platter.files.iter().all(settled)
    }
}
