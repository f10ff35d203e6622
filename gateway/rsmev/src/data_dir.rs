//! What a data directory tells without its lock: its storage header, and how far the journal must reach.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// The storage format that this program knows.
const FORMAT: u32 = 1;

/// Checks the storage header. `Ok(false)` if there is none and no data either.
///
/// # Errors
/// What is wrong with it, for a person; the file is named.
pub(crate) fn header(dir: &Path) -> Result<bool, String> {
    let file = dir.join("FORMAT");
    let wrong = |what: &str| Err(format!("{}: {what}", file.display()));
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if has_segments(dir) {
                wrong("the storage header is missing although there is data; restore it from a backup")
            } else {
                Ok(false)
            };
        }
        Err(error) => return wrong(&error.to_string()),
    };
    let version: Option<u32> = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.trim_end().strip_prefix("rsmev storage, format "))
        .and_then(|version| version.parse().ok());
    match version {
        Some(FORMAT) => Ok(true),
        Some(newer) if newer > FORMAT => wrong(&format!(
            "format {newer} was written by a newer version of this program, which knows {FORMAT}; use that version"
        )),
        _ => wrong("the storage header is not readable; restore it from a backup"),
    }
}

/// Whether the folders of journal and bodies hold any file.
fn has_segments(dir: &Path) -> bool {
    ["journal", "spool"]
        .iter()
        .any(|name| fs::read_dir(dir.join(name)).is_ok_and(|mut entries| entries.next().is_some()))
}

/// What the last session left about the journal's end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Session {
    boot: String,
    /// Whether it ended in order. If not, it is running or was cut short.
    pub(crate) clean: bool,
    /// Last record: at its end if it ended in order, else at its beginning.
    pub(crate) last_seq: u64,
}

/// The mark of the last session; `None` if it is not there or makes no sense, as after a crash.
pub(crate) fn session(dir: &Path) -> Option<Session> {
    serde_json::from_slice(&fs::read(dir.join("SESSION")).ok()?).ok()
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
    fn a_header_that_is_junk_newer_or_missing_beside_data_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(header(dir.path()), Ok(false));
        let write = |text: &str| fs::write(dir.path().join("FORMAT"), text).unwrap();
        write("rsmev storage, format 1\n");
        assert_eq!(header(dir.path()), Ok(true));
        write("rsmev storage, format 2\n");
        assert!(header(dir.path()).unwrap_err().contains("newer version"));
        write("junk");
        assert!(header(dir.path()).unwrap_err().contains("not readable"));
        fs::remove_file(dir.path().join("FORMAT")).unwrap();
        fs::create_dir(dir.path().join("spool")).unwrap();
        fs::write(dir.path().join("spool/1"), "").unwrap();
        assert!(header(dir.path()).unwrap_err().contains("missing"));
    }

    #[test]
    fn an_end_before_the_known_one_and_a_torn_end_after_an_orderly_one_are_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |clean: bool| {
            let text = format!("{{\"boot\":\"x\",\"clean\":{clean},\"last_seq\":7}}\n");
            fs::write(dir.path().join("SESSION"), text).unwrap();
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
