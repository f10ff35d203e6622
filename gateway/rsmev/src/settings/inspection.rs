//! A configuration as far as it can be understood, with the place of every value: what `check` looks at.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{environment, layers, read, text_of, units};
use crate::document::{self, Node, Origin};
use crate::problem::Problem;
use crate::section::{Report, Section};

/// The effective values, whatever else is wrong with the file.
pub(crate) struct Inspection {
    file: String,
    tree: Option<Node>,
    /// What is wrong with the values as such.
    pub(crate) problems: Vec<Problem>,
}

impl Inspection {
    /// Reads a file with the process's environment over it.
    pub(crate) fn read(path: &Path) -> Self {
        let file = path.display().to_string();
        let tree = text_of(path).and_then(|text| {
            let written = document::parse(&file, &text)?;
            layers::merge(&file, &text, &written, &environment())
        });
        let (tree, problems) = match tree {
            Ok(tree) => {
                let report = Report::about(&file);
                let settings = read::settings(&Section::root(&tree, &report));
                let problems = report.conclude(settings).err().map_or_else(Vec::new, |found| found.0);
                (Some(tree), problems)
            }
            Err(problems) => (None, problems.0),
        };
        Self { file, tree, problems }
    }

    /// Where a value comes from, or, if it is not there, the nearest section around it.
    pub(crate) fn place(&self, key: &str) -> String {
        let mut around = Some(key);
        while let Some(path) = around {
            if let Some(node) = self.node(path) {
                return node.origin.place(&self.file);
            }
            around = path.rsplit_once('.').map(|(section, _)| section);
        }
        self.file.clone()
    }

    /// Whether the file or the environment says anything about a section.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.node(key).is_some_and(|node| node.origin != Origin::Default)
    }

    /// The text of a key such as `keys.private_key` or `upstream[1].trusted_signers[2]`, counted from 1.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.node(key)?.text().ok().filter(|text| !text.is_empty())
    }

    /// The same as a path.
    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// The same as an address with its port.
    pub(crate) fn address(&self, key: &str) -> Option<SocketAddr> {
        self.text(key)?.parse().ok()
    }

    /// The same as a whole number.
    pub(crate) fn integer(&self, key: &str) -> Option<u64> {
        self.node(key)?.integer().ok()
    }

    /// The same as a size in octets.
    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        units::size(self.text(key)?).ok()
    }

    /// Keys of the items of an array: `upstream[1]`, `upstream[2]` …
    pub(crate) fn items(&self, key: &str) -> Vec<String> {
        let items = self.node(key).and_then(|node| node.array().ok()).unwrap_or_default();
        (1..=items.len()).map(|number| format!("{key}[{number}]")).collect()
    }

    fn node(&self, key: &str) -> Option<&Node> {
        key.split('.').try_fold(self.tree.as_ref()?, |node, part| {
            let (name, number) = match part.split_once('[') {
                Some((name, number)) => (name, Some(number.strip_suffix(']')?.parse::<usize>().ok()?)),
                None => (part, None),
            };
            let node = node.table().ok()?.get(name)?;
            match number {
                Some(number) => node.array().ok()?.get(number.checked_sub(1)?),
                None => Some(node),
            }
        })
    }
}
