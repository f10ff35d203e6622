//! How far the journal of a data directory must reach, as the mark of the last session tells without the store's lock.

use std::path::Path;

use journal::Session;
use journal::disk::RealDisk;

/// The mark of the last session; `None` if it is not there, cannot be read or makes no sense, as after a crash.
pub(crate) fn session(dir: &Path) -> Option<Session> {
    journal::last_session(&RealDisk, dir).ok().flatten()
}

/// Compares the journal's end with what was known of it before it was read; `torn` is an unfinished batch at its end.
///
/// # Errors
/// Why the end is not the true one, for a person.
pub(crate) fn check_end(
    dir: &Path,
    before: Option<&Session>,
    last_seq: u64,
    torn: Option<&dyn std::fmt::Display>,
) -> Result<(), String> {
    let Some(session) = before else { return Ok(()) };
    if last_seq < session.last_seq {
        let when = if session.clean {
            "it was closed in order with"
        } else {
            "the last session began with"
        };
        let torn = torn.map_or_else(String::new, |torn| format!(" ({torn})"));
        return Err(format!(
            "{}: the journal ends with record {last_seq}, but {when} record {}: the records from {} on were cut off{torn}; \
             restore them from a backup",
            dir.join("journal").display(),
            session.last_seq,
            last_seq + 1,
        ));
    }
    // A gateway that was started meanwhile may be writing a batch just now.
    match torn {
        Some(torn) if session.clean && self::session(dir).as_ref() == Some(session) => Err(format!(
            "the journal was closed in order with record {}, and yet something follows it: {torn}",
            session.last_seq
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_before_the_known_one_and_a_torn_end_after_an_orderly_one_are_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |clean: bool| {
            let text = format!("{{\"boot\":\"x\",\"clean\":{clean},\"last_seq\":7}}\n");
            std::fs::write(dir.path().join("SESSION"), text).unwrap();
            session(dir.path())
        };
        let check = |session: Option<Session>, last, torn: bool| {
            let torn = torn.then_some(&"half a batch" as &dyn std::fmt::Display);
            check_end(dir.path(), session.as_ref(), last, torn)
        };
        assert_eq!(check(mark(true), 7, false), Ok(()));
        assert!(check(mark(true), 6, false).unwrap_err().contains("records from 7 on"));
        assert!(check(mark(true), 7, true).unwrap_err().contains("half a batch"));
        assert_eq!(check(mark(false), 7, true), Ok(()));
        assert!(check(mark(false), 6, false).is_err());
        assert_eq!(check(None, 0, true), Ok(()));
    }
}
