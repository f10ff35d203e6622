//! Every setting that there is: `docs/configuration.md` and `docs/ru/configuration.md` are written from this.
//!
//! The keys are those that the reader asks for ([`super::read`]); tests hold the two together, and the defaults and
//! examples that are told against what the reader makes of them.

mod document;
mod entry;
mod exchange;
mod incidents;
mod keeping;
mod node;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use document::markdown;
pub(crate) use entry::{Change, Language};

use super::layers::{self, PREFIX, SEPARATOR};
use crate::document::{self as toml_document, Value};
use entry::{Form, Section, Setting, Without};

/// All sections, in the order of `config/gateway.toml`.
const SECTIONS: [&Section; 19] = [
    &node::NODE,
    &node::KEYS,
    &node::STORAGE,
    &exchange::SMEV3,
    &exchange::SMEV3_TLS,
    &exchange::LIMITS,
    &keeping::RETENTION,
    &keeping::RETENTION_RULE,
    &keeping::ARCHIVE,
    &node::ADMIN,
    &node::ADMIN_ROLES,
    &node::LOG,
    &incidents::INCIDENTS,
    &incidents::INCIDENTS_QUEUE,
    &incidents::NOTIFY,
    &incidents::NOTIFY_MAIL,
    &incidents::NOTIFY_WEBHOOK,
    &exchange::UPSTREAM,
    &exchange::UPSTREAM_POLL,
];

/// A section in one language.
#[derive(Debug, Serialize)]
pub(crate) struct SectionRow {
    /// With its brackets.
    pub(crate) section: String,
    pub(crate) meaning: &'static str,
    pub(crate) settings: Vec<Row>,
}

/// A setting in one language.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) key: &'static str,
    #[serde(rename = "type")]
    pub(crate) form: String,
    pub(crate) limits: &'static str,
    pub(crate) required: bool,
    /// As TOML.
    pub(crate) default: Option<String>,
    /// What holds without it, if it has no default and need not be there.
    pub(crate) without: &'static str,
    /// As TOML, where there is no default.
    pub(crate) example: Option<&'static str>,
    pub(crate) change: Change,
    /// Its variable, if it has one.
    pub(crate) environment: Option<String>,
    pub(crate) meaning: &'static str,
}

/// The whole catalogue in one language.
pub(crate) fn rows(language: Language) -> Vec<SectionRow> {
    let defaults = Defaults::read();
    let row = |section: &Section, setting: &Setting| Row {
        key: setting.key,
        form: document::form(setting.form, language),
        limits: setting.limits.in_language(language),
        required: matches!(setting.without, Without::Required),
        default: defaults.of(section, setting),
        without: match setting.without {
            Without::Told(words) => words.in_language(language),
            _ => "",
        },
        example: Some(setting.example).filter(|example| !example.is_empty()),
        change: setting.change,
        environment: variable(section, setting),
        meaning: setting.meaning.in_language(language),
    };
    let section = |section: &&Section| SectionRow {
        section: header(section),
        meaning: section.meaning.in_language(language),
        settings: section.settings.iter().map(|setting| row(section, setting)).collect(),
    };
    SECTIONS.iter().map(section).collect()
}

/// Whether there is such a setting. Of what lies in arrays the path has no numbers: `upstream.poll.parallel`.
pub(crate) fn has(path: &str) -> bool {
    let Some((section, key)) = path.rsplit_once('.') else {
        return false;
    };
    let within = SECTIONS.iter().filter(|known| known.path == section);
    within
        .flat_map(|known| known.settings)
        .any(|setting| setting.key == key)
}

fn header(section: &Section) -> String {
    match section.array {
        true => format!("[[{}]]", section.path),
        false => format!("[{}]", section.path),
    }
}

/// The variable of the environment. What is an array, or lies in one, has none.
fn variable(section: &Section, setting: &Setting) -> Option<String> {
    let within = |array: &&Section| {
        let rest = section.path.strip_prefix(array.path);
        array.array && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let listed = matches!(setting.form, Form::Texts | Form::Paths);
    if listed || SECTIONS.iter().any(within) {
        return None;
    }
    let place = format!("{}.{}", section.path, setting.key);
    Some(format!(
        "{PREFIX}{SEPARATOR}{}",
        place.replace('.', SEPARATOR).to_uppercase()
    ))
}

/// `defaults.toml`, which is part of the program.
struct Defaults(toml_document::Node);

impl Defaults {
    fn read() -> Self {
        Self(toml_document::parse("defaults.toml", layers::DEFAULTS).expect("the program's own file is well-formed"))
    }

    /// The default as TOML.
    fn of(&self, section: &Section, setting: &Setting) -> Option<String> {
        match setting.without {
            Without::Default => self.written(section.path, setting.key),
            Without::Value(value) => Some(value.to_owned()),
            Without::Required | Without::Told(_) => None,
        }
    }

    fn written(&self, section: &str, key: &str) -> Option<String> {
        let section = section
            .split('.')
            .try_fold(&self.0, |node, part| node.table().ok()?.get(part));
        match &section?.table().ok()?.get(key)?.value {
            Value::Text(text) => Some(format!("{text:?}")),
            Value::Integer(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Float(_) | Value::Array(_) | Value::Table(_) => None,
        }
    }
}
