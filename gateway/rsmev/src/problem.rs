//! What is wrong with a file that a person wrote: every finding with its place, all of them at once.

use std::fmt;

/// One finding: where, about which key, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `file:line`, the file alone, or an environment variable.
    pub(crate) place: String,
    /// Dotted path of the key, empty when the text as a whole is meant.
    pub(crate) key: String,
    /// What is wrong, for a person.
    pub(crate) text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.text)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.text)
        }
    }
}

/// All findings about one or more files; never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// A single finding.
    pub(crate) fn one(place: impl Into<String>, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self(vec![Problem {
            place: place.into(),
            key: key.into(),
            text: text.into(),
        }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
