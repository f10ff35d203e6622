//! A long queue: what waits is put in through the door, then it is measured how the gateway starts with it, how it drains
//! beside a short one in the same run, what memory it takes, and what is left on the disk afterwards.

mod disk;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use emulator::{Clock, Emulator};
use harness::Region;

use crate::flow::{self, Drained, Flow, fill};
use crate::region::{self, Pair};
use crate::server::{Server, Usage};
use crate::{LoadError, print, say};
use disk::Disk;
use report::{Life, Report};

/// Part of the queue that serves as the short one.
const SHORT: usize = 50;
/// How long the disk may take to come back.
const SETTLE: Duration = Duration::from_secs(900);
/// It has come back as far as it will when it was not less for so long.
const STEADY: Duration = Duration::from_secs(60);
/// Excess that the disk may have in the end, in octets.
const EXCESS: u64 = 128 << 20;

/// What a run with a long queue is told.
#[derive(Debug, Args)]
pub(crate) struct QueueArguments {
    /// The gateway to start, with a generated region
    #[arg(long, value_name = "PATH")]
    binary: PathBuf,
    /// Messages that wait
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    waiting: u32,
    /// For whom they wait
    #[arg(long, value_enum, default_value_t = Waits::Local)]
    waits: Waits,
    /// Octets of a whole SendRequest
    #[arg(long, default_value_t = 4_000)]
    size: usize,
    /// Connections that send, and that fetch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Pairs of a sender and a receiver; each pair has a queue, or a lane, of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pairs: u16,
    /// Where the region is put; a temporary folder otherwise. Some 5 KB for each message are needed
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For whom the messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Waits {
    /// For local receivers, who fetch and acknowledge them
    Local,
    /// For an upstream that was away; the emulated bus runs in this program
    Upstream,
}

/// Carries a run out.
pub(crate) async fn run(arguments: &QueueArguments) -> Result<(), LoadError> {
    let waiting = usize::try_from(arguments.waiting).unwrap_or(usize::MAX);
    let mut house = House::start(arguments).await?;
    let mut report = Report {
        waiting,
        ..Report::default()
    };

    let short = (waiting / SHORT).max(100);
    say(&format!("a short queue of {short} messages …"));
    let flow = house.flow(arguments);
    house.go_away().await;
    fill(&flow, short).await?;
    report.short = house.drain(&flow, short).await?;

    say(&format!("filling the queue with {waiting} messages …"));
    house.go_away().await;
    let since = Instant::now();
    fill(&flow, waiting).await?;
    report.filled_in = since.elapsed();
    report.full = house.life(None)?;
    report.disk_full = Disk::of(&house.region).await?;

    say("stopping and starting …");
    house.region.stop().await?;
    report.after_stop = house.start_again().await?;
    say("killing and starting …");
    house.region.kill().await?;
    report.after_kill = house.start_again().await?;
    say("starting without an index …");
    house.region.stop().await?;
    let index = house.region.data_dir().join("index");
    std::fs::remove_dir_all(&index).map_err(|error| LoadError::Refused(format!("{}: {error}", index.display())))?;
    report.rebuilt = house.start_again().await?;

    say("draining …");
    report.long = house.drain(&flow, waiting).await?;
    report.drained = house.life(None)?;
    report.disk_drained = Disk::of(&house.region).await?;
    let since = Instant::now();
    let mut least_since = since;
    report.disk_settled = report.disk_drained;
    while since.elapsed() < SETTLE && (least_since.elapsed() < STEADY || report.disk_settled.excess() > EXCESS) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let disk = Disk::of(&house.region).await?;
        if disk.excess() < report.disk_settled.excess() {
            least_since = Instant::now();
            report.disk_settled = disk;
        }
        if report.settled_in.is_none() && disk.excess() <= EXCESS {
            report.settled_in = Some(since.elapsed());
        }
    }
    house.region.stop().await?;
    report.empty = house.start_again().await?;
    report.disk_restarted = Disk::of(&house.region).await?;
    print(&if arguments.json {
        report.json().to_string()
    } else {
        report.text()
    });
    Ok(())
}

/// The gateway and whoever talks to it.
struct House {
    region: Region,
    bus: Option<Emulator>,
    pairs: Vec<Pair>,
}

impl House {
    async fn start(arguments: &QueueArguments) -> Result<House, LoadError> {
        let upstream = arguments.waits == Waits::Upstream;
        let clock = upstream.then(Clock::system);
        let (builder, identities, bus) =
            region::prepare(&arguments.binary, clock.as_ref(), usize::from(arguments.pairs)).await?;
        let mut builder = builder.setting("retention", "bodies", "\"0s\"");
        if let Some(dir) = &arguments.dir {
            builder = builder.dir(dir);
        }
        let region = builder.start().await?;
        let pairs = region::pairs(&identities, &region.url(region::VERSION), upstream)?;
        Ok(House { region, bus, pairs })
    }

    fn flow(&self, arguments: &QueueArguments) -> Flow {
        Flow {
            pairs: self.pairs.clone(),
            url: self.region.url(region::VERSION),
            connections: usize::from(arguments.connections),
            size: arguments.size,
        }
    }

    /// Before a queue is filled: whoever would empty it is away.
    async fn go_away(&self) {
        if let Some(bus) = &self.bus {
            bus.go_down().await;
        }
    }

    /// Empties the queue: messages in a second, over all and in each tenth.
    async fn drain(&self, flow: &Flow, count: usize) -> Result<Drained, LoadError> {
        let server = Server::new(self.region.pid().ok_or(harness::HarnessError::NotRunning)?);
        let before = server.usage().unwrap_or_default().cpu;
        let drained = match &self.bus {
            None => flow::fetch(flow, count).await?,
            Some(bus) => flow::forward(bus, count).await?,
        };
        let after = server.usage().unwrap_or_default().cpu;
        Ok(Drained {
            cpu: after.saturating_sub(before),
            ..drained
        })
    }

    async fn start_again(&mut self) -> Result<Life, LoadError> {
        let since = Instant::now();
        self.region.start().await?;
        self.life(Some(since.elapsed()))
    }

    fn life(&self, started_in: Option<Duration>) -> Result<Life, LoadError> {
        let pid = self.region.pid().ok_or(harness::HarnessError::NotRunning)?;
        let Usage { rss, peak_rss, .. } = Server::new(pid).usage().unwrap_or_default();
        Ok(Life {
            started_in,
            rss,
            peak_rss,
        })
    }
}
