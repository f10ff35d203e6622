//! An open file.

use std::io;
use std::path::PathBuf;

use journal::disk::{Access, DiskFile};

use crate::disk::MemDisk;
use crate::platter::Inode;
use crate::recording::Op;

#[derive(Debug)]
pub(crate) struct MemFile {
    pub(crate) disk: MemDisk,
    pub(crate) path: PathBuf,
    pub(crate) inode: Inode,
    pub(crate) access: Access,
}

impl MemFile {
    fn writable(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(io::Error::from_raw_os_error(9)),
        }
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner();
        let now = &inner.platter.files[self.inode].now;
        let rest = now.get(place(offset)..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.writable()?;
        let offset = place(offset);
        let mut inner = self.disk.inner();
        inner.operate()?;
        let fails = inner.write_fails(&self.path);
        let allowed = inner.platter.files[self.inode].now.len().saturating_add(inner.room());
        let part = if fails {
            octets.len() / 2
        } else {
            octets.len().min(allowed.saturating_sub(offset))
        };
        inner.record(Op::Write {
            path: self.path.clone(),
            inode: self.inode,
            offset,
            octets: octets[..part].into(),
        });
        match part == octets.len() {
            true => Ok(()),
            false if fails => Err(io::Error::from_raw_os_error(5)),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        let mut inner = self.disk.inner();
        inner.operate()?;
        let now = inner.platter.files[self.inode].now.len();
        let (missing, room) = (place(len).saturating_sub(now), inner.room());
        inner.record(Op::Preallocate {
            path: self.path.clone(),
            inode: self.inode,
            len: now + missing.min(room),
        });
        if missing > room {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        let mut inner = self.disk.inner();
        inner.operate()?;
        inner.record(Op::Truncate {
            path: self.path.clone(),
            inode: self.inode,
            len: place(len),
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.operate()?;
        inner.sync_works(&self.path)?;
        inner.record(Op::Sync {
            path: self.path.clone(),
            inode: self.inode,
        });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.inner().platter.files[self.inode].now.len() as u64)
    }
}
