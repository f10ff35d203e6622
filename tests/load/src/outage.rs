//! The end of an outage: an upstream was away for hours, comes back, and takes what has waited, while local exchange goes on
//! at a fixed pace. What do those notice who have nothing to do with it?
//!
//! The hours pass by the clocks of gateway, bus and participants, which the gateway hears at a restart
//! (`serve --test-clock`). When the upstream comes back, they show the machine's time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use emulator::{Clock, Emulator};
use harness::Region;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::flow::{Drained, Flow, fill, forward};
use crate::measure::exchanges;
use crate::region::{self, Pair};
use crate::workers::{self, Done, Exchanges, Line};
use crate::{LoadError, prepared, print, say};

/// Pairs of a sender and a receiver.
const PAIRS: usize = 8;
/// Parts of the outage; the gateway is restarted between them.
const PARTS: u32 = 4;
/// Connections that fill the queue.
const FILLING: usize = 32;
/// Messages in a second that no drain on two processors falls short of.
const SLOWEST_DRAIN: u32 = 100;

/// What a run with an outage is told.
#[derive(Debug, Args)]
pub(crate) struct OutageArguments {
    /// The gateway to start, with a generated region
    #[arg(long, value_name = "PATH")]
    binary: PathBuf,
    /// How long the upstream is away
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=40))]
    hours: u32,
    /// Messages for it in each hour
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    hourly: u32,
    /// Local exchanges in a second, of six calls each
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    exchanges: u32,
    /// How long local exchange is measured before the upstream comes back, and again after the drain
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Octets of a whole SendRequest
    #[arg(long, default_value_t = 4_000)]
    size: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Carries a run out.
pub(crate) async fn run(arguments: &OutageArguments) -> Result<(), LoadError> {
    let away = Duration::from_secs(3600) * arguments.hours;
    let count = arguments.hours * arguments.hourly;
    let clock = Clock::running(
        Timestamp::now() - SignedDuration::from_hours(arguments.hours.into()),
        1.0,
    );
    let (builder, identities, bus) = region::prepare(&arguments.binary, Some(&clock), PAIRS).await?;
    let bus = bus.ok_or_else(|| LoadError::Refused("there is no bus".to_owned()))?;
    let mut region = builder.clock(clock.clone()).start().await?;
    let url = region.url(region::VERSION);

    say(&format!(
        "{} hours without the upstream: {count} messages …",
        arguments.hours
    ));
    bus.go_down().await;
    let mut northbound = region::pairs(&identities, &url, true)?;
    for pair in &mut northbound {
        pair.consumer = pair.consumer.clone().with_clock(clock.clone());
    }
    let flow = Flow {
        pairs: northbound,
        url: url.clone(),
        connections: FILLING,
        size: arguments.size,
    };
    for part in 0..PARTS {
        let share = count * (part + 1) / PARTS - count * part / PARTS;
        fill(&flow, usize::try_from(share).unwrap_or(usize::MAX)).await?;
        region.stop().await?;
        clock.advance(away / PARTS);
        region.start().await?;
    }
    clock.set(Timestamp::now());
    region.restart().await?;

    let local = region::pairs(&identities, &url, false)?;
    let report = measure(arguments, &region, &bus, &local, count).await?;
    print(&report.show(arguments.json));
    Ok(())
}

async fn measure(
    arguments: &OutageArguments,
    region: &Region,
    bus: &Emulator,
    local: &[Pair],
    count: u32,
) -> Result<Report, LoadError> {
    let alone = Duration::from_secs(arguments.seconds.into());
    let longest = 2 * arguments.seconds + count / SLOWEST_DRAIN + 60;
    let each = usize::try_from(longest * arguments.exchanges).unwrap_or(usize::MAX) / local.len() + 1;
    say(&format!("signing {} exchanges beforehand …", each * local.len()));
    let supplies = local.iter().map(|pair| {
        let requests = prepared::requests(&pair.consumer, &pair.namespace, arguments.size, each)?;
        exchanges(requests, pair)
    });
    let pace = Pace {
        url: region.url(region::VERSION),
        supplies: supplies.collect::<Result<_, _>>()?,
        every: Duration::from_secs(1) * u32::try_from(local.len()).unwrap_or(u32::MAX) / arguments.exchanges,
    };
    say("local exchange with the upstream away …");
    let before = pace.during(tokio::time::sleep(alone)).await?.1;
    say("the upstream comes back …");
    let (drained, loaded) = pace
        .during(forward(bus, usize::try_from(count).unwrap_or(usize::MAX)))
        .await?;
    say("local exchange with nothing waiting …");
    let after = pace.during(tokio::time::sleep(alone)).await?.1;
    Ok(Report {
        waiting: count,
        before,
        loaded,
        after,
        drained: drained?,
    })
}

/// Local exchange at a fixed pace.
struct Pace {
    url: String,
    supplies: Vec<Arc<Exchanges>>,
    /// Between two exchanges of a pair.
    every: Duration,
}

impl Pace {
    /// As long as something else takes: what came of that, and the latencies.
    async fn during<T>(&self, other: impl Future<Output = T>) -> Result<(T, Latencies), LoadError> {
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let begin = Instant::now();
        for (number, supply) in self.supplies.iter().enumerate() {
            let line = Line::new(&self.url)?;
            // One after the other, not all at the same moment.
            let shift =
                self.every * u32::try_from(number).unwrap_or(0) / u32::try_from(self.supplies.len()).unwrap_or(1);
            let supply = Arc::clone(supply);
            connections.spawn(workers::paced(
                line,
                supply,
                (begin + shift, self.every),
                stopped.clone(),
            ));
        }
        let came = other.await;
        // Whoever has ended already needs no word.
        let _ = stop.send(true);
        let mut all = Vec::new();
        while let Some(done) = connections.join_next().await {
            let Done {
                latencies,
                first_failure,
                ran_out,
                ..
            } = done.map_err(|error| LoadError::Refused(error.to_string()))?;
            if let Some(failure) = first_failure {
                return Err(LoadError::Refused(failure));
            }
            if ran_out {
                return Err(LoadError::Refused("the prepared exchanges ran out".to_owned()));
            }
            all.extend(latencies);
        }
        all.sort_unstable();
        Ok((came, Latencies(all)))
    }
}

/// Sorted, in microseconds.
struct Latencies(Vec<u32>);

impl Latencies {
    /// In milliseconds, the one below which so many of a hundred lie.
    fn quantile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// What a run came to.
struct Report {
    waiting: u32,
    before: Latencies,
    loaded: Latencies,
    after: Latencies,
    drained: Drained,
}

impl Report {
    fn show(&self, json: bool) -> String {
        // Whatever else runs on the machine changes from minute to minute: both are of the same run, and the lower one counts.
        let alone = |percent| self.before.quantile(percent).min(self.after.quantile(percent));
        let ratio = |percent| self.loaded.quantile(percent) / alone(percent).max(1e-9);
        if json {
            let latencies = |all: &Latencies| json!({ "exchanges": all.0.len(), "p50_ms": all.quantile(50), "p99_ms": all.quantile(99) });
            return json!({
                "waiting": self.waiting,
                "before": latencies(&self.before),
                "during": latencies(&self.loaded),
                "after": latencies(&self.after),
                "p50_ratio": ratio(50),
                "p99_ratio": ratio(99),
                "drain_seconds": self.drained.took.as_secs_f64(),
                "drain_per_second": self.drained.rate(),
                "drain_per_second_tenths": self.drained.rates(),
            })
            .to_string();
        }
        let line = |name: &str, all: &Latencies| {
            format!(
                "  {name:<28}{:>9.1} ms p50 {:>9.1} ms p99   ({} exchanges)",
                all.quantile(50),
                all.quantile(99),
                all.0.len()
            )
        };
        [
            format!(
                "{} messages waited for the upstream; it took them in {:.0} s, {:.0} /s",
                self.waiting,
                self.drained.took.as_secs_f64(),
                self.drained.rate()
            ),
            line("local exchange, before", &self.before),
            line("local exchange, meanwhile", &self.loaded),
            line("local exchange, afterwards", &self.after),
            format!("  ratio {:.2} of p50, {:.2} of p99", ratio(50), ratio(99)),
        ]
        .join("\n")
    }
}
