//! TOML as a tree that remembers where each value was written, and a reader of its sections that collects every
//! problem instead of stopping at the first one.
//!
//! A [`Section`] learns which keys exist from what it is asked for, so that the list of known keys cannot drift away
//! from the code that reads them: what was never asked for is unknown, and the nearest known key is suggested.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

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

/// Collects the problems of one file while its sections are read.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    file: Rc<str>,
    /// With the line, by which they are sorted in the end.
    problems: Rc<RefCell<Vec<(usize, Problem)>>>,
}

impl Report {
    /// A report about this file.
    pub(crate) fn about(file: &str) -> Self {
        Self {
            file: file.into(),
            problems: Rc::default(),
        }
    }

    /// The file's name as it is shown.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Adds a finding.
    pub(crate) fn problem(&self, origin: &Origin, key: impl Into<String>, text: impl Into<String>) {
        let place = match origin {
            Origin::Line(line) => format!("{}:{line}", self.file),
            Origin::Environment(name) => format!("environment {name}"),
            Origin::Default => self.file.to_string(),
        };
        let line = if let Origin::Line(line) = origin { *line } else { 0 };
        let problem = Problem {
            place,
            key: key.into(),
            text: text.into(),
        };
        self.problems.borrow_mut().push((line, problem));
    }

    /// What was read if nothing was wrong, else everything that was.
    pub(crate) fn conclude<T>(self, read: Option<T>) -> Result<T, Problems> {
        let mut problems = self.problems.take();
        problems.sort_by_key(|(line, _)| *line);
        let problems: Vec<_> = problems.into_iter().map(|(_, problem)| problem).collect();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(Problems(problems)),
        }
    }
}

/// One table that is being read.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    report: Report,
    table: Option<&'a Table>,
    path: String,
    origin: Origin,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The table at the root of a document.
    pub(crate) fn root(node: &'a Node, report: &Report) -> Self {
        Self::new(node.table().ok(), String::new(), Origin::Default, report)
    }

    fn new(table: Option<&'a Table>, path: String, origin: Origin, report: &Report) -> Self {
        Self {
            report: report.clone(),
            table,
            path,
            origin,
            known: RefCell::default(),
        }
    }

    /// Dotted path of a key of this section.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Where the section begins.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where a key is written, or else its section.
    pub(crate) fn origin_of(&self, key: &str) -> &Origin {
        self.table
            .and_then(|table| table.get(key))
            .map_or(&self.origin, |node| &node.origin)
    }

    /// Adds a finding about a key of this section.
    pub(crate) fn problem(&self, key: &str, text: impl Into<String>) {
        self.report.problem(self.origin_of(key), self.path(key), text);
    }

    fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.known.borrow_mut().push(key);
        self.table?.get(key)
    }

    /// The value of a key, if it is there and `parse` takes it.
    pub(crate) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Option<T> {
        parse(self.node(key)?).map_err(|text| self.problem(key, text)).ok()
    }

    /// The same for a key that must be there.
    pub(crate) fn required<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'a Node) -> Result<T, String>,
    ) -> Option<T> {
        let Some(node) = self.node(key) else {
            self.problem(key, "is missing");
            return None;
        };
        parse(node).map_err(|text| self.problem(key, text)).ok()
    }

    /// Whether a key is written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// A table within this one; empty if it is absent.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let table = self.optional(key, Node::table);
        Section::new(table, self.path(key), self.origin_of(key).clone(), &self.report)
    }

    /// An array of tables within this one.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(items) = self.optional(key, Node::array) else {
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{}]", self.path(key), index + 1);
            match item.table() {
                Ok(table) => sections.push(Section::new(Some(table), path, item.origin.clone(), &self.report)),
                Err(text) => self.report.problem(&item.origin, path, text),
            }
        }
        sections
    }

    /// Ends the reading: what was never asked for is unknown.
    pub(crate) fn finish(&self) {
        let known = self.known.borrow();
        for (key, node) in self.table.into_iter().flatten() {
            if known.contains(&key.as_str()) {
                continue;
            }
            let text = match nearest(key, &known) {
                Some(near) => format!("unknown key; did you mean {near:?}?"),
                None => format!("unknown key; known here are {}", known.join(", ")),
            };
            self.report.problem(&node.origin, self.path(key), text);
        }
    }
}

/// The known word nearest to one that is not, if it is near enough to be a slip of the pen.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let begins = |candidate: &str| word.starts_with(candidate) || candidate.starts_with(word);
    let scored = known.iter().map(|candidate| {
        let distance = strsim::damerau_levenshtein(word, candidate);
        (if begins(candidate) { distance.min(1) } else { distance }, *candidate)
    });
    scored
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, near)| near)
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

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let node = parse("f", "redelivry = 1\nzzz = 2\n").unwrap();
        let report = Report::about("f");
        let root = Section::root(&node, &report);
        let _ = root.optional("redelivery", Node::integer);
        root.finish();
        let problems = report.conclude(Some(())).unwrap_err().to_string();
        assert!(
            problems.contains("f:1: redelivry: unknown key; did you mean \"redelivery\"?"),
            "{problems}"
        );
        assert!(
            problems.contains("f:2: zzz: unknown key; known here are redelivery"),
            "{problems}"
        );
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(nearest("lisetn", &["public_url", "listen"]), Some("listen"));
        assert_eq!(nearest("password", &["listen"]), None);
    }
}
