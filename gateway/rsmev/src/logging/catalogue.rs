//! Every line that the program logs: `docs/events.md` is written from this.

use std::fmt::Write as _;

use logbook::{Part, Row};

use crate::logged;

const HEAD: &str = "\
<!-- Written by `rsmev reference events`; change the entries in `logged.rs` of a crate instead. -->
# Events in the log

Every line of the gateway's log at info, warn and error has a code of this list. Codes stay as they are; the text beside them may change.
A text line shows the code after the level, a JSON line has the field `code`, journald `RSMEV_CODE`. The other fields stand beside it as
`name=value`; in journald they are `RSMEV_NAME` in capitals, such as `RSMEV_MESSAGE_ID`. How to look for an event is told in
`docs/operation.md`. `rsmev reference events --output json` gives this list to programs.

Payloads are never logged. What comes from callers is escaped: it can neither begin a line nor take hold of a terminal. Lines of single
messages have the target `messages`: `log.level = \"info,messages=warn\"` leaves them out.
";

fn parts() -> [Part; 13] {
    [
        logged::RUN,
        logged::ADMIN,
        smev3::logged::DOOR,
        smev3::logged::MESSAGES,
        logged::TLS,
        forward::logged::LINKS,
        forward::logged::MESSAGES,
        engine::logged::STATE,
        engine::logged::STORAGE,
        engine::logged::INDEX,
        engine::logged::KEYS,
        logged::ARCHIVE,
        logged::INCIDENTS,
    ]
}

/// All of them, part by part.
pub(crate) fn rows() -> Vec<Row> {
    parts().iter().flat_map(Part::rows).collect()
}

/// The whole document.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    let mut part = "";
    for row in rows {
        // A String takes everything.
        if row.part != part {
            part = row.part;
            let _ = write!(
                text,
                "\n## {part}\n\n| code | level | what it tells | what to do | fields |\n|---|---|---|---|---|\n"
            );
        }
        let fields: Vec<_> = row.fields.iter().map(|field| format!("`{field}`")).collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            row.code,
            row.level.to_ascii_lowercase(),
            row.meaning,
            row.act,
            fields.join(" ")
        );
    }
    text
}
