//! `rsmev retention`: destroying journal segments whose term is over, by two people at a running gateway.

use engine::event::{Act, Destruction};
use engine::units::show_size;
use engine::{DestructionStatus, Stage};
use serde_json::Value;

use super::{ask, moment, present};
use crate::cli::RetentionCommand;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::{Out, Table};
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store::Store;

/// Carries the command out.
pub(crate) fn run(command: &RetentionCommand, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        RetentionCommand::Show(output) => present(ask(settings, Request::Destructions)?, output.output, out, show),
        RetentionCommand::Propose {
            before,
            unshipped,
            reason,
            yes,
        } => {
            yes.confirm(|| {
                let archive = if *unshipped { ", also those that the archive does not have" } else { "" };
                Ok(format!(
                    "propose to destroy the journal's segments that are wholly older than {}{archive}; nothing is destroyed \
                     before somebody else approves it",
                    moment(before.0)
                ))
            })?;
            let request = Request::ProposeDestruction {
                before: before.0,
                unshipped: *unshipped,
                reason: reason.clone(),
            };
            let proposed: DestructionStatus = read(ask_running(settings, request)?)?;
            Ok(out.line(format_args!(
                "Proposal {}: to destroy {}. Nothing happens until somebody else runs `rsmev retention approve {}`.",
                proposed.id,
                extent(&proposed.destruction),
                proposed.id
            ))?)
        }
        RetentionCommand::Approve { id, yes } => {
            yes.confirm(|| {
                let proposed: Vec<DestructionStatus> = read(ask_running(settings, Request::Destructions)?)?;
                Ok(match proposed.iter().find(|proposed| proposed.id == *id) {
                    Some(proposed) => format!(
                        "destroy {}, as {} proposed; it cannot be undone",
                        extent(&proposed.destruction),
                        proposed.destruction.by
                    ),
                    None => format!("approve proposal {id}, which there is not"),
                })
            })?;
            let act: Act = read(ask_running(settings, Request::ApproveDestruction { id: *id })?)?;
            Ok(out.line(format_args!(
                "Approved: {} will be destroyed, as {} proposed; the act is in the journal. `rsmev retention show` tells when \
                 it is done.",
                extent(&act.destruction),
                act.destruction.by
            ))?)
        }
        RetentionCommand::Reject { id, reason, yes } | RetentionCommand::Withdraw { id, reason, yes } => {
            yes.confirm(|| Ok(format!("close proposal {id}; nothing is destroyed")))?;
            let request = Request::CloseDestruction {
                id: *id,
                reason: reason.clone(),
            };
            ask_running(settings, request)?;
            Ok(out.line(format_args!("Proposal {id} is closed; nothing was destroyed."))?)
        }
    }
}

/// Only at the socket of a running gateway the kernel says who asks.
fn ask_running(settings: &Settings, request: Request) -> Result<Value, Failure> {
    match Store::find(settings)? {
        Some(running) => running.ask(request),
        None => Err(Failure::refused(
            "the gateway is not running; who proposes and who approves is proven at its socket: start it first",
        )),
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))
}

fn extent(destruction: &Destruction) -> String {
    let Destruction {
        before,
        first,
        through,
        segments,
        bytes,
        ..
    } = destruction;
    format!(
        "records {first} to {through} ({}, {}), all before {}",
        count(*segments, "segment"),
        show_size(*bytes),
        moment(*before)
    )
}

fn show(rows: Vec<DestructionStatus>, out: &mut Out) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(out.line("Nothing was ever proposed to be destroyed.")?);
    }
    let mut table = Table::new(&[
        "PROPOSAL", "SINCE", ">RECORDS", "BEFORE", ">SIZE", "BY", "REASON", "STANDS",
    ]);
    for row in rows {
        let stands = match &row.stage {
            Stage::Proposed => "waits for somebody else's approval".to_owned(),
            Stage::Approved { by, act } => format!("approved by {by} in record {act}, being carried out"),
            Stage::Closed { by, reason } if by.uid == row.destruction.by.uid => format!("withdrawn: {reason}"),
            Stage::Closed { by, reason } => format!("rejected by {by}: {reason}"),
            Stage::Done { by, act } => format!("destroyed; approved by {by} in record {act}"),
        };
        table.row([
            row.id.to_string(),
            moment(row.at),
            format!("{} to {}", row.destruction.first, row.destruction.through),
            moment(row.destruction.before),
            show_size(row.destruction.bytes),
            row.destruction.by.to_string(),
            row.destruction.reason,
            stands,
        ]);
    }
    Ok(out.table(&table)?)
}
