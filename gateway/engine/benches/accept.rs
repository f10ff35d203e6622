//! Durable accepts per second: the whole engine (decisions, journal with its hash chain, spool, index) beside a bare
//! append of the same bodies with fdatasync, in the same run, under the same waiting callers: both prepare the same
//! requests, wait for the commit, and begin again; both commit what waits as one batch into space written before. The bare
//! append prepares its segment before the clock starts; the engine goes on to new segments while it is measured.
//!
//! `cargo bench -p engine` runs both in turns and prints the rates and their ratio. `-- --seconds N` sets the length of
//! a turn, `-- --callers N` the number of callers, `-- --turns N` how often.
#![allow(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::clock::{Clock, SystemClock};
use engine::command::{Content, Evidence, Incoming, Part, PayloadRoot, RegistryChange, RoutingFacts, SchemaVerdict};
use engine::names::{MessageId, Party};
use engine::{Engine, Settings, Start};
use gost::{Curve, KeyAlgorithm, Signer, SoftwareKey};
use journal::disk::RealDisk;
use tokio::sync::{mpsc, oneshot};

/// Octets of a body.
const BODY: usize = 2048;
/// Largest batch of the bare append, as the engine's.
const BATCH: usize = 256;

struct Options {
    callers: usize,
    length: Duration,
    turns: usize,
}

fn main() {
    let options = Options {
        callers: argument("--callers").unwrap_or(64),
        length: Duration::from_secs(argument("--seconds").unwrap_or(3) as u64),
        turns: argument("--turns").unwrap_or(3),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let mut ratios = Vec::new();
    for turn in 0..options.turns {
        let place = dir.path().join(turn.to_string());
        std::fs::create_dir(&place).expect("a folder");
        let bare = runtime.block_on(bare(&place, &options));
        let whole = runtime.block_on(whole(&place.join("data"), &options));
        println!(
            "{BODY} octets, {} callers: bare append {:.0}/s (p99 {:?}), engine {:.0}/s (p99 {:?}), ratio {:.3}",
            options.callers,
            bare.rate,
            bare.p99,
            whole.rate,
            whole.p99,
            whole.rate / bare.rate
        );
        ratios.push(whole.rate / bare.rate);
        std::fs::remove_dir_all(&place).expect("cleaning up");
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3} (wanted: at least 0.3)", ratios[ratios.len() / 2]);
}

fn argument(name: &str) -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

struct Measured {
    rate: f64,
    p99: Duration,
}

/// Runs `callers` tasks that each call again as soon as they are answered.
async fn measure<F, Fut>(options: &Options, call: F) -> Measured
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let number = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let end = started + options.length;
    let callers: Vec<_> = (0..options.callers)
        .map(|_| {
            let (call, number) = (call.clone(), Arc::clone(&number));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    call(number.fetch_add(1, Ordering::Relaxed)).await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.expect("a caller"));
    }
    let passed = started.elapsed();
    times.sort_unstable();
    Measured {
        rate: times.len() as f64 / passed.as_secs_f64(),
        p99: times[times.len() * 99 / 100],
    }
}

/// One committer thread appends to a preallocated segment and syncs once per batch.
async fn bare(dir: &Path, options: &Options) -> Measured {
    let (sender, mut receiver) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>(1024);
    let mut segment = Segment::new(dir).expect("a disk that works");
    let committer = std::thread::spawn(move || -> io::Result<()> {
        let mut waiting = Vec::with_capacity(BATCH);
        let mut octets = Vec::new();
        while receiver.blocking_recv_many(&mut waiting, BATCH) > 0 {
            octets.clear();
            for (body, _) in &waiting {
                octets.extend_from_slice(body);
            }
            segment.append(&octets)?;
            for (_, reply) in waiting.drain(..) {
                let _ = reply.send(());
            }
        }
        Ok(())
    });
    let measured = measure(options, move |n| {
        let sender = sender.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let body = request(n).parts.pop().expect("a request has a body").octets;
            sender.send((body, reply)).await.expect("the committer works");
            answer.await.expect("the committer answers");
        }
    })
    .await;
    committer.join().expect("the committer").expect("a disk that works");
    measured
}

struct Segment {
    file: File,
    at: u64,
}

impl Segment {
    const LEN: u64 = 64 << 20;

    fn new(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(dir.join("bare"))?;
        let zeros = vec![0; 1 << 20];
        for at in (0..Self::LEN).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.at + octets.len() as u64 > Self::LEN {
            // Overwritten again: preparing segments is not part of what is measured.
            self.at = 0;
        }
        self.file.write_all_at(octets, self.at)?;
        self.at += octets.len() as u64;
        self.file.sync_data()
    }
}

/// The engine, as a door calls it.
async fn whole(dir: &Path, options: &Options) -> Measured {
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).expect("a key");
    let subject = "CN=bench".parse().expect("a name");
    let certificate = gost::self_signed(&key, &subject, 1_700_000_000, 2_500_000_000).expect("a certificate");
    let mut settings = Settings::new(dir.to_owned(), "RSMEV73".parse().expect("a mnemonic"));
    settings.queue_messages = u64::MAX;
    settings.disk_reserve = Some(0);
    let engine = Engine::start(Start {
        at_rest: None,
        settings,
        clock: Arc::new(SystemClock),
        disk: RealDisk::shared(),
        signer: Arc::new(key) as Arc<dyn Signer>,
        certificate,
    })
    .expect("an engine");
    engine.apply_registry(registry(), "bench").await.expect("a registry");
    let caller = engine.clone();
    let measured = measure(options, move |n| {
        let engine = caller.clone();
        async move {
            engine.accept(request(n)).await.expect("accepted");
        }
    })
    .await;
    engine.shutdown().await;
    measured
}

/// The region that the tests have.
fn registry() -> RegistryChange {
    RegistryChange {
        content: serde_json::from_str(include_str!("../src/testing/region.json")).expect("a registry"),
        prune: true,
        blobs: BTreeMap::new(),
    }
}

/// A request with evidence of the usual size.
fn request(n: u64) -> Incoming {
    let now = SystemClock.now();
    let seconds = u64::try_from(now.as_second()).expect("after 1970");
    let nanos = u32::try_from(now.subsec_nanosecond()).expect("not negative");
    let [.., a, b, c, d, e, f] = n.to_be_bytes();
    let time = uuid::Timestamp::from_unix_time(seconds, nanos, u128::from(n & 0x3fff), 14);
    let id = MessageId::new(uuid::Uuid::new_v1(time, &[a, b, c, d, e, f])).expect("version 1");
    let signed_info = format!(
        "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:CanonicalizationMethod \
         Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:CanonicalizationMethod><ds:SignatureMethod \
         Algorithm=\"urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256\"></ds:SignatureMethod>\
         <ds:Reference URI=\"#SIGNED_BY_CALLER\"><ds:Transforms><ds:Transform \
         Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform><ds:Transform \
         Algorithm=\"urn://smev-gov-ru/xmldsig/transform\"></ds:Transform></ds:Transforms><ds:DigestMethod \
         Algorithm=\"urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-256\"></ds:DigestMethod><ds:DigestValue>\
         {n:044}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    );
    Incoming {
        door: "bench",
        sender: Party::Participant("CITY".parse().expect("a mnemonic")),
        remote_sender: None,
        message_id: id,
        reference_id: None,
        node: None,
        end_of_life: None,
        test: false,
        format: "smev3/1.2".to_owned(),
        parts: vec![Part {
            number: 0,
            octets: vec![b'x'; BODY],
        }],
        exchange_note: None,
        attachments: Ok(()),
        file_references: false,
        evidence: Evidence {
            certificate: gost::CertificateId([9; 32]),
            signed_info,
            signature: "A".repeat(88),
            attachments: Vec::new(),
        },
        content: Content::Request {
            root: PayloadRoot {
                namespace: "urn:plan".to_owned(),
                local: "Request".to_owned(),
            },
            routing: RoutingFacts::default(),
            schema: SchemaVerdict::Valid,
        },
    }
}
