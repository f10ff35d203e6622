//! TOML as a tree that remembers where each value was written.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, Problems};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the file, from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
    /// The built-in defaults.
    Default,
}

impl Origin {
    /// How it is shown to a person: `file:line`, the variable's name, or the file alone.
    pub(crate) fn place(&self, file: &str) -> String {
        match self {
            Self::Line(line) => format!("{file}:{line}"),
            Self::Environment(name) => format!("environment {name}"),
            Self::Default => file.to_owned(),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it was written; for a table or a key's value, the line of the key.
    pub(crate) origin: Origin,
    /// What was written.
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A string, or a date and time, which nothing here needs as such.
    Text(String),
    /// An integer.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `[…]`
    Array(Vec<Node>),
    /// `[table]` or `{…}`
    Table(Table),
}

/// The keys of a table.
pub(crate) type Table = BTreeMap<String, Node>;

impl Value {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// The text, or what stands there instead.
    pub(crate) fn text(&self) -> Result<&str, String> {
        match &self.value {
            Value::Text(text) => Ok(text),
            other => Err(format!("must be a text in quotes, not {}", other.type_name())),
        }
    }

    /// A whole number; an environment variable's text counts.
    pub(crate) fn integer(&self) -> Result<u64, String> {
        let negative = |_| "must not be negative".to_owned();
        match (&self.value, &self.origin) {
            (Value::Integer(number), _) => u64::try_from(*number).map_err(negative),
            (Value::Text(text), Origin::Environment(_)) => text
                .parse()
                .map_err(|_| format!("must be a whole number, not {text:?}")),
            (other, _) => Err(format!("must be a whole number, not {}", other.type_name())),
        }
    }

    /// The table, or what stands there instead.
    pub(crate) fn table(&self) -> Result<&Table, String> {
        match &self.value {
            Value::Table(table) => Ok(table),
            other => Err(format!("must be a table, not {}", other.type_name())),
        }
    }

    /// The array, or what stands there instead.
    pub(crate) fn array(&self) -> Result<&[Node], String> {
        match &self.value {
            Value::Array(items) => Ok(items),
            _ if matches!(self.origin, Origin::Environment(_)) => {
                Err("has no environment form; write it into the file".to_owned())
            }
            other => Err(format!("must be an array, not {}", other.type_name())),
        }
    }

    /// An array of texts.
    pub(crate) fn texts(&self) -> Result<Vec<String>, String> {
        self.array()?
            .iter()
            .map(|item| item.text().map(str::to_owned))
            .collect()
    }
}

/// Parses a whole file; every syntax error is reported with its line.
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, Problems> {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let value = Value::Table(convert_table(document.get_ref(), &lines));
        return Ok(Node {
            origin: Origin::Line(1),
            value,
        });
    }
    let problem = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| lines.number(span.start));
        Problem {
            place: format!("{file}:{line}"),
            key: String::new(),
            text: error.message().replace('\n', "; "),
        }
    };
    Err(Problems(errors.iter().map(problem).collect()))
}

fn convert_table(table: &DeTable<'_>, lines: &Lines) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Spanned<std::borrow::Cow<'_, str>> = key;
        let origin = Origin::Line(lines.number(key.span().start));
        (
            key.get_ref().to_string(),
            Node {
                origin,
                value: convert(value.get_ref(), lines),
            },
        )
    };
    table.iter().map(entry).collect()
}

fn convert(value: &DeValue<'_>, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Float(f64::INFINITY),
        },
        DeValue::Float(number) => Value::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(moment) => Value::Text(moment.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| {
                    let origin = Origin::Line(lines.number(item.span().start));
                    Node {
                        origin,
                        value: convert(item.get_ref(), lines),
                    }
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, lines)),
    }
}

/// Offsets of the beginnings of lines.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let node = parse("f", "a = 1\n\n[t]\nb = \"x\"\nc = [\n  \"y\",\n  2,\n]\n").unwrap();
        let root = node.table().unwrap();
        assert_eq!(root["a"].origin, Origin::Line(1));
        let t = root["t"].table().unwrap();
        assert_eq!(t["b"].origin, Origin::Line(4));
        assert_eq!(t["c"].array().unwrap()[1].origin, Origin::Line(7));
    }

    #[test]
    fn syntax_errors_come_all_together_with_their_lines() {
        let problems = parse("f.toml", "a = 1\nb = 2\nc = [1\nd = \"x\"\n").unwrap_err();
        assert!(problems.0.len() >= 2, "{problems}");
        assert!(
            problems.0.iter().all(|problem| problem.place == "f.toml:4"),
            "{problems}"
        );
    }
}
