//! `rsmev backup`

use std::path::Path;

use engine::names::Queue;
use jiff::Timestamp;

use super::halts::waiting;
use crate::backup;
use crate::cli::BackupCommand;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::Out;
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store::{Store, Unopened};

/// Carries the command out. A backup is verified without a configuration.
pub(crate) fn run(command: &BackupCommand, config: &Path, out: &mut Out) -> Result<(), Failure> {
    match command {
        BackupCommand::Create { dir, keep } => {
            let keep = usize::try_from(*keep).unwrap_or(usize::MAX);
            backup::create::run(&Settings::load(config)?, dir, keep, out)
        }
        BackupCommand::Verify(place) => backup::verify::run(place, out),
        BackupCommand::Restore { place, data_dir, yes } => {
            let data_dir = match data_dir {
                Some(data_dir) => data_dir.clone(),
                None => Settings::load(config)?.node.data_dir,
            };
            backup::restore::run(place, &data_dir, *yes, out)
        }
        BackupCommand::ResumeUpstream { lost_at, reason, yes } => {
            let request = Request::ResumeUpstream {
                lost: lost_at.unwrap_or_else(Timestamp::now),
                reason: reason.clone(),
            };
            let settings = Settings::load(config)?;
            let unopened = Unopened::find(&settings)?;
            yes.confirm(|| will_resume(&unopened.look()?))?;
            let store = unopened.open()?;
            let resumed = store.ask(request);
            store.close();
            let doubtful: u64 = resumed?;
            out.line("Messages go to upstreams again, under the identifiers that were used before.")?;
            if doubtful > 0 {
                out.line(format_args!(
                    "{} may have been sent under another identifier and went to quarantine: see `rsmev quarantine list`.",
                    count(doubtful, "message")
                ))?;
            }
            Ok(())
        }
    }
}

fn will_resume(store: &Store) -> Result<String, Failure> {
    let waiting = waiting(store, |queue| matches!(queue, Queue::Upstream(_)))?;
    Ok(format!(
        "let {} go to upstreams; if the old gateway still runs, upstreams get messages from two",
        count(waiting, "message")
    ))
}
