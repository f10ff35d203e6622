//! Files that are read and replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Access, Disk, DiskFile};
use crate::layout::UNFINISHED;
use crate::octets::read_whole;

/// Reads a file of at most `limit` octets; none if there is no such file.
///
/// # Errors
/// `InvalidData` if it is larger; what the system says.
pub fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
    }
    let mut octets = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    match read_whole(&*file, &mut octets, 0)? {
        true => Ok(Some(octets)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Replaces a file in one step: whatever happens, it has its old content or all of the new one. When this returns `Ok`,
/// the new one is on stable storage.
///
/// # Errors
/// What the system says.
pub fn replace_file(disk: &dyn Disk, path: &Path, octets: &[u8]) -> io::Result<()> {
    let draft = unfinished(path);
    let file = create_anew(disk, &draft)?;
    file.write_at(octets, 0)?;
    file.sync_data()?;
    disk.rename(&draft, path)?;
    disk.sync_dir(path.parent().unwrap_or(path))
}

/// Creates a file in the place of what an interrupted writer may have left there.
pub(crate) fn create_anew(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.create(path)
}

/// Removes a file, if it is there. When this returns `Ok`, it will not come back.
///
/// # Errors
/// What the system says.
pub fn remove_file(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => disk.sync_dir(path.parent().unwrap_or(path)),
    }
}

/// The name of a file until it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(UNFINISHED);
    name.into()
}
