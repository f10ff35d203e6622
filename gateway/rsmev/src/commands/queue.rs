//! `rsmev queue`

use engine::Halt;
use engine::names::{KindName, MessageId, Party, Queue};
use jiff::Timestamp;
use serde::Deserialize;

use super::halts::shown;
use super::{ask, moment, or_dash, present};
use crate::cli::QueueCommand;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::{Out, Table};
use crate::settings::Settings;
use engine::units::{show_seconds, show_size};

/// Carries the command out.
pub(crate) fn run(command: &QueueCommand, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        QueueCommand::List(output) => present(ask(settings, Request::Queues)?, output.output, out, list),
        QueueCommand::Pause(arguments) => super::halts::pause(arguments, settings, out),
        QueueCommand::Resume(arguments) => super::halts::resume(arguments, settings, out),
        QueueCommand::Show { queue, limit, output } => {
            configured(queue, settings)?;
            let request = Request::Queue {
                queue: queue.clone(),
                limit: *limit,
            };
            present(ask(settings, request)?, output.output, out, show)
        }
    }
}

/// Whether a queue's upstream is configured; of participants the gateway knows.
pub(super) fn configured(queue: &Queue, settings: &Settings) -> Result<(), Failure> {
    match queue {
        Queue::Upstream(name) if !settings.upstreams.iter().any(|upstream| upstream.name == *name) => {
            let text = format!("there is no queue {queue}: no upstream {name} is configured");
            Err(Failure::refused(text))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Row {
    queue: Queue,
    messages: u64,
    leased: u64,
    bytes: u64,
    oldest: Option<Timestamp>,
    paused: Option<Halt>,
    suspended: Option<Halt>,
}

impl Row {
    /// Why nothing goes out of it.
    fn stands(&self) -> String {
        let paused = self.paused.as_ref().map(|halt| format!("paused {}", shown(halt)));
        let suspended = self
            .suspended
            .as_ref()
            .map(|halt| format!("owner suspended {}", shown(halt)));
        or_dash(
            paused
                .into_iter()
                .chain(suspended)
                .reduce(|first, second| format!("{first}; {second}")),
        )
    }
}

fn list(rows: Vec<Row>, out: &mut Out) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(out.line("All queues are empty.")?);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&[
        "QUEUE",
        ">MESSAGES",
        ">HANDED OUT",
        ">SIZE",
        ">OLDEST WAITS",
        "STANDS STILL",
    ]);
    for row in rows {
        let waits = row
            .oldest
            .map(|oldest| show_seconds(u64::try_from(now.as_second() - oldest.as_second()).unwrap_or(0)));
        let stands = row.stands();
        let messages = [
            row.messages.to_string(),
            row.leased.to_string(),
            show_size(row.bytes),
            or_dash(waits),
            stands,
        ];
        table.row(std::iter::once(row.queue.to_string()).chain(messages));
    }
    Ok(out.table(&table)?)
}

#[derive(Deserialize)]
struct Message {
    message_id: MessageId,
    sender: Party,
    kind: Option<KindName>,
    accepted_at: Timestamp,
    bytes: u64,
    leased_until: Option<Timestamp>,
}

fn show(messages: Vec<Message>, out: &mut Out) -> Result<(), Failure> {
    if messages.is_empty() {
        return Ok(out.line("The queue is empty.")?);
    }
    let mut table = Table::new(&["MESSAGE", "FROM", "KIND", "ACCEPTED", ">SIZE", "HANDED OUT UNTIL"]);
    for message in messages {
        table.row([
            message.message_id.to_string(),
            message.sender.to_string(),
            or_dash(message.kind),
            moment(message.accepted_at),
            show_size(message.bytes),
            or_dash(message.leased_until.map(moment)),
        ]);
    }
    Ok(out.table(&table)?)
}
