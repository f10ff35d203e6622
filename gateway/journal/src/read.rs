//! Reading the journal without a lock and beside a running writer, for export and trace.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use memchr::memmem::Finder;

use crate::disk::Disk;
use crate::error::{Damage, ReadError};
use crate::record::Record;
use crate::sealed::nanoseconds;
use crate::walk::{Scope, Walk};

/// Which records are wanted; by default all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before this sequence number.
    pub from_seq: Option<u64>,
    /// Not after this sequence number.
    pub to_seq: Option<u64>,
    /// Not before this time. Sealed segments outside of the times are not even decompressed.
    pub from: Option<Timestamp>,
    /// Not after this time.
    pub to: Option<Timestamp>,
    /// Only records whose octets contain this text somewhere; looked for before any JSON is parsed.
    pub contains: Option<String>,
}

/// Records of the journal in `dir` (the folder with the segments) that pass the filter, in order, up to the last whole
/// batch that was there at the time of the call. The chain is not computed: that is what
/// [`verify`](crate::verify::verify) does.
///
/// # Errors
/// If the directory cannot be listed, or begins after `from_seq`.
pub fn records(disk: Arc<dyn Disk>, dir: &Path, filter: Filter) -> Result<Records, ReadError> {
    let scope = Scope {
        from: filter.from_seq,
        chain: false,
        not_before: filter.from.map(nanoseconds),
        not_after: filter.to.map(nanoseconds),
    };
    Ok(Records::new(Ok(Walk::new(disk, dir, scope)?), filter))
}

/// Records, in order; ends after the first error.
pub struct Records {
    /// The error is the first and only item.
    walk: Result<Walk, Option<ReadError>>,
    contains: Option<Finder<'static>>,
    filter: Filter,
}

impl Records {
    /// Every record from `from_seq` on, up to `to_seq` if it is given, the chain checked.
    pub(crate) fn chained(disk: Arc<dyn Disk>, dir: &Path, from_seq: u64, to_seq: Option<u64>) -> Self {
        let scope = Scope {
            from: Some(from_seq),
            chain: true,
            not_before: None,
            not_after: None,
        };
        let filter = Filter {
            to_seq,
            ..Filter::default()
        };
        Self::new(Walk::new(disk, dir, scope), filter)
    }

    fn new(walk: Result<Walk, ReadError>, filter: Filter) -> Self {
        let contains = filter.contains.as_ref().map(|text| Finder::new(text).into_owned());
        Self {
            walk: walk.map_err(Some),
            contains,
            filter,
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let walk = match &mut self.walk {
            Ok(walk) => walk,
            Err(error) => return error.take().map(Err),
        };
        loop {
            let step = match walk.step()? {
                Ok(step) => step,
                Err(error) => return Some(Err(error)),
            };
            if self.filter.to_seq.is_some_and(|to| step.seq > to) {
                self.walk = Err(None);
                return None;
            }
            if self
                .contains
                .as_ref()
                .is_some_and(|finder| finder.find(walk.line()).is_none())
            {
                continue;
            }
            match Record::parse(walk.line()) {
                Ok(record) => {
                    let early = self.filter.from.is_some_and(|from| record.at < from);
                    let late = self.filter.to.is_some_and(|to| record.at > to);
                    if !early && !late {
                        return Some(Ok(record));
                    }
                }
                Err(what) => {
                    let damage = Damage {
                        file: walk.path(),
                        offset: step.offset,
                        seq: step.seq,
                        what: what.to_owned(),
                    };
                    self.walk = Err(None);
                    return Some(Err(damage.into()));
                }
            }
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
