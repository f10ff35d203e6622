//! A disk that tells what a test wants of its space and its boots. What fails in the middle of a write is `testdisk`'s.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use journal::disk::{Access, Disk, DiskFile, DiskLock, LockError, RealDisk, Space};

/// The real disk; clones share what they tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct TellingDisk(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    space: Option<Space>,
    boots: u32,
    panic_on: Option<&'static str>,
    unreadable: Option<&'static str>,
    immutable: Option<&'static str>,
}

impl TellingDisk {
    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// What the file system says of its space from now on.
    pub(crate) fn tell(&self, space: Space) {
        self.0.lock().unwrap().space = Some(space);
    }

    /// Whoever creates a file whose path contains this panics, and who asks for the space of a folder if it is `space`.
    pub(crate) fn panic_on(&self, part: &'static str) {
        self.0.lock().unwrap().panic_on = Some(part);
    }

    fn may_panic(&self, path: &Path) {
        let part = self.0.lock().unwrap().panic_on;
        let hit = part.is_some_and(|part| path.to_string_lossy().contains(part));
        assert!(!hit, "a panic at {} that a test asked for", path.display());
    }

    /// Files whose path contains this cannot be opened to be read.
    pub(crate) fn unreadable(&self, part: Option<&'static str>) {
        self.0.lock().unwrap().unreadable = part;
    }

    /// Files whose name ends with this cannot be removed.
    pub(crate) fn immutable(&self, part: Option<&'static str>) {
        self.0.lock().unwrap().immutable = part;
    }

    /// The machine was started anew.
    pub(crate) fn boot(&self) {
        self.0.lock().unwrap().boots += 1;
    }
}

impl Disk for TellingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.may_panic(path);
        RealDisk.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let unreadable = self.0.lock().unwrap().unreadable;
        let hit = unreadable.is_some_and(|part| path.to_string_lossy().contains(part));
        if hit && access == Access::Read {
            return Err(io::Error::other("a test wants it so"));
        }
        RealDisk.open(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let immutable = self.0.lock().unwrap().immutable;
        if immutable.is_some_and(|part| path.to_string_lossy().ends_with(part)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        RealDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        Ok(self.space(path)?.free_bytes)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.may_panic(&path.join("space"));
        let told = self.0.lock().unwrap().space;
        told.map_or_else(|| RealDisk.space(path), Ok)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        RealDisk.lock(path)
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(format!("boot {}", self.0.lock().unwrap().boots))
    }
}
