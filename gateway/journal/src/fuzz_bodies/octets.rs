//! Octets as the only file of a disk that is read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile, DiskLock, LockError};

/// A disk with one file.
#[derive(Debug)]
pub(super) struct OneFile {
    path: PathBuf,
    file: Arc<Octets>,
}

impl OneFile {
    pub(super) fn disk(path: PathBuf, octets: Vec<u8>) -> Arc<dyn Disk> {
        let file = Arc::new(Octets(octets));
        Arc::new(Self { path, file })
    }
}

/// A file's content.
#[derive(Debug)]
pub(super) struct Octets(pub(super) Vec<u8>);

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl DiskFile for Octets {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(offset..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        read_only()
    }

    fn preallocate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

impl Disk for OneFile {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        read_only()
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        match access {
            Access::Write => read_only(),
            Access::Read if path == self.path => Ok(Arc::<Octets>::clone(&self.file)),
            Access::Read => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let here = self.path.parent() == Some(dir);
        let name = self.path.file_name().and_then(|name| name.to_str()).filter(|_| here);
        Ok(name.map(str::to_owned).into_iter().collect())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(0)
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        Err(LockError::Io(io::ErrorKind::ReadOnlyFilesystem.into()))
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(String::new())
    }
}
