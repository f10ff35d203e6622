//! Watching the gateway: its metrics are those of the catalogue.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

#[path = "../common/mod.rs"]
mod common;

mod catalogue;
mod verification;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A file of the project.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a command of the gateway prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(common::BINARY).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The catalogue, by the metrics' names.
fn catalogue() -> BTreeMap<String, Value> {
    let printed = printed(&["reference", "metrics", "--output", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&printed).unwrap();
    rows.into_iter()
        .map(|row| (row["name"].as_str().unwrap().to_owned(), row))
        .collect()
}

/// The names of series that a histogram has.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The entry of the catalogue that a series belongs to.
fn entry<'c>(catalogue: &'c BTreeMap<String, Value>, series: &str) -> Option<&'c Value> {
    let of_histogram = || {
        let base = PARTS.iter().find_map(|part| series.strip_suffix(part))?;
        catalogue.get(base).filter(|row| row["type"] == "histogram")
    };
    match catalogue.get(series) {
        // A histogram's own name is the name of no series.
        Some(row) => Some(row).filter(|row| row["type"] != "histogram"),
        None => of_histogram(),
    }
}
