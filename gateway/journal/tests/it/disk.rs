//! A disk in memory that knows what is durable: it can crash, run full, and fail a write or a sync.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use journal::disk::{Access, Disk, DiskFile, DiskLock, LockError};
use journal::{OpenError, Opened, Options};

pub(crate) const DIR: &str = "/data";

/// Small segments, so that tests roll over often.
pub(crate) fn small() -> Options {
    Options {
        journal_segment_bytes: 16 << 10,
        spool_segment_bytes: 16 << 10,
        ..Options::default()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct MemDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What a process sees.
    names: BTreeMap<PathBuf, Content>,
    /// The names that a crash leaves.
    durable_names: BTreeMap<PathBuf, Content>,
    dirs: BTreeSet<PathBuf>,
    locked: bool,
    boot: u32,
    /// Octets that all files together may have.
    space: Option<usize>,
    fail_sync_of: Option<&'static str>,
    fail_write_to: Option<&'static str>,
    /// How many operations that change something still succeed.
    operations: Option<usize>,
    syncs: Vec<PathBuf>,
    writes: Vec<PathBuf>,
}

#[derive(Debug, Default)]
struct Octets {
    now: Vec<u8>,
    durable: Vec<u8>,
}

type Content = Arc<Mutex<Octets>>;

impl MemDisk {
    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    pub(crate) fn open_store(&self) -> Result<Opened, OpenError> {
        self.open_with(small())
    }

    pub(crate) fn open_with(&self, options: Options) -> Result<Opened, OpenError> {
        journal::open(Path::new(DIR), options, self.shared())
    }

    /// The disk as a crash of the machine leaves it: what was synced, under the names that were synced.
    pub(crate) fn after_crash(&self) -> Self {
        self.copy(|inner| &inner.durable_names, |octets| octets.durable.clone(), 1)
    }

    /// The disk as a crash of the process leaves it: everything written.
    pub(crate) fn after_kill(&self) -> Self {
        self.copy(|inner| &inner.names, |octets| octets.now.clone(), 0)
    }

    fn copy(
        &self,
        names: impl Fn(&Inner) -> &BTreeMap<PathBuf, Content>,
        octets: impl Fn(&Octets) -> Vec<u8>,
        boots: u32,
    ) -> Self {
        let inner = self.lock();
        let names: BTreeMap<_, _> = names(&inner)
            .iter()
            .map(|(path, content)| {
                let left = octets(&content.lock().unwrap());
                (
                    path.clone(),
                    Arc::new(Mutex::new(Octets {
                        now: left.clone(),
                        durable: left,
                    })),
                )
            })
            .collect();
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(Inner {
            names,
            durable_names,
            dirs: inner.dirs.clone(),
            boot: inner.boot + boots,
            ..Inner::default()
        })))
    }

    pub(crate) fn set_space(&self, space: Option<usize>) {
        self.lock().space = space;
    }

    pub(crate) fn used(&self) -> usize {
        self.lock().used()
    }

    /// Every sync of a path that contains `part` fails from now on; that of a directory ends with `/.`.
    pub(crate) fn fail_sync_of(&self, part: Option<&'static str>) {
        self.lock().fail_sync_of = part;
    }

    /// Every write to a path that contains `part` fails from now on, after half of it is written.
    pub(crate) fn fail_write_to(&self, part: Option<&'static str>) {
        self.lock().fail_write_to = part;
    }

    /// So many operations that change something succeed from now on, and then none; or all again.
    pub(crate) fn stop_after(&self, operations: Option<usize>) {
        self.lock().operations = operations;
    }

    /// Whether [`stop_after`](Self::stop_after) has come to its end.
    pub(crate) fn has_stopped(&self) -> bool {
        self.lock().operations == Some(0)
    }

    /// Paths synced since the last call.
    pub(crate) fn take_syncs(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.lock().syncs)
    }

    /// Paths written to since the last call.
    pub(crate) fn take_writes(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.lock().writes)
    }

    /// Paths that end so, in order.
    pub(crate) fn paths(&self, suffix: &str) -> Vec<PathBuf> {
        self.lock()
            .names
            .keys()
            .filter(|path| path.to_string_lossy().ends_with(suffix))
            .cloned()
            .collect()
    }

    pub(crate) fn read(&self, path: &Path) -> Vec<u8> {
        self.lock().names[path].lock().unwrap().now.clone()
    }

    /// Replaces the octets of a file, as something outside of the store would.
    pub(crate) fn write(&self, path: &Path, octets: Vec<u8>) {
        let content = Arc::new(Mutex::new(Octets {
            now: octets.clone(),
            durable: octets,
        }));
        let mut inner = self.lock();
        inner.names.insert(path.to_owned(), Arc::clone(&content));
        inner.durable_names.insert(path.to_owned(), content);
    }

    pub(crate) fn delete(&self, path: &Path) {
        let mut inner = self.lock();
        assert!(inner.names.remove(path).is_some());
        inner.durable_names.remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.operations {
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used(&self) -> usize {
        self.names
            .values()
            .map(|content| content.lock().unwrap().now.len())
            .sum()
    }

    fn get(&self, path: &Path) -> io::Result<Content> {
        self.names
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

fn matches(part: Option<&'static str>, path: &Path) -> bool {
    part.is_some_and(|part| path.to_string_lossy().contains(part))
}

impl Disk for MemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.lock().dirs.insert(path.to_owned());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock();
        inner.operate()?;
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        inner.names.insert(path.to_owned(), Arc::clone(&content));
        drop(inner);
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            path: path.to_owned(),
            content,
        }))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let content = self.lock().get(path)?;
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            path: path.to_owned(),
            content,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        let content = inner.get(from)?;
        inner.names.remove(from);
        inner.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.get(path)?;
        inner.names.remove(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.lock();
        let here = inner.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        if matches(inner.fail_sync_of, &dir.join(".")) {
            return Err(io::Error::from_raw_os_error(5));
        }
        inner.syncs.push(dir.to_owned());
        let Inner {
            names, durable_names, ..
        } = &mut *inner;
        durable_names.retain(|path, _| path.parent() != Some(dir));
        for (path, content) in names.iter().filter(|(path, _)| path.parent() == Some(dir)) {
            durable_names.insert(path.clone(), Arc::clone(content));
        }
        Ok(())
    }

    fn free_space(&self, _path: &Path) -> io::Result<u64> {
        let inner = self.lock();
        Ok(inner
            .space
            .map_or(u64::MAX, |space| space.saturating_sub(inner.used()) as u64))
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        let mut inner = self.lock();
        if std::mem::replace(&mut inner.locked, true) {
            return Err(LockError::Held("somebody".to_owned()));
        }
        drop(inner);
        Ok(Box::new(MemLock(self.clone())))
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(format!("boot {}", self.lock().boot))
    }
}

#[derive(Debug)]
struct MemLock(MemDisk);

impl DiskLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.lock().locked = false;
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    path: PathBuf,
    content: Content,
}

impl MemFile {
    /// Octets that the file may grow by.
    fn room(&self) -> usize {
        let inner = self.disk.lock();
        inner
            .space
            .map_or(usize::MAX, |space| space.saturating_sub(inner.used()))
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock().unwrap();
        let rest = content.now.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        let room = self.room();
        let mut inner = self.disk.lock();
        inner.operate()?;
        inner.writes.push(self.path.clone());
        let fails = matches(inner.fail_write_to, &self.path);
        drop(inner);
        let mut content = self.content.lock().unwrap();
        let end = offset as usize + octets.len();
        let allowed = content.now.len().saturating_add(room);
        let end = if fails {
            offset as usize + octets.len() / 2
        } else {
            end.min(allowed)
        };
        if content.now.len() < end {
            content.now.resize(end, 0);
        }
        let part = end.saturating_sub(offset as usize);
        content.now[end - part..end].copy_from_slice(&octets[..part]);
        match part == octets.len() {
            true => Ok(()),
            false if fails => Err(io::Error::from_raw_os_error(5)),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.disk.lock().operate()?;
        let room = self.room();
        let mut content = self.content.lock().unwrap();
        let missing = (len as usize).saturating_sub(content.now.len());
        let grown = content.now.len() + missing.min(room);
        content.now.resize(grown, 0);
        if missing > room {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.lock().operate()?;
        self.content.lock().unwrap().now.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.operate()?;
        if matches(inner.fail_sync_of, &self.path) {
            return Err(io::Error::from_raw_os_error(5));
        }
        inner.syncs.push(self.path.clone());
        drop(inner);
        let mut content = self.content.lock().unwrap();
        content.durable = content.now.clone();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().now.len() as u64)
    }
}
