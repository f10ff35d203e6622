//! The small files of a data directory: the storage header (`FORMAT`), the mark of the last session (`SESSION`), and
//! how a directory comes to be.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::background::prepare;
use crate::disk::{Access, Disk, replace_file, unfinished};
use crate::error::{CommitError, Damage, OpenError};
use crate::frame::{self, SegmentHeader};
use crate::health::Health;
use crate::layout::{
    FORMAT, Form, Layout, OLDEST, SegmentName, UNFINISHED, is_known, journal_segments, raw_path, spool_path,
    spool_segments,
};
use crate::octets::{is_zero_from, read_whole};
use crate::spool::{self, SpoolEnd};
use crate::store::Options;

/// The longest that a small file can be.
const SMALL: u64 = 4096;

/// How a session stood when it wrote its mark: at its beginning, or at an orderly end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The boot of the machine in which it ran.
    pub boot: String,
    /// Whether it ended in order. If not, it is running or was cut short.
    pub clean: bool,
    /// The last record: at its end if it ended in order, else at its beginning.
    pub last_seq: u64,
}

/// The mark of the last session in a data directory; none if there is none or it makes no sense, as after a crash. Takes
/// no lock.
///
/// # Errors
/// The file cannot be read.
pub fn last_session(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Session>> {
    Session::load(disk, &Layout::new(dir))
}

/// Checks the storage header of a data directory without its lock: its version; none if there is no header, and no data
/// either.
///
/// # Errors
/// [`OpenError::NewerFormat`], [`OpenError::OlderFormat`], [`OpenError::Damaged`] if it cannot be read or is missing beside data, [`OpenError::Io`].
pub fn check_header(disk: &dyn Disk, dir: &Path) -> Result<Option<u32>, OpenError> {
    let layout = Layout::new(dir);
    let path = layout.format();
    if let Some(text) = read_small(disk, &path).map_err(|error| io_error(&path, error))? {
        return check(&path, &text).map(Some);
    }
    if is_untouched(disk, &layout).map_err(|error| io_error(&layout.root, error))? {
        return Ok(None);
    }
    let what = "the storage header is missing although there is data; restore it from a backup".to_owned();
    Err(Damage {
        file: path,
        offset: 0,
        seq: 0,
        what,
    }
    .into())
}

impl Session {
    pub(crate) fn load(disk: &dyn Disk, layout: &Layout) -> io::Result<Option<Self>> {
        Ok(read_small(disk, &layout.session())?.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    pub(crate) fn store(&self, disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        replace_file(disk, &layout.session(), &text)
    }
}

/// Checks the storage header: its version. Sets the directory up if there is none.
pub(crate) fn check_or_create(
    disk: &dyn Disk,
    layout: &Layout,
    options: &Options,
    health: &Health,
) -> Result<Option<u32>, OpenError> {
    let found = check_header(disk, &layout.root)?;
    if found.is_some() {
        return Ok(found);
    }
    for dir in [&layout.journal, &layout.spool, &layout.snapshot] {
        disk.create_dir(dir).map_err(|error| io_error(dir, error))?;
    }
    create(disk, layout, options, health).map_err(|error| match error {
        CommitError::NoSpace { path, error } => OpenError::Io { path, error },
        other => OpenError::Io {
            path: layout.root.clone(),
            error: io::Error::other(other),
        },
    })?;
    sync_parent(disk, &layout.root).map_err(|error| io_error(&layout.root, error))?;
    write_header(disk, layout)?;
    Ok(None)
}

/// Says in the storage header that what is written from now on has this program's format.
pub(crate) fn write_header(disk: &dyn Disk, layout: &Layout) -> Result<(), OpenError> {
    let path = layout.format();
    let text = format!("rsmev storage, format {FORMAT}\n");
    replace_file(disk, &path, text.as_bytes()).map_err(|error| io_error(&path, error))
}

fn check(path: &Path, text: &[u8]) -> Result<u32, OpenError> {
    let version = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim_end().strip_prefix("rsmev storage, format "))
        .and_then(|version| version.parse().ok());
    match version {
        Some(found) if is_known(found) => Ok(found),
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        Some(found) => Err(OpenError::OlderFormat {
            path: path.to_owned(),
            found,
            oldest: OLDEST,
        }),
        None => {
            let what = "the storage header is not readable; restore it from a backup".to_owned();
            Err(Damage {
                file: path.to_owned(),
                offset: 0,
                seq: 0,
                what,
            }
            .into())
        }
    }
}

/// Whether there is nothing but, at most, the remains of an interrupted setting up.
fn is_untouched(disk: &dyn Disk, layout: &Layout) -> io::Result<bool> {
    let first = SegmentName {
        first_seq: 1,
        form: Form::Raw,
        tag: None,
    };
    let journal = if_there(journal_segments(disk, &layout.journal))?;
    let spool = if_there(spool_segments(disk, &layout.spool))?;
    Ok(match journal.as_slice() {
        [] => true,
        [only] if *only == first => {
            is_zero_from(&*disk.open(&first.path(&layout.journal), Access::Read)?, frame::HEADER)?
        }
        _ => false,
    } && match spool.as_slice() {
        [] => true,
        [1] => is_zero_from(&*disk.open(&spool_path(&layout.spool, 1), Access::Read)?, spool::HEADER)?,
        _ => false,
    })
}

/// What a folder that is not there holds: nothing.
fn if_there<T: Default>(listed: io::Result<T>) -> io::Result<T> {
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        listed => listed,
    }
}

fn create(disk: &dyn Disk, layout: &Layout, options: &Options, health: &Health) -> Result<(), CommitError> {
    let journal = SegmentHeader {
        first_seq: 1,
        prev: [0; 32],
        spool: SpoolEnd {
            segment: 1,
            offset: spool::HEADER,
        },
    };
    let spool = spool_path(&layout.spool, 1);
    let raw = raw_path(&layout.journal, 1);
    for (dir, path, header, len) in [
        (&layout.spool, spool, &spool::header(1)[..], options.spool_segment_bytes),
        (
            &layout.journal,
            raw,
            &journal.encode()[..],
            options.journal_segment_bytes,
        ),
    ] {
        let made = prepare(disk, health, &unfinished(&path), header, len)?;
        disk.rename(&made.path, &path)
            .map_err(|error| health.sort(&path, "renaming to", error))?;
        disk.sync_dir(dir).map_err(|error| health.fail(dir, "syncing", error))?;
    }
    disk.sync_dir(&layout.root)
        .map_err(|error| health.fail(&layout.root, "syncing", error))
}

/// Makes the data directory's own name durable. Who may not read the directory above did not create it either.
fn sync_parent(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let parent = match root.parent() {
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    match disk.sync_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Removes what was not finished when the last session ended.
pub(crate) fn sweep(disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
    for dir in [&layout.root, &layout.journal, &layout.spool, &layout.snapshot] {
        for name in disk.list(dir)? {
            if name.ends_with(UNFINISHED) {
                disk.remove(&dir.join(name))?;
            }
        }
    }
    Ok(())
}

pub(crate) fn read_small(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = vec![0; usize::try_from(file.len()?.min(SMALL)).unwrap_or(0)];
    Ok(read_whole(&*file, &mut text, 0)?.then_some(text))
}

pub(crate) fn io_error(path: &Path, error: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        error,
    }
}
