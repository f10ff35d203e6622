//! Defaults, file and environment laid over each other by the `config` crate, and the places put back afterwards.
//!
//! `config` knows which layer wins, but not where in the file a value stands; [`crate::document`] knows the latter.

use std::collections::BTreeMap;

use config::{Config, Environment, File, FileFormat, Source, ValueKind};

use crate::document::{Node, Origin, Table, Value};
use crate::problem::Problems;

/// Prefix of the environment's names; sections and keys are separated by two underscores as well.
pub(super) const PREFIX: &str = "RSMEV";
/// Between the parts of the environment's names.
pub(super) const SEPARATOR: &str = "__";

/// What holds where nothing else says otherwise.
pub(super) const DEFAULTS: &str = include_str!("defaults.toml");

/// Variables of the environment that are meant for the configuration.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let start = format!("{PREFIX}{SEPARATOR}");
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os()
        .filter_map(text)
        .filter(|(name, _)| name.starts_with(&start))
        .collect()
}

/// The effective tree; `written` is the parsed file of this `text`.
pub(crate) fn merge(
    file: &str,
    text: &str,
    written: &Node,
    environment: &BTreeMap<String, String>,
) -> Result<Node, Problems> {
    let variables = environment
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let layered = Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            Environment::with_prefix(PREFIX)
                .prefix_separator(SEPARATOR)
                .separator(SEPARATOR)
                .source(Some(variables)),
        )
        .build()
        .and_then(|config| config.collect())
        .map_err(|error| Problems::one(file, "", error.to_string()))?;
    let names = environment
        .keys()
        .map(|name| {
            (
                name[PREFIX.len() + SEPARATOR.len()..]
                    .to_lowercase()
                    .replace(SEPARATOR, "."),
                name.clone(),
            )
        })
        .collect();
    let value = Value::Table(place_table(layered, Some(written), "", &names));
    Ok(Node {
        origin: Origin::Line(1),
        value,
    })
}

fn place_table(
    table: impl IntoIterator<Item = (String, config::Value)>,
    written: Option<&Node>,
    path: &str,
    names: &BTreeMap<String, String>,
) -> Table {
    let written = written.and_then(|node| node.table().ok());
    table
        .into_iter()
        .map(|(key, value)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let node = place(value.kind, written.and_then(|table| table.get(&key)), &path, names);
            (key, node)
        })
        .collect()
}

fn place(kind: ValueKind, written: Option<&Node>, path: &str, names: &BTreeMap<String, String>) -> Node {
    let below = || {
        names
            .range(format!("{path}.")..)
            .next()
            .filter(|(name, _)| name.starts_with(&format!("{path}.")))
    };
    let origin = match (names.get(path), written) {
        (Some(name), _) => Origin::Environment(name.clone()),
        (None, Some(node)) => node.origin.clone(),
        (None, None) => below().map_or(Origin::Default, |(_, name)| Origin::Environment(name.clone())),
    };
    let value = match kind {
        ValueKind::Nil => Value::Text(String::new()),
        ValueKind::Boolean(value) => Value::Bool(value),
        ValueKind::I64(number) => Value::Integer(number),
        ValueKind::I128(number) => i64::try_from(number).map_or(Value::Float(f64::INFINITY), Value::Integer),
        ValueKind::U64(number) => i64::try_from(number).map_or(Value::Float(f64::INFINITY), Value::Integer),
        ValueKind::U128(number) => i64::try_from(number).map_or(Value::Float(f64::INFINITY), Value::Integer),
        ValueKind::Float(number) => Value::Float(number),
        ValueKind::String(text) => Value::Text(text),
        ValueKind::Table(table) => Value::Table(place_table(table, written, path, names)),
        ValueKind::Array(items) => {
            let written = written.and_then(|node| node.array().ok());
            let item = |(index, item): (usize, config::Value)| {
                let written = written.and_then(|items| items.get(index));
                place(item.kind, written, &format!("{path}[{}]", index + 1), names)
            };
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
    };
    Node { origin, value }
}
