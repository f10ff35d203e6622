//! A journal that lacks what is known to have been durable. Before a start changes anything, it writes a note, which stays
//! until the loss is journaled, and puts aside what it would cut off or remove: that may be just what heals the loss.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::{Access, Disk, DiskFile, create_anew, remove_file, replace_file, unfinished};
use crate::error::{Damage, OpenError, ReadError};
use crate::gap::gaps;
use crate::layout::{Layout, spool_path, spool_segments};
use crate::octets::is_zero_from;
use crate::read::{Filter, records};
use crate::recovery::End;
use crate::setup::{io_error, read_small};
use crate::snapshot::Position;

/// Notes that are kept at most, the latest: so many starts would have to fail, each on another cut.
const KEPT: usize = 8;
/// Octets that are copied at once.
const PIECE: usize = 1 << 20;

/// The journal lacks records that are known to have been durable, or has others in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The last record that is known to have been durable.
    pub known: Position,
    /// Where the journal ends.
    pub end: Position,
    /// Name of the folder in the data directory with the files from which the start removed something, as they were; none
    /// if it removed nothing.
    pub aside: Option<String>,
    /// The record under which the loss was named, and which a person repeated; none if the start came upon it by itself.
    pub named: Option<u64>,
}

/// The cuts of a data directory that no record of its journal tells of yet. Takes no lock.
///
/// # Errors
/// [`OpenError::Io`], or [`OpenError::Damaged`] if the note cannot be read.
pub fn noted_cuts(disk: &dyn Disk, dir: &Path) -> Result<Vec<Cut>, OpenError> {
    load(disk, &Layout::new(dir))
}

/// Whether a journal that ends at `end` has the record at `position`; yes, if that record is archived, or missing in a gap.
pub(crate) fn holds(
    disk: &Arc<dyn Disk>,
    journal: &Path,
    end: Position,
    position: Position,
) -> Result<bool, ReadError> {
    if position.seq >= end.seq {
        return Ok(position == end);
    }
    let after = Filter {
        from_seq: Some(position.seq + 1),
        to_seq: Some(end.seq),
        ..Filter::default()
    };
    match records(Arc::clone(disk), journal, after).and_then(|mut records| records.next().transpose()) {
        Ok(Some(next)) if next.seq == position.seq + 1 => Ok(next.prev == position.digest),
        // What is missing cannot be compared, but for the record before it.
        Ok(Some(_)) => Ok(gaps(&**disk, journal)?
            .iter()
            .all(|gap| gap.first != position.seq + 1 || gap.before == position.digest)),
        Ok(None) | Err(ReadError::Archived { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Notes a cut and puts aside what a start will take away behind `end`. What an interrupted start began is completed.
pub(crate) fn keep(
    disk: &dyn Disk,
    layout: &Layout,
    end: &End,
    known: Position,
    named: Option<u64>,
    now: Timestamp,
) -> Result<(), OpenError> {
    let doomed = Doomed::find(disk, layout, end)?;
    let mut cut = Cut {
        known,
        end: end.position(),
        aside: None,
        named,
    };
    let mut notes = load(disk, layout)?;
    let same = |note: &Cut| (note.known, note.end) == (cut.known, cut.end);
    cut.aside = notes.iter().find(|note| same(note)).and_then(|note| note.aside.clone());
    if cut.aside.is_none() && !doomed.is_nothing() {
        cut.aside = Some(unused_name(disk, layout, now)?);
    }
    notes.retain(|note| (note.known, note.end) != (cut.known, cut.end));
    let aside = cut.aside.clone();
    notes.push(cut);
    notes.drain(..notes.len().saturating_sub(KEPT));
    store(disk, layout, &notes).map_err(|error| io_error(&layout.cut(), error))?;
    match aside {
        Some(name) => doomed.put_aside(disk, layout, &layout.root.join(name)),
        None => Ok(()),
    }
}

/// Files that a start will not leave as they are.
struct Doomed {
    /// Those whose end is cut off.
    shortened: Vec<(PathBuf, Arc<dyn DiskFile>)>,
    /// Those that are removed.
    removed: Vec<PathBuf>,
}

impl Doomed {
    fn find(disk: &dyn Disk, layout: &Layout, end: &End) -> Result<Self, OpenError> {
        let mut doomed = Self {
            shortened: Vec::new(),
            removed: Vec::new(),
        };
        doomed.check(end.replay.path.clone(), Arc::clone(&end.replay.file), end.replay.offset)?;
        let spool = end.replay.state.spool;
        for number in spool_segments(disk, &layout.spool).map_err(|error| io_error(&layout.spool, error))? {
            let path = spool_path(&layout.spool, number);
            if number > spool.segment {
                doomed.removed.push(path);
            } else if number == spool.segment {
                let file = disk.open(&path, Access::Read).map_err(|error| io_error(&path, error))?;
                doomed.check(path, file, spool.offset)?;
            }
        }
        Ok(doomed)
    }

    /// Takes note of a file that has more than zeros after its end.
    fn check(&mut self, path: PathBuf, file: Arc<dyn DiskFile>, end: u64) -> Result<(), OpenError> {
        if !is_zero_from(&*file, end).map_err(|error| io_error(&path, error))? {
            self.shortened.push((path, file));
        }
        Ok(())
    }

    fn is_nothing(&self) -> bool {
        self.shortened.is_empty() && self.removed.is_empty()
    }

    fn put_aside(&self, disk: &dyn Disk, layout: &Layout, dir: &Path) -> Result<(), OpenError> {
        let io = |error| io_error(dir, error);
        disk.create_dir(dir).map_err(io)?;
        disk.sync_dir(&layout.root)
            .map_err(|error| io_error(&layout.root, error))?;
        for (path, file) in &self.shortened {
            copy(disk, &**file, &within(dir, path)).map_err(|error| io_error(path, error))?;
        }
        for path in &self.removed {
            bring(disk, path, &within(dir, path)).map_err(|error| io_error(path, error))?;
        }
        disk.sync_dir(dir).map_err(io)?;
        disk.sync_dir(&layout.spool)
            .map_err(|error| io_error(&layout.spool, error))
    }
}

pub(crate) fn within(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.file_name().unwrap_or_default())
}

/// Moves a file, to another file system too.
fn bring(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy(disk, &*disk.open(from, Access::Read)?, to)?;
            disk.sync_dir(to.parent().unwrap_or(to))?;
            disk.remove(from)
        }
        moved => moved,
    }
}

/// Copies a file; it gets its name when it is whole and durable.
pub(crate) fn copy(disk: &dyn Disk, from: &dyn DiskFile, to: &Path) -> io::Result<()> {
    let temporary = unfinished(to);
    let file = create_anew(disk, &temporary)?;
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    loop {
        match from.read_at(&mut piece, offset)? {
            0 => break,
            read => {
                file.write_at(&piece[..read], offset)?;
                offset += read as u64;
            }
        }
    }
    file.sync_data()?;
    disk.rename(&temporary, to)
}

/// A name after the time that no folder has.
fn unused_name(disk: &dyn Disk, layout: &Layout, now: Timestamp) -> Result<String, OpenError> {
    let time = format!("cut-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let mut name = time.clone();
    for number in 2.. {
        let dir = layout.root.join(&name);
        match disk.list(&dir) {
            Ok(files) if !files.is_empty() => name = format!("{time}-{number}"),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&dir, error)),
            _ => break,
        }
    }
    Ok(name)
}

/// A cut as the note tells it.
#[derive(Serialize, Deserialize)]
struct Note {
    known: u64,
    known_digest: String,
    end: u64,
    end_digest: String,
    aside: Option<String>,
    #[serde(default)]
    named: Option<u64>,
}

impl Note {
    fn read(self) -> Option<Cut> {
        let position = |seq, text: &str| {
            let mut digest = [0; 32];
            hex::decode_to_slice(text, &mut digest).ok()?;
            Some(Position { seq, digest })
        };
        Some(Cut {
            known: position(self.known, &self.known_digest)?,
            end: position(self.end, &self.end_digest)?,
            aside: self.aside,
            named: self.named,
        })
    }
}

pub(crate) fn load(disk: &dyn Disk, layout: &Layout) -> Result<Vec<Cut>, OpenError> {
    let path = layout.cut();
    let Some(text) = read_small(disk, &path).map_err(|error| io_error(&path, error))? else {
        return Ok(Vec::new());
    };
    let notes: Option<Vec<Note>> = serde_json::from_slice(&text).ok();
    let cuts = notes.and_then(|notes| notes.into_iter().map(Note::read).collect());
    cuts.ok_or_else(|| {
        let what =
            "the note of a cut of the journal cannot be read; look for the folders cut-* beside it, then remove it";
        let damage = Damage {
            file: path,
            offset: 0,
            seq: 0,
            what: what.to_owned(),
        };
        damage.into()
    })
}

fn store(disk: &dyn Disk, layout: &Layout, cuts: &[Cut]) -> io::Result<()> {
    let note = |cut: &Cut| Note {
        known: cut.known.seq,
        known_digest: hex::encode(cut.known.digest),
        end: cut.end.seq,
        end_digest: hex::encode(cut.end.digest),
        aside: cut.aside.clone(),
        named: cut.named,
    };
    let notes: Vec<_> = cuts.iter().map(note).collect();
    let mut text = serde_json::to_vec(&notes)?;
    text.push(b'\n');
    replace_file(disk, &layout.cut(), &text)
}

/// Removes the note.
pub(crate) fn forget(disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
    remove_file(disk, &layout.cut())
}
