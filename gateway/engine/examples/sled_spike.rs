//! What sled costs as the index, before anything is built on it: rows of 300 octets under random keys, each with a short
//! queue row, in batches of 100; memory, the time of a batch, and the time to open it again.
//!
//! `cargo run --release -p engine --example sled_spike -- [ROWS] [DIR]`; 100 000 rows unless told otherwise.
#![allow(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROW: usize = 300;
const BATCH: u64 = 100;
/// The engine flushes about four times a second; at this rate that is every 50 batches.
const FLUSH_EVERY: u64 = 50;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let given = arguments.next().map(PathBuf::from);
    let own = tempfile::tempdir_in(".").expect("a folder on the disk");
    let dir = given.as_deref().unwrap_or(own.path());
    let db = open(dir);

    let mut times = Vec::new();
    let started = Instant::now();
    for batch in 0..rows / BATCH {
        let begun = Instant::now();
        let mut changes = sled::Batch::default();
        for n in batch * BATCH..(batch + 1) * BATCH {
            changes.insert(&key(n)[..], vec![n.to_le_bytes()[0]; ROW]);
            let queue = [b"r", b"MUN001/requests\0gpzu\0".as_slice(), &n.to_be_bytes()].concat();
            changes.insert(queue, &[0; 8]);
        }
        db.apply_batch(changes).expect("sled applies");
        times.push(begun.elapsed());
        if batch % FLUSH_EVERY == 0 {
            db.flush().expect("sled flushes");
        }
        if (batch + 1) % (rows / BATCH / 5).max(1) == 0 {
            report(batch + 1, started.elapsed(), &mut times, dir);
        }
    }
    db.flush().expect("sled flushes");
    drop(db);
    let begun = Instant::now();
    let db = open(dir);
    let opened = begun.elapsed();
    assert!(
        db.contains_key(key(0)).expect("sled reads"),
        "what was flushed is there"
    );
    println!("opened again in {opened:.1?}; rss {} MiB", rss() >> 20);
}

fn open(dir: &Path) -> sled::Db {
    let config = sled::Config::new()
        .path(dir.join("spike"))
        .cache_capacity(64 << 20)
        .flush_every_ms(None);
    config.open().expect("sled opens")
}

/// A key that is spread evenly: a multiplication by an odd number is a permutation.
fn key(n: u64) -> [u8; 17] {
    let mut key = [b'm'; 17];
    key[1..9].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

fn report(batches: u64, passed: Duration, times: &mut Vec<Duration>, dir: &Path) {
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    let rows = batches * BATCH;
    println!(
        "{rows} rows after {passed:.1?}: batch of {BATCH} p99 {p99:.1?}, worst {worst:.1?}; rss {} MiB; disk {} MiB",
        rss() >> 20,
        disk(&dir.join("spike")) >> 20
    );
    times.clear();
}

/// Resident memory in octets (Linux).
fn rss() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * 4096
}

fn disk(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let lens = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => disk(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    lens.sum()
}
