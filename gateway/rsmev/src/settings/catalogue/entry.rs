//! What the catalogue says of a setting, in the two languages of the documents.

use serde::Serialize;

/// A language that the reference is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// Russian
    Ru,
}

/// One thing said in both languages. Empty in both where there is nothing to say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    en: &'static str,
    ru: &'static str,
}

impl Words {
    pub(super) const NONE: Self = Self::new("", "");

    pub(super) const fn new(en: &'static str, ru: &'static str) -> Self {
        Self { en, ru }
    }

    pub(super) fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::Ru => self.ru,
        }
    }
}

/// A table of the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    /// Dotted path, without brackets.
    pub(super) path: &'static str,
    /// Whether there can be several: `[[path]]`.
    pub(super) array: bool,
    pub(super) meaning: Words,
    pub(super) settings: &'static [Setting],
}

/// A key of a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(super) key: &'static str,
    pub(super) form: Form,
    pub(super) without: Without,
    /// A value as TOML, that does for a region.
    pub(super) example: &'static str,
    pub(super) limits: Words,
    pub(super) change: Change,
    pub(super) meaning: Words,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A text in quotes.
    Text,
    /// A path of a file or a folder.
    Path,
    /// An address and port.
    Address,
    /// A URL.
    Url,
    /// A duration with its unit.
    Duration,
    /// A size with its unit.
    Size,
    /// A whole number.
    Integer,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Texts in brackets.
    Texts,
    /// Paths in brackets.
    Paths,
}

/// What holds where a setting is not written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Without {
    /// Nothing: it must be there.
    Required,
    /// What `defaults.toml` says.
    Default,
    /// This value, as TOML: of sections that may be absent or come more than once, which no file of defaults can hold.
    Value(&'static str),
    /// What is told.
    Told(Words),
}

/// When a change of the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// After a restart.
    Restart,
    /// On SIGHUP.
    Reload,
    /// On SIGHUP, and the files themselves within a minute.
    Watched,
}

impl Setting {
    /// One that must be there.
    pub(super) const fn required(key: &'static str, form: Form, example: &'static str) -> Self {
        Self::new(key, form, Without::Required, example)
    }

    /// One that `defaults.toml` has.
    pub(super) const fn with_default(key: &'static str, form: Form) -> Self {
        Self::new(key, form, Without::Default, "")
    }

    /// One of a section that may be absent or come more than once, with what holds without it.
    pub(super) const fn with_value(key: &'static str, form: Form, value: &'static str) -> Self {
        Self::new(key, form, Without::Value(value), "")
    }

    /// One without which something else happens.
    pub(super) const fn optional(key: &'static str, form: Form, example: &'static str, without: Words) -> Self {
        Self::new(key, form, Without::Told(without), example)
    }

    const fn new(key: &'static str, form: Form, without: Without, example: &'static str) -> Self {
        Self {
            key,
            form,
            without,
            example,
            limits: Words::NONE,
            change: Change::Restart,
            meaning: Words::NONE,
        }
    }

    /// What is refused beyond what its form says.
    pub(super) const fn limits(mut self, en: &'static str, ru: &'static str) -> Self {
        self.limits = Words::new(en, ru);
        self
    }

    /// It is read again while the gateway runs.
    pub(super) const fn read_again(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    /// What it says.
    pub(super) const fn means(mut self, en: &'static str, ru: &'static str) -> Self {
        self.meaning = Words::new(en, ru);
        self
    }
}
