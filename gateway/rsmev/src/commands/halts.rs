//! `rsmev participant`, and bringing queues to a halt.

use engine::names::{Mnemonic, Queue};
use engine::{Halt, Halts};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::registry::current;
use super::{ask, or_dash};
use crate::cli::{Output, ParticipantCommand, QueuePause, QueueResume};
use crate::confirm::YesArg;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::{Out, Table, clean, remark};
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store::{Store, Unopened};

/// Carries `rsmev participant` out.
pub(crate) fn participant(command: &ParticipantCommand, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        ParticipantCommand::Suspend {
            participant,
            reason,
            yes,
        } => {
            let request = Request::SuspendParticipant {
                participant: participant.clone(),
                reason: reason.clone(),
            };
            let will = |store: &Store| {
                let waiting = waiting(store, |queue| queue.owner() == Some(participant))?;
                Ok(format!(
                    "refuse all calls of {participant} until it is resumed; {} for it will wait",
                    count(waiting, "message")
                ))
            };
            change(settings, request, *yes, will)?;
            Ok(out.line(format_args!(
                "{participant} is suspended: its calls are refused, what is sent to it waits. `rsmev participant resume \
                 {participant}` ends that."
            ))?)
        }
        ParticipantCommand::Resume { participant, yes } => {
            let request = Request::ResumeParticipant {
                participant: participant.clone(),
            };
            let will = |_: &Store| Ok(format!("answer the calls of {participant} again"));
            let ended = change(settings, request, *yes, will)?;
            Ok(out.line(format_args!(
                "{participant} is resumed; it was suspended {}.",
                shown(&ended)
            ))?)
        }
        ParticipantCommand::List(output) => list(settings, output.output, out),
    }
}

/// `rsmev queue pause`
pub(super) fn pause(arguments: &QueuePause, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let QueuePause { queue, reason, yes } = arguments;
    super::queue::configured(queue, settings)?;
    let request = Request::PauseQueue {
        queue: queue.clone(),
        reason: reason.clone(),
    };
    let will = |store: &Store| {
        let waiting = waiting(store, |other| other == queue)?;
        let keep = match queue {
            Queue::Upstream(name) => format!("send nothing to the upstream {name}"),
            _ => format!("hand nothing out of {queue}"),
        };
        Ok(format!(
            "{keep} until it is resumed; {} in it will wait",
            count(waiting, "message")
        ))
    };
    change(settings, request, *yes, will)?;
    Ok(out.line(format_args!(
        "{queue} is paused: messages are accepted and wait. `rsmev queue resume {queue}` ends that."
    ))?)
}

/// `rsmev queue resume`
pub(super) fn resume(arguments: &QueueResume, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let QueueResume { queue, yes } = arguments;
    let request = Request::ResumeQueue { queue: queue.clone() };
    let will = |store: &Store| {
        let waiting = waiting(store, |other| other == queue)?;
        Ok(format!("let the {} of {queue} go again", count(waiting, "message")))
    };
    let ended = change(settings, request, *yes, will)?;
    Ok(out.line(format_args!("{queue} is resumed; it was paused {}.", shown(&ended)))?)
}

/// Changes something in the store, once the person who asks has seen what it will be.
fn change(
    settings: &Settings,
    request: Request,
    yes: YesArg,
    will: impl FnOnce(&Store) -> Result<String, Failure>,
) -> Result<Halt, Failure> {
    // Looked at first: opening the store of a stopped gateway starts it, and writes.
    let unopened = Unopened::find(settings)?;
    yes.confirm(|| will(&unopened.look()?))?;
    let store = unopened.open()?;
    let done = store.ask(request);
    store.close();
    done
}

/// Messages in the queues that are meant.
pub(super) fn waiting(store: &Store, meant: impl Fn(&Queue) -> bool) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Waiting {
        queue: Queue,
        messages: u64,
    }
    let queues: Vec<Waiting> = store.ask(Request::Queues)?;
    let meant = queues.into_iter().filter(|waiting| meant(&waiting.queue));
    Ok(meant.map(|waiting| waiting.messages).sum())
}

/// What stands still at the gateway, running or stopped.
pub(super) fn halts(settings: &Settings) -> Result<Halts, Failure> {
    let answer: Value = ask(settings, Request::Halts)?;
    serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))
}

/// The same for who looks at something else in the first place: what cannot be told is said, and is no reason to show nothing.
pub(super) fn halts_if_told(settings: &Settings) -> Halts {
    halts(settings).unwrap_or_else(|failure| {
        remark(format_args!("what is suspended or paused is not known: {failure}"));
        Halts::default()
    })
}

/// Since when, by whom and why.
pub(super) fn shown(halt: &Halt) -> String {
    // A reason is what a person typed, and may hold anything.
    clean(&halt.to_string())
}

/// A participant, as `participant list` tells of it.
#[derive(Serialize)]
struct Listed {
    mnemonic: Mnemonic,
    name: String,
    suspended: Option<Halt>,
}

fn list(settings: &Settings, output: Output, out: &mut Out) -> Result<(), Failure> {
    let content = current(settings)?;
    let mut halts = halts(settings)?;
    let listed = content.participants.into_values().map(|participant| Listed {
        suspended: halts.participants.remove(&participant.mnemonic),
        mnemonic: participant.mnemonic,
        name: participant.name,
    });
    let listed: Vec<_> = listed.collect();
    if output == Output::Json {
        return Ok(out.json(&listed)?);
    }
    if listed.is_empty() {
        return Ok(out.line("No participant is registered.")?);
    }
    let mut table = Table::new(&["PARTICIPANT", "NAME", "SUSPENDED"]);
    for participant in listed {
        table.row([
            participant.mnemonic.to_string(),
            participant.name,
            or_dash(participant.suspended.as_ref().map(shown)),
        ]);
    }
    Ok(out.table(&table)?)
}
