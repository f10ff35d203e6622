//! File descriptors: connections must not take those that the store needs.
//!
//! A process may open few files by default (1024), and as many as the system's hard limit says when it asks. If that is
//! less than `limits.connections` needs, fewer connections are taken at once; further ones wait in the system's queue.

use logbook::log;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::logged;
use crate::settings::Settings;

/// Descriptors of everything that is no connection of the door: journal, spool and index, administration, upstreams.
const OTHERS: u64 = 512;

/// Asks for what the settings need. The settings that can be kept.
pub(crate) fn within(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let wanted = settings.limits.connections as u64;
    let connections = fitting(wanted, raised_to(wanted + OTHERS));
    if connections < wanted {
        log!(
            logged::FEW_FILES,
            wanted,
            connections,
            "limits.connections is more than this process may have files open: raise LimitNOFILE"
        );
        settings.limits.connections = usize::try_from(connections).unwrap_or(usize::MAX);
    }
    settings
}

/// Connections that this many descriptors leave room for; half of very few.
fn fitting(wanted: u64, descriptors: Option<u64>) -> u64 {
    let room = |all: u64| all.saturating_sub(OTHERS).max(all / 2).max(1);
    descriptors.map_or(wanted, |all| wanted.min(room(all)))
}

/// Raises the soft limit as far as needed and possible: the descriptors that there are now; none if there is no limit.
fn raised_to(wanted: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current?;
    if soft >= wanted {
        return Some(soft);
    }
    let raised = Rlimit {
        current: Some(limit.maximum.map_or(wanted, |hard| wanted.min(hard))),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            log!(logged::FILE_LIMIT, %error, "the limit of open files cannot be raised");
            Some(soft)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_store() {
        assert_eq!(fitting(1024, Some(1536)), 1024);
        assert_eq!(fitting(1024, Some(1535)), 1023);
        assert_eq!(fitting(10_000, Some(1024)), 512);
        assert_eq!(fitting(10_000, Some(256)), 128);
        assert_eq!(fitting(10_000, None), 10_000);
    }

    #[test]
    fn what_is_allowed_already_is_left_alone() {
        let before = getrlimit(Resource::Nofile);
        assert_eq!(raised_to(1), before.current);
        assert_eq!(getrlimit(Resource::Nofile), before);
    }
}
