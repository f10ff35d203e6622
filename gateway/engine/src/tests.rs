//! Promises of the whole engine, on a real disk: what survives restarts and crashes, and what comes back from the journal.

mod backup;
mod clock;
mod cut;
mod cuts;
mod destruction;
mod faults;
mod flips;
mod gap;
mod halts;
mod incidents;
mod model;
mod protection;
mod restart;
mod retention;
mod running;
mod timeline;

use std::collections::BTreeMap;
use std::path::Path;

use crate::index::Index;
use crate::state::Rows;

/// The rows of a stopped engine's index.
fn rows(data_dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let index = Index::open(&data_dir.join("index"), 16 << 20).unwrap();
    let rows = index.from(&[]).map(|row| row.unwrap());
    rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Copies a folder as it is at this moment: what a crash of the process leaves.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            // A file that is being replaced may be gone before it is copied.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

/// Empties a folder.
fn remove_files(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}
