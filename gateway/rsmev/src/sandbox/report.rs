//! The end: is every message accounted for, at both ends, in the gateway's queues and in its journal?

use std::time::Duration;

use super::account::{Account, Way, WayFigures};
use super::world::World;
use crate::failure::Failure;
use crate::output::{Out, Table};

/// What was found, in the order in which it is told.
pub(super) struct Verdict {
    findings: Vec<(bool, String)>,
    forwarded: [u64; 2],
    story: Option<String>,
}

/// Looks everywhere, and stops the gateway.
pub(super) async fn conclude(world: &World, account: &Account) -> Result<Verdict, Failure> {
    let mut findings = Vec::new();
    let figures = account.figures();
    let sent: u64 = figures.ways.values().map(|way| way.sent).sum();
    let ended: u64 = figures.ways.values().map(WayFigures::ended).sum();
    findings.push((
        sent == ended,
        format!("{ended} of {sent} requests ended with exactly one answer"),
    ));
    for surprise in &figures.surprises {
        findings.push((false, surprise.clone()));
    }
    let ledger = world.bus.ledger();
    let twice = ledger.accepted_more_than_once();
    let told = match twice.first() {
        None => format!(
            "the federal bus accepted {} messages, none of them twice",
            ledger.all_accepted().len()
        ),
        Some((id, times)) => format!(
            "the federal bus accepted {} messages more than once; {id} {times} times",
            twice.len()
        ),
    };
    findings.push((twice.is_empty(), told));
    let waiting: u64 = world.queues().await?.iter().map(|queue| queue.messages).sum();
    findings.push((waiting == 0, format!("the gateway's queues hold {waiting} messages")));
    let quarantine = world.command(&["quarantine", "list", "--output", "json"]).await?;
    findings.push((
        quarantine.trim() == "[]",
        "nobody has to decide anything: the quarantine is empty".to_owned(),
    ));
    let story = match account.longest_wait() {
        Some((id, took)) => {
            let table = world.command(&["trace", &id]).await?;
            Some(format!(
                "The message that waited longest ({}), as `rsmev trace` tells it:\n{}",
                time(took),
                shorten(&table)
            ))
        }
        None => None,
    };
    world.stop_gateway().await?;
    match world.command(&["journal", "verify"]).await {
        Ok(text) => findings.push((true, text.lines().next().unwrap_or_default().to_owned())),
        Err(failure) => findings.push((false, failure.to_string())),
    }
    let forwarded = [ledger.requests().count() as u64, ledger.responses().count() as u64];
    Ok(Verdict {
        findings,
        forwarded,
        story,
    })
}

/// Tells it; an error if not everything is accounted for.
pub(super) fn print(account: &Account, verdict: &Verdict) -> Result<(), Failure> {
    let figures = account.figures();
    let mut out = Out::new();
    let mut table = Table::new(&[
        "",
        ">SENT",
        ">DELIVERED LOCALLY",
        ">FORWARDED",
        ">ANSWERED",
        ">REJECTED",
        ">WAITED",
        ">REDELIVERED",
    ]);
    let mut times = Table::new(&[
        "",
        ">RECEIPT p50",
        ">p99",
        ">ANSWER p50",
        ">p99",
        ">ANSWER AFTER WAITING p50",
        ">p99",
    ]);
    for (way, figures) in &figures.ways {
        let forwarded = match way {
            Way::Local => "-".to_owned(),
            Way::Up => verdict.forwarded[0].to_string(),
            Way::Down => verdict.forwarded[1].to_string(),
        };
        let delivered = if *way == Way::Up {
            "-".to_owned()
        } else {
            figures.delivered.to_string()
        };
        table.row([
            name(*way).to_owned(),
            figures.sent.to_string(),
            delivered,
            forwarded,
            figures.answered.to_string(),
            figures.rejected.to_string(),
            figures.waited.to_string(),
            figures.redelivered.to_string(),
        ]);
        let receipt = if *way == Way::Down {
            &[][..]
        } else {
            &figures.accept_times[..]
        };
        let row = [receipt, &figures.answer_times, &figures.waited_times];
        let cells = row
            .iter()
            .flat_map(|times| [percentile(times, 50), percentile(times, 99)]);
        times.row(std::iter::once(name(*way).to_owned()).chain(cells));
    }
    out.line("")?;
    out.table(&table)?;
    out.line("")?;
    out.table(&times)?;
    out.line("")?;
    let refused = figures
        .refused
        .iter()
        .map(|(fault, times)| format!("{fault} {times}"))
        .collect::<Vec<_>>()
        .join(", ");
    if !refused.is_empty() {
        out.line(format_args!("Wrong calls were refused as they should be: {refused}."))?;
    }
    let (held, translated) = figures.proofs;
    out.line(format_args!(
        "Senders' signatures at the receiver: {held} hold, {translated} were on messages translated between versions."
    ))?;
    if let Some(story) = &verdict.story {
        out.line(format_args!("\n{story}"))?;
    }
    for (fine, text) in &verdict.findings {
        out.line(format_args!("{}  {text}", if *fine { "✔" } else { "✖" }))?;
    }
    let fine = verdict.findings.iter().all(|(fine, _)| *fine);
    out.line(if fine {
        "\nEvery message is accounted for."
    } else {
        "\nNot everything is accounted for."
    })?;
    out.flush()?;
    if fine { Ok(()) } else { Err(Failure::Said) }
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Local => "within the region",
        Way::Up => "to the federal bus",
        Way::Down => "from the federal bus",
    }
}

/// Lines of at most so many characters.
const STORY_WIDTH: usize = 118;

fn shorten(table: &str) -> String {
    let lines = table
        .lines()
        .map(|line| line.chars().take(STORY_WIDTH).collect::<String>());
    lines.map(|line| format!("  {}\n", line.trim_end())).collect()
}

/// The time below which so many per cent lie, of sorted times.
fn percentile(times: &[Duration], per_cent: usize) -> String {
    if times.is_empty() {
        return "-".to_owned();
    }
    let index = (times.len() * per_cent).div_ceil(100).clamp(1, times.len()) - 1;
    time(times[index])
}

fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), "50 ms");
        assert_eq!(percentile(&times, 99), "99 ms");
        assert_eq!(percentile(&times[..1], 99), "1 ms");
        assert_eq!(percentile(&[], 50), "-");
        assert_eq!(time(Duration::from_millis(8250)), "8.2 s");
    }
}
