//! `rsmev clock accept`: a person says that the clock is right.

use engine::command::AcceptedClock;
use jiff::Timestamp;

use crate::cli::ClockCommand;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::Out;
use crate::settings::Settings;

/// Carries the command out.
pub(crate) fn run(command: &ClockCommand, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let ClockCommand::Accept { time, yes } = command;
    yes.confirm(|| {
        let now = super::moment(Timestamp::now());
        Ok(format!(
            "make the gateway go by the machine's clock, which says {now}, whatever the times in its journal"
        ))
    })?;
    let accepted = super::ask(settings, Request::AcceptClock { time: *time })?;
    let AcceptedClock { clock, before } =
        serde_json::from_value(accepted).map_err(|error| Failure::refused(error.to_string()))?;
    Ok(out.line(format_args!(
        "Noted in the journal: the clock, which says {}, is right; the gateway went by {} before.",
        super::moment(clock),
        super::moment(before)
    ))?)
}
