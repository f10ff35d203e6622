//! Registry files (DESIGN §10): read whole, with the certificates and schemas that they name, into one
//! [`RegistryContent`]; and written back from what the gateway holds.
//!
//! The command line reads the files and ships their content; the gateway opens no path that a caller names. What refers
//! to something (a grant to a kind, a route to a participant) may refer to the same files or to what the gateway has
//! already.

mod bundle;
mod export;
mod lint;
mod parse;
pub(crate) mod stored;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::names::{KindName, Mnemonic};
use engine::registry::{Grant, Participant, RegistryContent, Route};

use crate::document::{self, Origin};
use crate::problem::{Problem, Problems};
use crate::section::{Report, Section, nearest};

pub(crate) use export::export;
pub(crate) use lint::{Finding, lint};

/// Bound of one registry file, certificate, schema file or payload in octets.
const FILE_BYTES: u64 = 16 << 20;

/// Reads registry files, or the `*.toml` files of folders in the order of their names.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Collected, Problems> {
    let mut collected = Collected::default();
    let mut problems = Vec::new();
    for file in files(paths)? {
        if let Err(found) = collected.add_file(&file) {
            problems.extend(found.0);
        }
    }
    if problems.is_empty() {
        Ok(collected)
    } else {
        Err(Problems(problems))
    }
}

/// The place of an entry, for errors that show only when everything has been read.
#[derive(Debug, Clone)]
struct Place {
    report: Report,
    origin: Origin,
    path: String,
}

impl Place {
    fn of(section: &Section<'_>, report: &Report) -> Self {
        Self {
            report: report.clone(),
            origin: section.origin().clone(),
            path: section.path(""),
        }
    }

    fn problem(&self, key: &str, text: impl Into<String>) -> Problem {
        let place = match &self.origin {
            Origin::Line(line) => format!("{}:{line}", self.report.file()),
            _ => self.report.file().to_owned(),
        };
        Problem {
            place,
            key: format!("{}{key}", self.path),
            text: text.into(),
        }
    }

    fn shown(&self) -> String {
        match &self.origin {
            Origin::Line(line) => format!("{}:{line}", self.report.file()),
            _ => self.report.file().to_owned(),
        }
    }
}

/// What has been read so far, each entry with its place.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    participants: BTreeMap<Mnemonic, (Participant, Place)>,
    kinds: BTreeMap<KindName, (engine::registry::Kind, Place)>,
    grants: Vec<(Grant, Place)>,
    routes: Vec<(Route, Place)>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Grants and routes whose kind is written as a namespace: resolved when all kinds are known.
    namespaces: Vec<(Pending, String)>,
}

/// Which entry waits for its kind's name.
#[derive(Debug, Clone, Copy)]
enum Pending {
    Grant(usize),
    Route(usize),
}

impl Collected {
    /// The content and its files, when everything that is referred to exists here or in `current`: what the gateway
    /// has and keeps, so empty when the change prunes.
    pub(crate) fn conclude(
        mut self,
        current: &RegistryContent,
    ) -> Result<(RegistryContent, BTreeMap<String, Vec<u8>>), Problems> {
        let problems = self.resolve(current);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let mut grants: Vec<_> = self.grants.into_iter().map(|(grant, _)| grant).collect();
        grants.sort_by(|a, b| (&a.party, &a.kind).cmp(&(&b.party, &b.kind)));
        let content = RegistryContent {
            participants: self
                .participants
                .into_iter()
                .map(|(key, (value, _))| (key, value))
                .collect(),
            kinds: self.kinds.into_iter().map(|(key, (value, _))| (key, value)).collect(),
            grants,
            routes: self.routes.into_iter().map(|(route, _)| route).collect(),
        };
        Ok((content, self.blobs))
    }

    fn add_file(&mut self, file: &Path) -> Result<(), Problems> {
        let shown = file.display().to_string();
        let octets = read_bounded(file).map_err(|text| Problems::one(&shown, "", text))?;
        let text = String::from_utf8(octets).map_err(|_| Problems::one(&shown, "", "is not UTF-8"))?;
        self.add_text(&shown, &text, file.parent().unwrap_or_else(|| Path::new(".")))
    }

    /// Adds what a file with this text says; the paths in it are relative to `folder`.
    pub(crate) fn add_text(&mut self, shown: &str, text: &str, folder: &Path) -> Result<(), Problems> {
        let node = document::parse(shown, text)?;
        let report = Report::about(shown);
        parse::Parser {
            folder,
            report: &report,
            into: self,
        }
        .file(&Section::root(&node, &report));
        report.conclude(Some(()))
    }

    /// Checks that what is referred to exists, and puts kind names in place of namespaces.
    fn resolve(&mut self, current: &RegistryContent) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (pending, namespace) in std::mem::take(&mut self.namespaces) {
            let (kind, place) = match pending {
                Pending::Grant(index) => {
                    let (grant, place) = &mut self.grants[index];
                    (&mut grant.kind, &*place)
                }
                Pending::Route(index) => {
                    let (route, place) = &mut self.routes[index];
                    (&mut route.kind, &*place)
                }
            };
            let ours = self.kinds.values().map(|(kind, _)| kind);
            let theirs = current
                .kinds
                .values()
                .filter(|kind| !self.kinds.contains_key(&kind.name));
            let mut names = ours
                .chain(theirs)
                .filter(|kind| kind.namespace == namespace)
                .map(|kind| &kind.name);
            match (names.next(), names.next()) {
                (Some(name), None) => *kind = name.clone(),
                (None, _) => problems.push(place.problem("kind", format!("no kind has the namespace {namespace:?}"))),
                (Some(a), Some(b)) => problems.push(place.problem(
                    "kind",
                    format!("the namespace {namespace:?} is that of several kinds ({a}, {b}); write the kind's name"),
                )),
            }
        }
        problems.extend(self.unknown_references(current));
        problems.extend(self.ambiguities(current));
        problems
    }

    fn unknown_references(&self, current: &RegistryContent) -> Vec<Problem> {
        let kind_known = |kind: &KindName| self.kinds.contains_key(kind) || current.kinds.contains_key(kind);
        let participant_known = |party: &engine::names::Party| match party {
            engine::names::Party::Participant(mnemonic) => {
                self.participants.contains_key(mnemonic) || current.participants.contains_key(mnemonic)
            }
            _ => true,
        };
        let grants = self
            .grants
            .iter()
            .map(|(grant, place)| (&grant.kind, &grant.party, "participant", place));
        let routes = self
            .routes
            .iter()
            .map(|(route, place)| (&route.kind, &route.to, "to", place));
        let mut problems = Vec::new();
        for (kind, party, key, place) in grants.chain(routes) {
            if !kind_known(kind) && !kind.as_str().is_empty() && kind.as_str() != parse::UNRESOLVED {
                let known = self.kinds.keys().chain(current.kinds.keys());
                let known: Vec<_> = known.map(KindName::as_str).collect();
                problems.push(place.problem("kind", unknown("kind", kind.as_str(), &known)));
            }
            if !participant_known(party) {
                let known = self.participants.keys().chain(current.participants.keys());
                let known: Vec<_> = known.map(Mnemonic::as_str).collect();
                problems.push(place.problem(key, unknown("participant", &party.to_string(), &known)));
            }
        }
        problems
    }

    /// Two kinds with one root element, or one certificate with two owners, cannot be told apart at the door.
    fn ambiguities(&self, current: &RegistryContent) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut roots = BTreeMap::new();
        for kind in current
            .kinds
            .values()
            .filter(|kind| !self.kinds.contains_key(&kind.name))
        {
            roots.insert((&kind.namespace, &kind.request), &kind.name);
            roots.insert((&kind.namespace, &kind.response), &kind.name);
        }
        for (kind, place) in self.kinds.values() {
            for (key, root) in [("request", &kind.request), ("response", &kind.response)] {
                if let Some(other) = roots
                    .insert((&kind.namespace, root), &kind.name)
                    .filter(|other| **other != kind.name)
                {
                    problems.push(place.problem(
                        key,
                        format!("{root:?} of this namespace belongs to kind {other} already"),
                    ));
                }
            }
        }
        let mut owners = BTreeMap::new();
        for owner in current
            .participants
            .values()
            .filter(|owner| !self.participants.contains_key(&owner.mnemonic))
        {
            owners.extend(
                owner
                    .certificates
                    .iter()
                    .map(|certificate| (*certificate, &owner.mnemonic)),
            );
        }
        for (owner, place) in self.participants.values() {
            for certificate in &owner.certificates {
                let other = owners.insert(*certificate, &owner.mnemonic);
                if let Some(other) = other.filter(|other| **other != owner.mnemonic) {
                    problems.push(place.problem(
                        "certificates",
                        format!("{} is pinned to {other} already", certificate.0),
                    ));
                }
            }
        }
        problems
    }
}

/// Says that there is nothing of a name, and what may have been meant.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("there is no {what} {name:?}; did you mean {near:?}?"),
        None => format!("there is no {what} {name:?}"),
    }
}

/// The files that the paths of the command line mean.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Problems> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match toml_files(path) {
            Ok(found) if found.is_empty() => {
                problems.extend(Problems::one(path.display().to_string(), "", "there are no *.toml files in it").0);
            }
            Ok(found) => files.extend(found),
            Err(error) => problems.extend(Problems::one(path.display().to_string(), "", error.to_string()).0),
        }
    }
    if problems.is_empty() {
        Ok(files)
    } else {
        Err(Problems(problems))
    }
}

fn toml_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut found = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
    found.retain(|file| file.extension().is_some_and(|extension| extension == "toml") && file.is_file());
    found.sort();
    Ok(found)
}

/// Reads a file that a person named, within the bound.
pub(crate) fn read_bounded(file: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut octets = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| format!("cannot be read: {error}"))?;
    opened
        .take(FILE_BYTES + 1)
        .read_to_end(&mut octets)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if octets.len() as u64 > FILE_BYTES {
        return Err(format!("is larger than {} MiB", FILE_BYTES >> 20));
    }
    Ok(octets)
}

/// The name of a content-addressed file: Streebog-256 of its octets in hexadecimal.
pub(crate) fn content_name(octets: &[u8]) -> String {
    hex::encode(gost::DigestAlgorithm::Streebog256.hash(octets).as_ref())
}
