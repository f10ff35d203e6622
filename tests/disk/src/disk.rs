//! The disk itself, with faults that a test switches on while it is used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::disk::{Access, Disk, DiskFile, DiskLock, LockError};

use crate::file::MemFile;
use crate::platter::{Content, Node, Platter};
use crate::recording::{Op, Recording};
use crate::survivors::{self, Loss};

/// A disk in memory; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) platter: Platter,
    /// As it was in the beginning.
    start: Platter,
    ops: Vec<Op>,
    locked: bool,
    boot: u32,
    /// Octets that all files together may have.
    space: Option<usize>,
    fail_sync_of: Option<&'static str>,
    fail_write_to: Option<&'static str>,
    read_only: bool,
    /// How many operations that change something still succeed.
    operations: Option<usize>,
    /// How far syncs and writes were taken notice of.
    syncs_taken: usize,
    writes_taken: usize,
}

impl MemDisk {
    /// An empty disk on which this folder is there, and those that it lies in.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        let dirs = dir.ancestors().filter(|dir| dir.parent().is_some());
        let names = dirs.map(|dir| (dir.to_owned(), Node::Dir)).collect();
        Self::on(Platter::settled(Vec::new(), names), 0)
    }

    pub(crate) fn on(platter: Platter, boot: u32) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            start: platter.clone(),
            platter,
            boot,
            ..Inner::default()
        })))
    }

    /// In the form that stores and engines take.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// The disk as a crash of the machine leaves it: what was synced, under the names that were synced.
    #[must_use]
    pub fn after_crash(&self) -> Self {
        self.after(Loss::Everything)
    }

    /// The disk as a crash of the process leaves it: everything written, and what was not synced still in doubt.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        self.after(Loss::Process)
    }

    /// The disk as a crash at this moment leaves it.
    #[must_use]
    pub fn after(&self, loss: Loss) -> Self {
        let inner = self.inner();
        let boots = u32::from(loss != Loss::Process);
        Self::on(survivors::image(&inner.platter, loss), inner.boot + boots)
    }

    /// What was done to the disk so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let inner = self.inner();
        Recording {
            start: inner.start.clone(),
            boot: inner.boot,
            ops: inner.ops.clone(),
        }
    }

    /// How many operations there are in the recording so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.inner().ops.len()
    }

    /// So many octets may all files have together; or as many as they like.
    pub fn set_space(&self, space: Option<usize>) {
        self.inner().space = space;
    }

    /// Octets of all files.
    #[must_use]
    pub fn used(&self) -> usize {
        self.inner().platter.used()
    }

    /// Every sync of a path that contains `part` fails from now on; that of a directory ends with `/.`.
    pub fn fail_sync_of(&self, part: Option<&'static str>) {
        self.inner().fail_sync_of = part;
    }

    /// Every write to a path that contains `part` fails from now on, after half of it is written.
    pub fn fail_write_to(&self, part: Option<&'static str>) {
        self.inner().fail_write_to = part;
    }

    /// From now on nothing can be changed, as on a file system that the system has made read-only after a fault; or it can again.
    pub fn set_read_only(&self, read_only: bool) {
        self.inner().read_only = read_only;
    }

    /// So many operations that change something succeed from now on, and then none; or all again.
    pub fn stop_after(&self, operations: Option<usize>) {
        self.inner().operations = operations;
    }

    /// Whether [`stop_after`](Self::stop_after) has come to its end.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.inner().operations == Some(0)
    }

    /// Paths synced since the last call.
    pub fn take_syncs(&self) -> Vec<PathBuf> {
        let mut inner = self.inner();
        let new = inner.ops[inner.syncs_taken..].iter();
        let paths = new.filter_map(|op| match op {
            Op::Sync { path, .. } | Op::SyncDir(path) => Some(path.clone()),
            _ => None,
        });
        let paths = paths.collect();
        inner.syncs_taken = inner.ops.len();
        paths
    }

    /// Paths written to since the last call.
    pub fn take_writes(&self) -> Vec<PathBuf> {
        let mut inner = self.inner();
        let new = inner.ops[inner.writes_taken..].iter();
        let paths = new.filter_map(|op| match op {
            Op::Write { path, .. } => Some(path.clone()),
            _ => None,
        });
        let paths = paths.collect();
        inner.writes_taken = inner.ops.len();
        paths
    }

    /// Paths of files that end so, in order.
    #[must_use]
    pub fn paths(&self, suffix: &str) -> Vec<PathBuf> {
        let inner = self.inner();
        let files = inner.platter.names.iter().filter(|(_, node)| **node != Node::Dir);
        let paths = files.map(|(path, _)| path);
        paths
            .filter(|path| path.to_string_lossy().ends_with(suffix))
            .cloned()
            .collect()
    }

    /// The octets of a file.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn read(&self, path: &Path) -> Vec<u8> {
        let inner = self.inner();
        let inode = inner.platter.file(path).expect("the file is there");
        inner.platter.files[inode].now.clone()
    }

    /// Replaces the octets of a file durably, as something outside of the store would; folders come with it. Not part of
    /// the recording, which begins anew.
    pub fn write(&self, path: &Path, octets: Vec<u8>) {
        self.meddle(|platter| {
            let node = Node::File(platter.files.len());
            platter.files.push(Content {
                now: octets.clone(),
                durable: octets,
                unsynced: Vec::new(),
            });
            platter.unsynced_names.retain(|op| op.path != path);
            let dirs = path.ancestors().skip(1).filter(|dir| dir.parent().is_some());
            for (path, node) in dirs.map(|dir| (dir, Node::Dir)).chain([(path, node)]) {
                platter.names.insert(path.to_owned(), node);
                platter.durable_names.insert(path.to_owned(), node);
            }
        });
    }

    /// Removes a file durably, as something outside of the store would; not part of the recording, which begins anew.
    ///
    /// # Panics
    /// If there is none.
    pub fn delete(&self, path: &Path) {
        self.meddle(|platter| {
            assert!(platter.names.remove(path).is_some(), "{} is there", path.display());
            platter.durable_names.remove(path);
            platter.unsynced_names.retain(|op| op.path != path);
        });
    }

    fn meddle(&self, change: impl FnOnce(&mut Platter)) {
        let mut inner = self.inner();
        change(&mut inner.platter);
        inner.start = inner.platter.clone();
        inner.ops.clear();
        (inner.syncs_taken, inner.writes_taken) = (0, 0);
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, path: &Path, inode: usize, access: Access) -> Arc<dyn DiskFile> {
        Arc::new(MemFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            access,
        })
    }
}

impl Inner {
    /// One more operation, if there may be any.
    pub(crate) fn operate(&mut self) -> io::Result<()> {
        self.writable()?;
        match &mut self.operations {
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn writable(&self) -> io::Result<()> {
        match self.read_only {
            true => Err(io::Error::from_raw_os_error(30)),
            false => Ok(()),
        }
    }

    pub(crate) fn record(&mut self, op: Op) {
        self.platter.apply(&op);
        self.ops.push(op);
    }

    /// Octets that the files may grow by.
    pub(crate) fn room(&self) -> usize {
        self.space
            .map_or(usize::MAX, |space| space.saturating_sub(self.platter.used()))
    }

    pub(crate) fn write_fails(&self, path: &Path) -> bool {
        matches(self.fail_write_to, path)
    }

    pub(crate) fn sync_works(&self, path: &Path) -> io::Result<()> {
        match matches(self.fail_sync_of, path) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        let found = self.platter.file(path);
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A name can be given in a directory that is there; what lies above everything on this disk is.
    fn in_a_dir(&self, path: &Path) -> io::Result<()> {
        let names = &self.platter.names;
        let above = names
            .keys()
            .next()
            .is_none_or(|first| !path.starts_with(first) || path == first);
        match path.parent().and_then(|parent| names.get(parent)) {
            Some(Node::Dir) => Ok(()),
            None if above => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn matches(part: Option<&'static str>, path: &Path) -> bool {
    part.is_some_and(|part| path.to_string_lossy().contains(part))
}

impl Disk for MemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        match inner.platter.names.get(path) {
            Some(Node::Dir) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => {}
        }
        inner.in_a_dir(path)?;
        inner.operate()?;
        inner.record(Op::CreateDir(path.to_owned()));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.operate()?;
        if inner.platter.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.in_a_dir(path)?;
        let inode = inner.platter.files.len();
        inner.record(Op::Create {
            path: path.to_owned(),
            inode,
        });
        drop(inner);
        Ok(self.opened(path, inode, Access::Write))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner();
        let inode = inner.file(path)?;
        if access == Access::Write {
            inner.writable()?;
        }
        drop(inner);
        Ok(self.opened(path, inode, access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.operate()?;
        inner.file(from)?;
        inner.in_a_dir(to)?;
        inner.record(Op::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.file(path)?;
        inner.operate()?;
        inner.record(Op::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner();
        if inner.platter.names.get(dir) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = inner.platter.names.iter();
        let files = here.filter(|(path, node)| **node != Node::Dir && path.parent() == Some(dir));
        let names = files.filter_map(|(path, _)| path.file_name()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.operate()?;
        inner.sync_works(&dir.join("."))?;
        inner.record(Op::SyncDir(dir.to_owned()));
        Ok(())
    }

    fn free_space(&self, _path: &Path) -> io::Result<u64> {
        let room = self.inner().room();
        Ok(if room == usize::MAX { u64::MAX } else { room as u64 })
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        self.inner().writable().map_err(LockError::Io)?;
        if std::mem::replace(&mut self.inner().locked, true) {
            return Err(LockError::Held("somebody".to_owned()));
        }
        Ok(Box::new(MemLock(self.clone())))
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(format!("boot {}", self.inner().boot))
    }
}

#[derive(Debug)]
struct MemLock(MemDisk);

impl DiskLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.inner().locked = false;
    }
}
