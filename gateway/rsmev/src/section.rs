//! A reader of a document's sections that collects every problem instead of stopping at the first one.
//!
//! A [`Section`] learns which keys exist from what it is asked for, so that the list of known keys cannot drift away
//! from the code that reads them: what was never asked for is unknown, and the nearest known key is suggested.

use std::cell::RefCell;
use std::rc::Rc;

use crate::document::{Node, Origin, Table};
use crate::problem::{Problem, Problems};

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
        let place = origin.place(&self.file);
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
        self.learn(key);
        self.table?.get(key)
    }

    fn learn(&self, key: &'static str) {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
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

    /// Whether a key is written; it is known from then on.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.learn(key);
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
    use crate::document::parse;

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
    fn a_section_that_was_only_looked_for_is_known() {
        let node = parse("f", "archve = 1\n").unwrap();
        let report = Report::about("f");
        let root = Section::root(&node, &report);
        assert!(!root.has("archive"));
        root.finish();
        let problems = report.conclude(Some(())).unwrap_err().to_string();
        assert!(problems.contains("did you mean \"archive\"?"), "{problems}");
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(nearest("lisetn", &["public_url", "listen"]), Some("listen"));
        assert_eq!(nearest("password", &["listen"]), None);
    }
}
