//! `rsmev backup`

use std::path::Path;

use jiff::Timestamp;

use super::ask;
use crate::backup;
use crate::cli::BackupCommand;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::Out;
use crate::settings::Settings;
use crate::settings::units::count;

/// Carries the command out. A backup is verified without a configuration.
pub(crate) fn run(command: &BackupCommand, config: &Path, out: &mut Out) -> Result<(), Failure> {
    match command {
        BackupCommand::Create { dir, keep } => {
            let keep = usize::try_from(*keep).unwrap_or(usize::MAX);
            backup::create::run(&Settings::load(config)?, dir, keep, out)
        }
        BackupCommand::Verify(place) => backup::verify::run(place, out),
        BackupCommand::Restore { place, data_dir } => {
            let data_dir = match data_dir {
                Some(data_dir) => data_dir.clone(),
                None => Settings::load(config)?.node.data_dir,
            };
            backup::restore::run(place, &data_dir, out)
        }
        BackupCommand::ResumeUpstream { lost_at, reason } => {
            let request = Request::ResumeUpstream {
                lost: lost_at.unwrap_or_else(Timestamp::now),
                reason: reason.clone(),
            };
            let doubtful: u64 = serde_json::from_value(ask(&Settings::load(config)?, request)?)
                .map_err(|error| Failure::refused(error.to_string()))?;
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
