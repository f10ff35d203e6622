//! Reading bodies out of the spool, beside the writer.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{BodyDamage, BodyError};
use crate::layout::{MAX_SEGMENT, spool_path};
use crate::octets::read_whole;
use crate::spool::{RECORD, RecordHeader};

/// Where a body lies in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Number of the spool segment.
    pub segment: u64,
    /// Octets from the beginning of the segment file to the record.
    pub offset: u32,
    /// Length of the body in octets.
    pub len: u32,
}

/// A body with what its record says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The message that the body belongs to.
    pub message: [u8; 16],
    /// Which part of the message it is.
    pub part: u16,
    /// The flags given when it was put; this crate gives them no meaning.
    pub flags: u16,
    /// The octets as they were put.
    pub octets: Vec<u8>,
}

/// Reads bodies, from any number of threads. A clone shares the open files.
///
/// A segment that is removed while it is being read stays readable to that reader.
#[derive(Debug, Clone)]
pub struct Bodies {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: Arc<OpenSegments>,
}

impl Bodies {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, open_segments: usize) -> Self {
        let open = OpenSegments {
            files: Mutex::new(VecDeque::new()),
            limit: open_segments.max(1),
        };
        Self {
            disk,
            dir,
            open: Arc::new(open),
        }
    }

    /// Reads the body of this part of this message.
    ///
    /// # Errors
    /// [`BodyError::Gone`] if the segment was removed: a relocated body has a new location, look it up once more.
    /// [`BodyError::Damaged`] if the record's CRC is wrong or it belongs to another message or part.
    pub fn read(&self, location: &Location, message: [u8; 16], part: u16) -> Result<Vec<u8>, BodyError> {
        Ok(self.read_flagged(location, message, part)?.octets)
    }

    /// The same with the flags that were given when it was put.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_flagged(&self, location: &Location, message: [u8; 16], part: u16) -> Result<Body, BodyError> {
        let body = self.read_record(location)?;
        if body.message != message || body.part != part {
            return Err(self
                .damage(location, "the record belongs to another message or part")
                .into());
        }
        Ok(body)
    }

    /// Reads whatever record lies at the location, checked against its length and its own CRC.
    ///
    /// # Errors
    /// As [`read`](Self::read), except that the message and the part are not known.
    pub fn read_record(&self, location: &Location) -> Result<Body, BodyError> {
        match self.read_once(location) {
            // Somebody may have put another file under the name of the one that is open: a segment from a backup.
            Err(BodyError::Damaged(_)) => {
                self.forget(location.segment);
                self.read_once(location)
            }
            read => read,
        }
    }

    fn read_once(&self, location: &Location) -> Result<Body, BodyError> {
        if u64::from(location.len) > MAX_SEGMENT {
            return Err(self.damage(location, "no record is that long").into());
        }
        let file = self.segment(location.segment)?;
        let mut octets = vec![0; RECORD + location.len as usize];
        let whole = read_whole(&*file, &mut octets, location.offset.into()).map_err(|error| BodyError::Io {
            path: spool_path(&self.dir, location.segment),
            error,
        })?;
        if !whole {
            return Err(self.damage(location, "the file ends before the record does").into());
        }
        let header = RecordHeader::decode(&octets);
        if header.len != location.len {
            return Err(self.damage(location, "no record of that length begins here").into());
        }
        if header.crc != header.crc_over(&octets[RECORD..]) {
            return Err(self.damage(location, "the CRC of the record is wrong").into());
        }
        octets.drain(..RECORD);
        Ok(Body {
            message: header.message,
            part: header.part,
            flags: header.flags,
            octets,
        })
    }

    /// Lets go of a segment that has been removed.
    pub(crate) fn forget(&self, segment: u64) {
        self.open.lock().retain(|(number, _)| *number != segment);
    }

    fn segment(&self, segment: u64) -> Result<Arc<dyn DiskFile>, BodyError> {
        if let Some(file) = self.open.find(segment) {
            return Ok(file);
        }
        let path = spool_path(&self.dir, segment);
        match self.disk.open(&path, Access::Read) {
            Ok(file) => {
                self.open.keep(segment, Arc::clone(&file));
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BodyError::Gone(segment)),
            Err(error) => Err(BodyError::Io { path, error }),
        }
    }

    /// Names the place of a body that cannot be what it should, as who gives flags and octets their meaning may find too.
    #[must_use]
    pub fn damage(&self, location: &Location, what: &'static str) -> BodyDamage {
        BodyDamage {
            file: spool_path(&self.dir, location.segment),
            offset: location.offset.into(),
            what,
        }
    }
}

/// Open segment files, the last used ones at the front.
#[derive(Debug)]
struct OpenSegments {
    files: Mutex<VecDeque<(u64, Arc<dyn DiskFile>)>>,
    limit: usize,
}

impl OpenSegments {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<dyn DiskFile>)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, segment: u64) -> Option<Arc<dyn DiskFile>> {
        let mut files = self.lock();
        let index = files.iter().position(|(number, _)| *number == segment)?;
        files.swap(0, index);
        files.front().map(|(_, file)| Arc::clone(file))
    }

    fn keep(&self, segment: u64, file: Arc<dyn DiskFile>) {
        let mut files = self.lock();
        files.push_front((segment, file));
        files.truncate(self.limit);
    }
}
