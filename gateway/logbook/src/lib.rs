//! What the program logs: every line at info, warn and error is an entry of a catalogue, with a code that stays.
//!
//! Each crate that logs has a module `logged` with its entries ([`catalogue!`]), and logs with [`log!`], which takes an
//! entry in place of a level. `rsmev reference events` writes `docs/events.md` from all of them. A line without an entry
//! cannot come about unnoticed: clippy forbids the plain macros, and a test reads the sources.
#![forbid(unsafe_code)]

use serde::Serialize;
#[doc(hidden)]
pub use tracing;
use tracing::Level;

/// A line that the program can log.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Words in small letters with dashes; the first one names the part. It stays what it is: operators look for it.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The fields that stand beside the text, in their order.
    pub fields: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
    /// What a person does about it.
    pub act: &'static str,
}

/// Entries that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// What they are about.
    pub title: &'static str,
    /// The entries.
    pub entries: &'static [Entry],
}

/// An entry as programs read it.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The code.
    pub code: &'static str,
    /// `INFO`, `WARN` or `ERROR`.
    pub level: &'static str,
    /// What it is about.
    pub part: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    /// What a person does about it.
    pub act: &'static str,
    /// The fields beside the text.
    pub fields: &'static [&'static str],
}

impl Part {
    /// Its entries as programs read them.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.entries.iter().map(|entry| Row {
            code: entry.code,
            level: entry.level.as_str(),
            part: self.title,
            meaning: entry.meaning,
            act: entry.act,
            fields: entry.fields,
        })
    }
}

/// Declares a part and its entries, each a constant.
///
/// ```
/// logbook::catalogue! {
///     /// The door.
///     pub(crate) DOOR = "The door":
///     OPEN = INFO "door-open" [address], "The door takes calls.", "Nothing.";
/// }
/// assert_eq!(DOOR.entries[0].code, OPEN.code);
/// ```
#[macro_export]
macro_rules! catalogue {
    (
        $(#[$doc:meta])*
        $visibility:vis $part:ident = $title:literal:
        $($name:ident = $level:ident $code:literal [$($field:ident),*], $meaning:literal, $act:literal;)+
    ) => {
        $(
            pub(crate) const $name: $crate::Entry = $crate::Entry {
                code: $code,
                level: $crate::tracing::Level::$level,
                fields: &[$(stringify!($field)),*],
                meaning: $meaning,
                act: $act,
            };
        )+
        $(#[$doc])*
        $visibility const $part: $crate::Part = $crate::Part {
            title: $title,
            entries: &[$($name),+],
        };
    };
}

/// Logs an entry: `log!(logged::LINK_DOWN, upstream = %name, cause, "the link is down")`. Fields are those of
/// `tracing::event!`, the text follows them.
#[macro_export]
macro_rules! log {
    (target: $target:expr, $entry:path, $($rest:tt)+) => {{
        const ENTRY: $crate::Entry = $entry;
        $crate::tracing::event!(target: $target, ENTRY.level, code = ENTRY.code, $($rest)+)
    }};
    ($entry:path, $($rest:tt)+) => {{
        const ENTRY: $crate::Entry = $entry;
        $crate::tracing::event!(ENTRY.level, code = ENTRY.code, $($rest)+)
    }};
}

/// The target of the lines of single messages, one or two for each: `log.level = "info,messages=warn"` leaves them out.
pub const MESSAGES: &str = "messages";
