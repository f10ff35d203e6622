//! `rsmev quarantine`

use engine::names::{KindName, MessageId, Party};
use jiff::Timestamp;
use serde::Deserialize;

use super::{ask, moment, or_dash, present};
use crate::cli::Quarantine;
use crate::failure::Failure;
use crate::operator::{Decided, Request};
use crate::output::{Out, Table, remark};
use crate::settings::Settings;
use crate::settings::units::count;

/// Carries the command out.
pub(crate) fn run(command: &Quarantine, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        Quarantine::List(output) => present(ask(settings, Request::Quarantine)?, output.output, out, list),
        Quarantine::Retry { ids, yes } => {
            yes.confirm(|| Ok(format!("try {} in quarantine again", messages(ids))))?;
            decide(settings, ids, None, "will be tried again", out)
        }
        Quarantine::Reject { ids, reason, yes } => {
            yes.confirm(|| {
                Ok(format!(
                    "reject {} in quarantine for good, and tell the senders: {reason}",
                    messages(ids)
                ))
            })?;
            decide(settings, ids, Some(reason.clone()), "rejected", out)
        }
    }
}

fn messages(ids: &[MessageId]) -> String {
    count(ids.len() as u64, "message")
}

#[derive(Deserialize)]
struct Row {
    message_id: MessageId,
    sender: Party,
    recipient: Option<Party>,
    kind: Option<KindName>,
    since: Timestamp,
    cause: String,
}

fn list(rows: Vec<Row>, out: &mut Out) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(out.line("Nothing is in quarantine.")?);
    }
    let mut table = Table::new(&["MESSAGE", "FROM", "TO", "KIND", "SINCE", "WHY"]);
    for row in rows {
        table.row([
            row.message_id.to_string(),
            row.sender.to_string(),
            or_dash(row.recipient),
            or_dash(row.kind),
            moment(row.since),
            row.cause,
        ]);
    }
    Ok(out.table(&table)?)
}

fn decide(
    settings: &Settings,
    ids: &[MessageId],
    reason: Option<String>,
    done: &str,
    out: &mut Out,
) -> Result<(), Failure> {
    let answer = ask(
        settings,
        Request::Decide {
            ids: ids.to_vec(),
            reason,
        },
    )?;
    let decided: Vec<Decided> = serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))?;
    let mut failed = false;
    for one in decided {
        match one.error {
            None => out.line(format_args!("{}: {done}", one.message_id))?,
            Some(error) => {
                failed = true;
                remark(format_args!("{}: {error}", one.message_id));
            }
        }
    }
    if failed { Err(Failure::Said) } else { Ok(()) }
}
