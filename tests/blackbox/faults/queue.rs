//! Long queues, in short: the long form is `rsmev-load queue` (tests/README.md).

use emulator::{Participant, Selector};
use harness::{Kind, Metrics, Region};
use tokio::task::JoinSet;

use crate::common::{BINARY, LATER, assert_journal_whole, queues, request, send, system};

const PAIRS: usize = 4;
const EACH: usize = 1_000;
/// Octets of a payload: all of them together are far more than the gateway may take in memory.
const SIZE: usize = 30_000;
/// Octets that the queue may add to the memory of the process.
const MEMORY: u64 = 64 << 20;
/// What the spool's live segment may have reserved when there is nothing to write.
const RESERVED: f64 = 9e6;

fn namespace(pair: usize) -> String {
    format!("urn://test/long/{pair}")
}

fn region() -> harness::RegionBuilder {
    let mut builder = Region::builder(BINARY)
        .setting("retention", "bodies", "\"0s\"")
        .setting("log", "level", "\"warn\"");
    for pair in 0..PAIRS {
        let kind = format!("long-{pair}");
        builder = builder.kind(Kind::new(&kind, &namespace(pair))).local_exchange(
            &kind,
            &[&format!("CONSUMER{pair}")],
            &format!("PROVIDER{pair}"),
        );
    }
    builder
}

/// Does the same for every pair at once: what came of each.
async fn each_pair<T: Send + 'static, F>(work: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for pair in 0..PAIRS {
        let done = work(pair);
        tasks.spawn(async move { (pair, done.await) });
    }
    let mut all: Vec<_> = tasks.join_all().await;
    all.sort_by_key(|(pair, _)| *pair);
    all.into_iter().map(|(_, done)| done).collect()
}

async fn fill(consumer: Participant, pair: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(EACH);
    let filler = "я".repeat(SIZE / 2);
    for number in 0..EACH {
        ids.push(send(&consumer, request(&namespace(pair), &format!("{number} {filler}"))).await);
    }
    ids
}

async fn drain(provider: Participant) -> Vec<String> {
    let mut ids = Vec::with_capacity(EACH);
    while let Some(taken) = provider.get_request(&Selector::any()).await.unwrap() {
        provider.ack(&taken.data.message_id).await.unwrap();
        ids.push(taken.data.message_id);
    }
    ids
}

/// The most memory that the process ever had, in octets.
fn peak(region: &Region) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", region.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_long_queue_takes_little_memory_comes_once_in_order_and_gives_its_disk_back() {
    let mut region = region().start().await.unwrap();
    // What a few calls at once take, without a queue.
    for pair in 0..PAIRS {
        let (consumer, provider) = (format!("CONSUMER{pair}"), format!("PROVIDER{pair}"));
        send(&system(&region, &consumer), request(&namespace(pair), "первое")).await;
        assert_eq!(drain(system(&region, &provider)).await.len(), 1);
    }
    let before = peak(&region);
    let sent = each_pair(|pair| fill(system(&region, &format!("CONSUMER{pair}")), pair)).await;
    let full = |metrics: &Metrics| metrics.value("spool_needed_bytes", &[]) > Some((PAIRS * EACH * SIZE) as f64);
    region
        .wait_metrics("all of it is on the disk", LATER, full)
        .await
        .unwrap();
    let grown = peak(&region).saturating_sub(before);
    assert!(grown < MEMORY, "the queue took {grown} octets of memory");

    region.restart().await.unwrap();
    assert_eq!(queues(&region).await.values().sum::<u64>(), (PAIRS * EACH) as u64);
    let came = each_pair(|pair| drain(system(&region, &format!("PROVIDER{pair}")))).await;
    assert!(came == sent, "every message once, in the order of its queue");
    assert!(peak(&region).saturating_sub(before) < MEMORY);
    assert!(queues(&region).await.is_empty());
    let given_back = |metrics: &Metrics| {
        let of = |name| metrics.value(name, &[]).unwrap_or(f64::MAX);
        of("spool_needed_bytes") < 4e6
            && of("spool_bytes") < of("spool_needed_bytes") + RESERVED
            && of("index_bytes") < 20e6 + 2.0 * of("index_row_bytes")
    };
    region
        .wait_metrics("the disk is given back", LATER, given_back)
        .await
        .unwrap();
    assert_journal_whole(&region).await;
}
