//! The narrow waist between the store and the operating system.
//!
//! Everything that this crate does to a disk goes through these two traits, so that a test can put a disk of its own
//! below the store: one that forgets what was not synced, runs full, fails a sync or records the order of operations.
//! The store relies on nothing that POSIX does not promise: written data is durable after [`DiskFile::sync_data`] of
//! that file, a created, renamed or removed name is durable after [`Disk::sync_dir`] of its directory.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod real;
mod whole;

pub use real::RealDisk;
pub(crate) use whole::{create_anew, unfinished};
pub use whole::{read_file, remove_file, replace_file};

/// A file system, or what stands for one in a test.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a directory for the owner only (mode 0700); one that exists already is fine. The parent must exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a file for the owner only (mode 0600), open for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file, for writing too when `access` says so.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file within a directory, replacing what had the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; those who have it open can go on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a directory, in no particular order; names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals in this directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Octets that an unprivileged writer can still allocate on the file system that holds `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// What the file system that holds `path` has, and what is free there. A disk that knows no more tells its
    /// [free space](Self::free_space).
    fn space(&self, path: &Path) -> io::Result<Space> {
        Ok(Space {
            free_bytes: self.free_space(path)?,
            ..Space::default()
        })
    }

    /// Takes the exclusive lock that belongs to this path, without waiting; it is held until the guard is dropped.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError>;

    /// A text that is different after each start of the machine.
    fn boot_id(&self) -> io::Result<String>;
}

/// An open file. All positions are octets from its beginning; there is no cursor, so that a file can be shared.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to `buffer.len()` octets; 0 means the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `octets`; after an error any part of them may have been written.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()>;

    /// Reserves space so that writes below `len` cannot run out of it, extending the file with zeros up to `len`.
    /// What the file holds already is kept.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len` octets and gives the rest of its space back.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes what was written durable, together with the file's length.
    fn sync_data(&self) -> io::Result<()>;

    /// Length of the file in octets.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no octets.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// What a file system has, and what an unprivileged writer can still have of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Octets that can still be allocated.
    pub free_bytes: u64,
    /// Octets of the whole file system; 0 if it does not tell.
    pub total_bytes: u64,
    /// Files that can still be created (inodes).
    pub free_files: u64,
    /// Files that the whole file system can hold; 0 if it has no such bound, and then `free_files` means nothing.
    pub total_files: u64,
}

/// Holds a lock of [`Disk::lock`] until it is dropped.
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// What an opened file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// Why a lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it; the text names the holder as well as the disk can tell.
    #[error("held by {0}")]
    Held(String),
    /// The lock could not be tried.
    #[error(transparent)]
    Io(#[from] io::Error),
}
