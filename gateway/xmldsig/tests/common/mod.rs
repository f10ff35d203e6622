//! What several test programs share. Not every one uses all of it.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr, unreachable_pub)]

pub mod generator;
pub mod signing;

use std::{fs, path::PathBuf};
use xmldsig::{Document, Limits};

/// A folder of the published third-party data, or `None` after saying loudly that it is not there.
pub fn published(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: {} is not there; third-party data are not part of the project",
        path.display()
    );
    None
}

/// The pairs `NAME.in.xml`, `NAME.expected` of a folder.
pub fn pairs(folder: &PathBuf) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let inputs = names.iter().filter_map(|n| n.strip_suffix(".in.xml"));
    inputs
        .map(|name| {
            let read = |end: &str| fs::read(folder.join(format!("{name}.{end}"))).unwrap();
            (name.to_owned(), read("in.xml"), read("expected"))
        })
        .collect()
}

pub fn parse(octets: &[u8]) -> Document<'_> {
    match Document::parse(octets, &Limits::default()) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(octets)),
    }
}
