//! Reading the journal without a lock, for export and trace.
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::disk::Disk;
use crate::error::ReadError;
use crate::record::Record;

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before this sequence number.
    pub from_seq: Option<u64>,
    /// Not after this sequence number.
    pub to_seq: Option<u64>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Not after this time.
    pub to: Option<Timestamp>,
    /// Only records whose octets contain this text somewhere.
    pub contains: Option<String>,
}

/// Records of the journal in `dir` (the folder with the segments) that pass the filter, in order.
pub fn records(_disk: Arc<dyn Disk>, _dir: &Path, _filter: Filter) -> Result<Records, ReadError> {
    unimplemented!()
}

/// Records, in order; ends after the first error.
#[derive(Debug)]
pub struct Records;

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
