//! What durability costs: groups of 64 messages (a body of 2 KB and an event of about 1 KB each) committed one batch
//! after the other, and between them bare appends of the same octets to one preallocated file with fdatasync: a disk
//! that is slowed down or shared slows both.
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
const BATCHES: u64 = 500;
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
    let mut ratios = Vec::new();
    for turn in 0..TURNS {
        let root = dir.path().join(format!("store{turn}"));
        let path = dir.path().join(format!("bare{turn}"));
        let mut store = journal::open(&root, Options::default(), RealDisk::shared())?.store;
        fill(&mut store, 0, &signed_info)?.commit()?;
        let record = one_record(&store)?;
        let octets = vec![b'x'; CALLERS as usize * (BODY + record)];
        let file = RealDisk.create(&path)?;
        file.preallocate(BATCHES * octets.len() as u64)?;
        file.sync_data()?;

        let (mut ours, mut bare) = (Run::default(), Run::default());
        for batch in 0..BATCHES {
            ours.time(|| Ok(fill(&mut store, batch + 1, &signed_info)?.commit().map(drop)?))?;
            bare.time(|| append(&file, &octets, batch * octets.len() as u64))?;
        }
        let ours = ours.report(&mut out, "store: bodies and events, both synced")?;
        let bare = bare.report(&mut out, "bare: the same octets in one file, synced")?;
        ratios.push(ours / bare);
        std::fs::remove_file(&path)?;

        let mut relaxed = Run::default();
        for batch in 0..BATCHES {
            relaxed.time(|| Ok(fill(&mut store, batch, &signed_info)?.commit_relaxed().map(drop)?))?;
        }
        relaxed.report(&mut out, "store: the same without syncs")?;
        writeln!(out, "    a record has {record} octets, a body {BODY}")?;
        drop(store);
        std::fs::remove_dir_all(&root)?;
    }
    ratios.sort_by(f64::total_cmp);
    writeln!(out, "\nstore / bare: {:.2} (median of {TURNS})", ratios[TURNS / 2])?;
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

fn append(file: &Arc<dyn DiskFile>, octets: &[u8], offset: u64) -> Result<(), Box<dyn std::error::Error>> {
    file.write_at(octets, offset)?;
    file.sync_data()?;
    Ok(())
}

fn one_record(store: &Store) -> Result<usize, Box<dyn std::error::Error>> {
    let record = store.events(store.last_seq()).next().ok_or("the journal is empty")??;
    Ok(record.octets().len())
}

#[derive(Default)]
struct Run {
    latencies: Vec<Duration>,
    /// CPU time of the thread that commits, system calls included.
    cpu: Duration,
}

impl Run {
    fn time(
        &mut self,
        batch: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let (begun, cpu) = (Instant::now(), thread_cpu());
        batch()?;
        self.latencies.push(begun.elapsed());
        self.cpu += thread_cpu() - cpu;
        Ok(())
    }

    fn report(mut self, out: &mut impl std::io::Write, name: &str) -> std::io::Result<f64> {
        self.latencies.sort_unstable();
        let messages = (BATCHES * CALLERS) as f64;
        let rate = messages / self.latencies.iter().sum::<Duration>().as_secs_f64();
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
