//! The files of a backup as the data directory that they would make, to be read only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::disk::{Access, Disk, DiskFile, DiskLock, LockError, RealDisk};

use super::folder::Folder;
use super::manifest::Manifest;

/// Places in the data directory, and where they lie.
#[derive(Debug)]
pub(super) struct BackupDisk(BTreeMap<PathBuf, PathBuf>);

impl BackupDisk {
    pub(super) fn new(folder: &Folder, manifest: &Manifest) -> Self {
        let places = manifest.files.iter();
        Self(
            places
                .map(|file| (PathBuf::from(&file.path), folder.path(&file.stored)))
                .collect(),
        )
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for BackupDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        read_only()
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        match (self.0.get(path), access) {
            (Some(stored), Access::Read) => RealDisk.open(stored, Access::Read),
            (Some(_), Access::Write) => read_only(),
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let within = self.0.keys().filter(|path| path.parent() == Some(dir));
        Ok(within
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(0)
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        Err(LockError::Io(io::ErrorKind::ReadOnlyFilesystem.into()))
    }

    fn boot_id(&self) -> io::Result<String> {
        RealDisk.boot_id()
    }
}
