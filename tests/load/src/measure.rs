//! One mode after another: start, prepare, load, count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use emulator::{Participant, Selector};
use tokio::task::JoinSet;

use crate::arguments::{Arguments, Mode};
use crate::prepared::{self, Batch};
use crate::region::{self, Pair, Target};
use crate::report::Report;
use crate::server::{Server, Usage};
use crate::workers::{self, Done, Exchanges, Line, Supply};
use crate::{LoadError, print, say};

/// How long the queue to the bus may take to become empty after the load.
const DRAIN: Duration = Duration::from_secs(120);

/// Everything that was asked for.
pub(crate) async fn all(arguments: &Arguments) -> Result<(), LoadError> {
    if let Some(folder) = &arguments.write_region {
        return region::write(folder);
    }
    let modes = match (arguments.mode, &arguments.binary) {
        (Some(mode), _) => vec![mode],
        (None, Some(_)) => Mode::ALL.to_vec(),
        (None, None) => vec![Mode::Accept],
    };
    for mode in modes {
        let target = match (&arguments.binary, &arguments.url) {
            (Some(binary), _) => Target::start(binary, mode).await?,
            (None, Some(url)) => Target::running(url, arguments, mode)?,
            (None, None) => return Err(LoadError::Refused("either --binary or --url is needed".to_owned())),
        };
        let mut report = one(arguments, mode, &target).await?;
        print(&if arguments.json {
            report.json().to_string()
        } else {
            report.text()
        });
    }
    Ok(())
}

async fn one(arguments: &Arguments, mode: Mode, target: &Target) -> Result<Report, LoadError> {
    let wanted = mode.at_most_per_second() * usize::try_from(arguments.seconds).unwrap_or(usize::MAX);
    let each = arguments.messages.unwrap_or(wanted).div_ceil(region::PAIRS).max(1);
    say(&format!(
        "{}: signing {} messages beforehand …",
        mode.name(),
        each * region::PAIRS
    ));
    let prepared = prepare(mode, target, arguments.size, each)?;
    let octets = prepared.octets;
    say(&format!("{}: measuring for {} s …", mode.name(), arguments.seconds));

    let before = target.server.and_then(Server::usage);
    let started = Instant::now();
    let until = started + Duration::from_secs(arguments.seconds.into());
    let mut connections = JoinSet::new();
    for number in 0..usize::from(arguments.connections) {
        let line = Line::new(&target.url)?;
        match &prepared.work {
            Work::Send(supplies) => {
                let supply = Arc::clone(&supplies[number % supplies.len()]);
                connections.spawn(workers::accept(line, supply, until));
            }
            Work::Exchange(exchanges) => {
                let exchanges = Arc::clone(&exchanges[number % exchanges.len()]);
                connections.spawn(workers::full(line, exchanges, until));
            }
        }
    }
    let mut report = Report {
        mode: mode.name(),
        connections: usize::from(arguments.connections),
        octets,
        ..Report::default()
    };
    while let Some(done) = connections.join_next().await {
        report.add(done.map_err(|error| LoadError::Refused(error.to_string()))?);
    }
    report.elapsed = started.elapsed();
    let after = target.server.and_then(Server::usage);
    report.server = after.map(|after| Usage {
        cpu: after.cpu.saturating_sub(before.unwrap_or_default().cpu),
        ..after
    });
    if let Some(bus) = &target.bus {
        report.forwarded = Some(drained(bus, report.latencies.len(), started).await);
    }
    Ok(report)
}

/// Calls and answers, ready.
struct Prepared {
    work: Work,
    octets: usize,
}

enum Work {
    Send(Vec<Arc<Supply>>),
    Exchange(Vec<Arc<Exchanges>>),
}

fn prepare(mode: Mode, target: &Target, size: usize, each: usize) -> Result<Prepared, LoadError> {
    let mut requests = Vec::new();
    for pair in &target.pairs {
        requests.push(prepared::requests(&pair.consumer, &pair.namespace, size, each)?);
    }
    let octets = requests.first().map_or(0, |batch| batch.template.octets());
    let work = if mode == Mode::Full {
        let all = requests
            .into_iter()
            .zip(&target.pairs)
            .map(|(requests, pair)| exchanges(requests, pair));
        Work::Exchange(all.collect::<Result<_, _>>()?)
    } else {
        Work::Send(requests.into_iter().map(|batch| Arc::new(Supply::new(batch))).collect())
    };
    Ok(Prepared { work, octets })
}

/// The calls of whole exchanges of a pair, signed beforehand.
pub(crate) fn exchanges(requests: Batch, pair: &Pair) -> Result<Arc<Exchanges>, LoadError> {
    let ids: Vec<String> = requests.fills.iter().map(|fill| fill.id().to_owned()).collect();
    let ack = |who: &Participant, id: &str| who.sign_ack(id, Some(true));
    let request_acks = Batch::sign(ids.len(), |number| ack(&pair.provider, &ids[number]))?;
    let response_acks = Batch::sign(ids.len(), |_| {
        ack(&pair.consumer, &emulator::message_id(jiff::Timestamp::now()))
    })?;
    Ok(Arc::new(Exchanges {
        numbers: ids.into_iter().enumerate().map(|(number, id)| (id, number)).collect(),
        requests: Supply::new(requests),
        provider: pair.provider.clone(),
        get_request: pair.provider.sign_get_request(&Selector::any())?,
        get_response: pair.consumer.sign_get_response(&Selector::any())?,
        request_acks,
        response_acks,
        namespace: pair.namespace.clone(),
    }))
}

/// Waits until the bus has everything that the gateway accepted: how much, and since the load began how long.
async fn drained(bus: &emulator::Emulator, expected: usize, since: Instant) -> (usize, Duration) {
    let all = |ledger: &emulator::Ledger| (ledger.all_accepted().len() >= expected).then_some(());
    // What is missing then shows in the count.
    let _ = bus.wait_for(DRAIN, all).await;
    (bus.ledger().all_accepted().len(), since.elapsed())
}

impl Report {
    fn add(&mut self, done: Done) {
        self.latencies.extend(done.latencies);
        self.calls += done.calls;
        self.failures += done.failures;
        self.ran_out |= done.ran_out;
        if self.first_failure.is_none() {
            self.first_failure = done.first_failure;
        }
    }
}
