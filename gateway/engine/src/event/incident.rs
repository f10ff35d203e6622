//! Incidents that last: opened by a rule, closed when what it is about has been over for a while, and the notices of both.
//! Which rules there are is the binary's business; the engine keeps what they found.

use serde::{Deserialize, Serialize};

use crate::names::Mnemonic;

/// A rule found that something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedIncident {
    /// The rule's word, at most [`WORD`](Self::WORD) characters.
    pub rule: String,
    /// What it is about: an upstream, a queue, the holder of a certificate; at most [`SUBJECT`](Self::SUBJECT) characters.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is so, without payload, at most [`TEXT`](Self::TEXT) characters.
    pub text: String,
    /// Whom it touches.
    pub affected: Affected,
}

impl OpenedIncident {
    /// Longest name of a rule or a channel that is kept, in characters.
    pub const WORD: usize = 80;
    /// Longest subject that is kept, in characters.
    pub const SUBJECT: usize = 200;
    /// Longest text that is kept, in characters.
    pub const TEXT: usize = 300;

    /// The same within its bounds.
    pub(crate) fn bounded(self) -> Self {
        Self {
            rule: cut(&self.rule, Self::WORD),
            subject: cut(&self.subject, Self::SUBJECT),
            severity: self.severity,
            text: cut(&self.text, Self::TEXT),
            affected: self.affected.bounded(),
        }
    }
}

/// How bad an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To be dealt with within the day.
    Warning,
    /// Exchange stands still, or evidence is in danger.
    Critical,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Participants that an incident touches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// How many.
    pub count: u64,
    /// The first of them by their names, at most [`NAMED`](Self::NAMED).
    pub participants: Vec<Mnemonic>,
}

impl Affected {
    /// So many are named at most.
    pub const NAMED: usize = 20;

    /// These.
    pub fn of(participants: impl IntoIterator<Item = Mnemonic>) -> Self {
        let all: std::collections::BTreeSet<Mnemonic> = participants.into_iter().collect();
        Self {
            count: all.len() as u64,
            participants: all.into_iter().take(Self::NAMED).collect(),
        }
    }

    pub(crate) fn bounded(mut self) -> Self {
        self.participants.truncate(Self::NAMED);
        self
    }
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The incident was opened.
    Opened,
    /// It was closed.
    Closed,
}

impl Phase {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
        }
    }
}

/// What became of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeResult {
    /// Of what.
    pub phase: Phase,
    /// Through which channel, by its name in the configuration.
    pub channel: String,
    /// Whether it was delivered; if not, it is not tried any more.
    pub delivered: bool,
    /// Attempts since the last start of the gateway.
    pub tries: u32,
}

/// The first characters of a text.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}
