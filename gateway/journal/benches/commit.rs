//! What durability costs: groups of 64 messages (a body of 2 KB and an event of about 1 KB each) committed one batch
//! after the other, against a bare append of the same octets to one preallocated file with fdatasync, in turns.
//!
//! `cargo bench -p journal [-- DIRECTORY]`; the directory decides which disk is measured.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::disk::{Disk, DiskFile, RealDisk};
use journal::{Options, Store};
use serde::Serialize;

const CALLERS: u64 = 64;
const BATCHES: u64 = 1500;
const TURNS: usize = 3;
const BODY: usize = 2048;

/// About what the accept event of a message holds.
#[derive(Serialize)]
struct Accepted<'a> {
    accepted: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    sender: &'a str,
    receiver: &'a str,
    kind: &'a str,
    body: journal::Location,
    digest: &'a str,
    signed_info: &'a str,
    signature: &'a str,
    certificate: &'a str,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let dir = match place {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    let mut out = std::io::stdout().lock();
    let signed_info = "c".repeat(430);
    writeln!(out, "{BATCHES} batches of {CALLERS} messages, {TURNS} turns\n")?;
    writeln!(
        out,
        "{:<44}{:>14}{:>12}{:>12}{:>14}",
        "", "messages/s", "p50 µs", "p99 µs", "CPU µs/message"
    )?;
    let mut rates = Vec::new();
    for turn in 0..TURNS {
        let event_octets;
        let store_rate;
        {
            let root = dir.path().join(format!("store{turn}"));
            let mut store = journal::open(&root, Options::default(), RealDisk::shared())?.store;
            let before = store.sizes().journal_bytes;
            let run = measure(|number| commit(&mut store, number, &signed_info))?;
            event_octets = one_record(&store)?;
            store_rate = run.report(&mut out, "store: bodies and events, both synced")?;
            drop(store);
            writeln!(
                out,
                "    record {event_octets} octets, journal from {before} octets, bodies {BODY} octets"
            )?;
        }
        std::fs::remove_dir_all(dir.path().join(format!("store{turn}")))?;

        let path = dir.path().join(format!("bare{turn}"));
        let per_batch = CALLERS as usize * (BODY + event_octets);
        let file = RealDisk.create(&path)?;
        file.preallocate(BATCHES * per_batch as u64)?;
        file.sync_data()?;
        let octets = vec![b'x'; per_batch];
        let run = measure(|batch| append(&file, &octets, batch * per_batch as u64))?;
        let bare_rate = run.report(&mut out, "bare: the same octets in one file, synced")?;
        std::fs::remove_file(&path)?;
        rates.push(store_rate / bare_rate);

        let root = dir.path().join(format!("relaxed{turn}"));
        let mut store = journal::open(&root, Options::default(), RealDisk::shared())?.store;
        let run = measure(|number| relaxed(&mut store, number, &signed_info))?;
        run.report(&mut out, "store: the same without syncs")?;
        drop(store);
        std::fs::remove_dir_all(&root)?;
    }
    rates.sort_by(f64::total_cmp);
    writeln!(out, "\nstore / bare: {:.2} (median of {TURNS})", rates[TURNS / 2])?;
    Ok(())
}

fn fill<'a>(
    store: &'a mut Store,
    number: u64,
    signed_info: &str,
) -> Result<journal::Batch<'a>, Box<dyn std::error::Error>> {
    let at = jiff::Timestamp::from_second(1_790_000_000 + number as i64)?;
    let mut batch = store.begin();
    let octets = [0x61; BODY];
    for caller in 0..CALLERS {
        let id = u128::from(number * CALLERS + caller).to_be_bytes();
        let body = batch.put_body(id, 0, 0, &octets)?;
        let event = Accepted {
            accepted: Fields {
                message: "0f2b6c1e-5d7a-11f0-9a3c-0242ac120002",
                sender: "MUN001",
                receiver: "GISOGD73",
                kind: "urn://gisogd73/gpzu/1.0.0",
                body,
                digest: "q0sVOGlfJXuZKZzSyWRFSmMgrXRVFn4RLGt3m7Xw6ZM=",
                signed_info,
                signature: "0vJ0bJ7YVt5U0fqkQ0h9mU0Jx3n2w8k7cV1yV0mWb8T9aKq1q6lYvJ7mJm0bJ7YVt5U0fqkQ0h9mU0Jx3n2wAA==",
                certificate: "5f0c3e5a7c1d2b4f6a8091a2b3c4d5e6f70812233445566778899aabbccddeef",
            },
        };
        batch.append(at, &event)?;
    }
    Ok(batch)
}

fn commit(store: &mut Store, number: u64, signed_info: &str) -> Result<(), Box<dyn std::error::Error>> {
    fill(store, number, signed_info)?.commit()?;
    Ok(())
}

fn relaxed(store: &mut Store, number: u64, signed_info: &str) -> Result<(), Box<dyn std::error::Error>> {
    fill(store, number, signed_info)?.commit_relaxed()?;
    Ok(())
}

fn append(file: &Arc<dyn DiskFile>, octets: &[u8], offset: u64) -> Result<(), Box<dyn std::error::Error>> {
    file.write_at(octets, offset)?;
    file.sync_data()?;
    Ok(())
}

fn one_record(store: &Store) -> Result<usize, Box<dyn std::error::Error>> {
    let record = store.events(store.last_seq()).next().ok_or("the journal is empty")??;
    Ok(record.octets().len())
}

struct Run {
    latencies: Vec<Duration>,
    total: Duration,
    /// CPU time of the thread that commits, system calls included.
    cpu: Duration,
}

fn measure(
    mut batch: impl FnMut(u64) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<Run, Box<dyn std::error::Error>> {
    let mut latencies = Vec::with_capacity(BATCHES as usize);
    let (start, cpu) = (Instant::now(), thread_cpu());
    for number in 0..BATCHES {
        let begun = Instant::now();
        batch(number)?;
        latencies.push(begun.elapsed());
    }
    let (total, cpu) = (start.elapsed(), thread_cpu() - cpu);
    latencies.sort_unstable();
    Ok(Run { latencies, total, cpu })
}

impl Run {
    fn report(&self, out: &mut impl std::io::Write, name: &str) -> std::io::Result<f64> {
        let messages = (BATCHES * CALLERS) as f64;
        let rate = messages / self.total.as_secs_f64();
        let quantile = |part: usize| self.latencies[self.latencies.len() * part / 100].as_micros();
        let cpu = self.cpu.as_secs_f64() * 1e6 / messages;
        writeln!(
            out,
            "{name:<44}{rate:>14.0}{:>12}{:>12}{cpu:>14.1}",
            quantile(50),
            quantile(99)
        )?;
        Ok(rate)
    }
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
