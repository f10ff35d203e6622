//! The store on the disk of these tests.

use std::path::Path;

use journal::{OpenError, Opened, Options};
pub(crate) use testdisk::MemDisk;

pub(crate) const DIR: &str = "/data";

/// Small segments, so that tests roll over often.
pub(crate) fn small() -> Options {
    Options {
        journal_segment_bytes: 16 << 10,
        spool_segment_bytes: 16 << 10,
        ..Options::default()
    }
}

/// Opening a store on a disk.
pub(crate) trait OpenStore {
    fn open_with(&self, options: Options) -> Result<Opened, OpenError>;

    fn open_store(&self) -> Result<Opened, OpenError> {
        self.open_with(small())
    }
}

impl OpenStore for MemDisk {
    fn open_with(&self, options: Options) -> Result<Opened, OpenError> {
        journal::open(Path::new(DIR), options, self.shared())
    }
}
