//! Records that are missing, and known to be: a sealed segment that stands in their place, so that all who read the journal
//! pass over them and none can fail to see it. It goes wherever sealed segments go: into archives, backups, acts.
//!
//! That it is there says nothing of whether a person agreed to it; the record that tells so comes later, and whoever verifies
//! the journal demands it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Damage, ReadError};
use crate::layout::{Form, SegmentName, journal_segments};
use crate::record::Digest;
use crate::sealed::{self, Ends, Sealing, Summary};

/// Longest line of a gap, in octets.
const LINE: u64 = 64 << 10;

/// A range of records that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Digest of the record before the first.
    #[serde(with = "hexadecimal")]
    pub before: Digest,
    /// Digest of the last one, as the record after it tells.
    #[serde(with = "hexadecimal")]
    pub after: Digest,
    /// The record under which the damage was named, and which a person repeated.
    pub named: u64,
    /// The file that was damaged, in the journal's folder.
    pub file: String,
    /// Where, as in [`Damage::offset`].
    pub offset: u64,
    /// What was wrong.
    pub what: String,
    /// Name of the folder in the data directory with the files as they were; none if all that was wrong was that one was
    /// missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
}

/// The line of a gap.
#[derive(Serialize, Deserialize)]
struct Line {
    gap: Gap,
}

impl Gap {
    /// Puts the gap into an unfinished file; it is durable then.
    pub(crate) fn write(&self, disk: &dyn Disk, path: &Path, level: i32, at: Timestamp) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { gap: self.clone() })?;
        line.push(b'\n');
        let mut sealing = Sealing::create(disk, path, level)?;
        sealing.put(&line)?;
        sealing.at(at);
        let ends = Ends {
            first_seq: self.first,
            last_seq: self.last,
            prev: self.before,
            last_digest: self.after,
            gap: true,
        };
        let (file, _) = sealing.finish(&ends)?;
        file.sync_data()
    }

    /// Reads the gap of a segment whose summary says that it is one; the inner error says what is wrong with it.
    pub(crate) fn read(file: Arc<dyn DiskFile>, summary: &Summary) -> io::Result<Result<Self, &'static str>> {
        use std::io::{BufRead as _, Read as _};
        let mut line = Vec::new();
        if let Err(error) = sealed::lines(file)?.take(LINE).read_until(b'\n', &mut line) {
            return match error.raw_os_error() {
                Some(_) => Err(error),
                None => Ok(Err("the line of the gap does not decompress")),
            };
        }
        let Ok(Line { gap }) = serde_json::from_slice(&line) else {
            return Ok(Err("the line does not have the form of a gap"));
        };
        let told = (gap.first, gap.last, gap.before, gap.after);
        let summed_up = (summary.first_seq, summary.last_seq, summary.prev, summary.last_digest);
        if told != summed_up || gap.first > gap.last || gap.last == u64::MAX {
            return Ok(Err("the gap is not the one that the summary tells of"));
        }
        Ok(Ok(gap))
    }

    /// For one who finds that nobody agreed to it.
    #[must_use]
    pub fn unaccepted(&self) -> Damage {
        let Self { first, last, file, .. } = self;
        Damage {
            file: file.into(),
            offset: self.offset,
            seq: self.named,
            what: format!(
                "records {first} to {last} are missing, and no record tells that a person accepted it ({})",
                self.what
            ),
        }
    }
}

/// The gaps of a journal folder, in order. Takes no lock.
///
/// # Errors
/// The folder or a file cannot be read, or a summary or a gap is damaged.
pub fn gaps(disk: &dyn Disk, dir: &Path) -> Result<Vec<Gap>, ReadError> {
    let segments = journal_segments(disk, dir).map_err(|error| ReadError::Io {
        path: dir.to_owned(),
        error,
    })?;
    let sealed = segments.iter().filter(|name| name.form == Form::Sealed);
    sealed
        .filter_map(|name| of_segment(disk, dir, name).transpose())
        .collect()
}

fn of_segment(disk: &dyn Disk, dir: &Path, name: &SegmentName) -> Result<Option<Gap>, ReadError> {
    let path = name.path(dir);
    let io = |error| ReadError::Io {
        path: path.clone(),
        error,
    };
    let damage = |what: &str| Damage {
        file: path.clone(),
        offset: 0,
        seq: name.first_seq,
        what: what.to_owned(),
    };
    let file = disk.open(&path, Access::Read).map_err(io)?;
    let summary = Summary::read(&*file).map_err(io)?.map_err(damage)?;
    if !summary.gap {
        return Ok(None);
    }
    Ok(Some(Gap::read(file, &summary).map_err(io)?.map_err(damage)?))
}

mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::record::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(D::Error::custom)?;
        Ok(digest)
    }
}
