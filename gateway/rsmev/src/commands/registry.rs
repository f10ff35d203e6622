//! `rsmev registry`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engine::Halts;
use engine::command::RegistryDiff;
use engine::names::UpstreamName;
use engine::registry::{Condition, May, RegistryContent, Scope, Test};
use gost::Certificate;
use serde::Serialize;
use serde_json::{Map, Value};

use super::halts::{halts_if_told, shown};
use super::{ask, or_dash, present};
use crate::cli::{Output, Registry};
use crate::confirm::YesArg;
use crate::failure::Failure;
use crate::operator::{Blobs, RegistryFiles, Request};
use crate::output::{Out, Table, remark};
use crate::registry_file::{self, Finding, stored};
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store::Store;

/// What is to be said of an upstream that the registry names and the configuration does not.
const UNCONFIGURED: &str = "is not configured; what is routed to it waits until it is";

/// Carries the command out.
pub(crate) fn run(command: &Registry, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        Registry::Apply { paths, prune, yes } => apply(settings, paths, (*prune, *yes), out),
        Registry::Diff { paths, prune, output } => diff(settings, paths, *prune, output.output, out),
        Registry::Lint {
            paths,
            alone,
            strict,
            output,
        } => lint(settings, (paths, *alone), *strict, output.output, out),
        Registry::Export { dir } => export(settings, dir.as_deref(), out),
        Registry::Show(output) => {
            let content = match kept(settings)? {
                Some(content) => serde_json::json!(content),
                None => ask(settings, Request::Registry)?,
            };
            present(content, output.output, out, |content: RegistryContent, out| {
                show(&content, &halts_if_told(settings), out)
            })
        }
    }
}

/// What the gateway has now, running or stopped.
pub(super) fn current(settings: &Settings) -> Result<RegistryContent, Failure> {
    if let Some(content) = kept(settings)? {
        return Ok(content);
    }
    let answer = ask(settings, Request::Registry)?;
    serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))
}

/// The registry of a stopped gateway, from the files: nothing is opened, and nothing written. `None` if only a gateway
/// can tell it.
fn kept(settings: &Settings) -> Result<Option<RegistryContent>, Failure> {
    match Store::find(settings)? {
        Some(_) => Ok(None),
        None => stored::stopped(&settings.node.data_dir).map_err(Failure::Refused),
    }
}

fn apply(settings: &Settings, paths: &[PathBuf], (prune, yes): (bool, YesArg), out: &mut Out) -> Result<(), Failure> {
    // Read first what only the caller may be able to read: opening the store may change who we are.
    let alone = registry_file::read(paths)?;
    let store = Store::open(settings)?;
    let applied = apply_to(settings, &store, alone, (prune, yes));
    store.close();
    list_changes(&applied?, out)
}

fn list_changes(diff: &RegistryDiff, out: &mut Out) -> Result<(), Failure> {
    let changes = [
        ("added", &diff.added),
        ("changed", &diff.changed),
        ("removed", &diff.removed),
    ];
    for (word, keys) in changes {
        for key in keys {
            out.line(format_args!("{word:8} {key}"))?;
        }
    }
    if changes.iter().all(|(_, keys)| keys.is_empty()) {
        out.line("Nothing to change: the registry says this already.")?;
    }
    Ok(())
}

fn apply_to(
    settings: &Settings,
    store: &Store,
    read: registry_file::Collected,
    (prune, yes): (bool, YesArg),
) -> Result<RegistryDiff, Failure> {
    let current = if prune {
        RegistryContent::default()
    } else {
        store.ask(Request::Registry)?
    };
    let (content, blobs) = read.conclude(&current)?;
    for name in unconfigured(settings, &content) {
        remark(format_args!("warning: upstream {name} {UNCONFIGURED}"));
    }
    yes.confirm(|| {
        let before = store.ask(Request::Registry)?;
        let (_, diff) = engine::preview(&before, content.clone(), prune);
        Ok(format!(
            "add {}, change {} and remove {} in the registry (`rsmev registry diff` shows which)",
            count(diff.added.len() as u64, "item"),
            diff.changed.len(),
            diff.removed.len()
        ))
    })?;
    store.ask(Request::RegistryApply {
        content,
        prune,
        blobs: Blobs(blobs),
    })
}

/// Upstreams that the registry names and the configuration does not.
fn unconfigured<'c>(settings: &Settings, content: &'c RegistryContent) -> Vec<&'c UpstreamName> {
    let configured = |name: &UpstreamName| settings.upstreams.iter().any(|upstream| upstream.name == *name);
    stored::upstreams(content)
        .into_iter()
        .filter(|name| !configured(name))
        .collect()
}

/// What applying the files would change.
#[derive(Serialize)]
struct Preview {
    #[serde(flatten)]
    diff: RegistryDiff,
    /// Of what is changed, key by key: the fields with what they were and what they become.
    fields: BTreeMap<String, Vec<FieldChange>>,
}

#[derive(Serialize)]
struct FieldChange {
    field: String,
    before: Value,
    after: Value,
}

fn diff(settings: &Settings, paths: &[PathBuf], prune: bool, output: Output, out: &mut Out) -> Result<(), Failure> {
    let read = registry_file::read(paths)?;
    let before = current(settings)?;
    let nothing = RegistryContent::default();
    let (change, _) = read.conclude(if prune { &nothing } else { &before })?;
    let (after, diff) = engine::preview(&before, change, prune);
    let (was, becomes) = (entries(&before)?, entries(&after)?);
    let fields = diff.changed.iter().map(|key| {
        let fields = match (was.get(key), becomes.get(key)) {
            (Some(was), Some(becomes)) => field_changes(was, becomes),
            _ => Vec::new(),
        };
        (key.clone(), fields)
    });
    let preview = Preview {
        fields: fields.collect(),
        diff,
    };
    if output == Output::Json {
        return Ok(out.json(&preview)?);
    }
    list_changes(&preview.diff, out)?;
    for (key, fields) in &preview.fields {
        out.line(format_args!("\n{key}"))?;
        for FieldChange { field, before, after } in fields {
            out.line(format_args!("  {field}: {before} -> {after}"))?;
        }
        if fields.is_empty() {
            out.line("  its place among the routes of its kind")?;
        }
    }
    Ok(())
}

/// All entries under the keys that changes are told by.
fn entries(content: &RegistryContent) -> Result<BTreeMap<String, Value>, Failure> {
    fn value(entry: &impl Serialize) -> Result<Value, Failure> {
        serde_json::to_value(entry).map_err(|error| Failure::refused(error.to_string()))
    }
    let mut entries = BTreeMap::new();
    for (mnemonic, participant) in &content.participants {
        entries.insert(format!("participant {mnemonic}"), value(participant)?);
    }
    for (name, kind) in &content.kinds {
        entries.insert(format!("kind {name}"), value(kind)?);
    }
    for grant in &content.grants {
        entries.insert(format!("grant {} {}", grant.party, grant.kind), value(grant)?);
    }
    for route in &content.routes {
        entries.insert(format!("route {route}"), value(route)?);
    }
    Ok(entries)
}

fn field_changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let empty = Map::new();
    let (before, after) = (
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
    );
    let fields: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let value = |of: &Map<String, Value>, field: &str| of.get(field).cloned().unwrap_or(Value::Null);
    fields
        .into_iter()
        .map(|field| FieldChange {
            field: field.clone(),
            before: value(before, field),
            after: value(after, field),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// What is found in files (`alone`, or with what the gateway has), or without files in what the gateway has.
fn lint(
    settings: &Settings,
    (paths, alone): (&[PathBuf], bool),
    strict: bool,
    output: Output,
    out: &mut Out,
) -> Result<(), Failure> {
    let (content, blobs) = if paths.is_empty() {
        let files = with_files(settings)?;
        (files.content, files.blobs.0)
    } else {
        let read = registry_file::read(paths)?;
        let held = match alone {
            true => RegistryFiles::default(),
            false => with_files(settings)?,
        };
        let (change, mut blobs) = read.conclude(&held.content)?;
        let (content, _) = engine::preview(&held.content, change, alone);
        blobs.extend(held.blobs.0);
        (content, blobs)
    };
    let certificate = |name: &str| Certificate::from_der(blobs.get(name)?).ok();
    let mut findings = registry_file::lint(&content, certificate);
    findings.extend(unconfigured(settings, &content).into_iter().map(|name| Finding {
        about: format!("upstream {name}"),
        text: UNCONFIGURED.to_owned(),
    }));
    if output == Output::Json {
        out.json(&findings)?;
    } else if findings.is_empty() {
        out.line("Nothing strikes: every reference leads somewhere, and every route can be taken.")?;
    } else {
        findings.iter().try_for_each(|finding| out.line(finding))?;
    }
    match findings.is_empty() || !strict {
        true => Ok(()),
        false => Err(Failure::Said),
    }
}

/// The registry with its certificates and schemas.
fn with_files(settings: &Settings) -> Result<RegistryFiles, Failure> {
    let Some(content) = kept(settings)? else {
        let answer = ask(settings, Request::RegistryFiles)?;
        return serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()));
    };
    let blobs = stored::blobs(&content, |name| stored::blob(&settings.node.data_dir, name));
    let blobs = Blobs(blobs.map_err(Failure::Refused)?);
    Ok(RegistryFiles { content, blobs })
}

fn export(settings: &Settings, dir: Option<&Path>, out: &mut Out) -> Result<(), Failure> {
    if let Some(dir) = dir
        && std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
    {
        return Err(Failure::refused(format!("{}: is not empty", dir.display())));
    }
    let files = with_files(settings)?;
    let exported = registry_file::export(&files.content, &files.blobs.0).map_err(Failure::refused)?;
    let Some(dir) = dir else {
        return Ok(out.raw(exported.registry.as_bytes())?);
    };
    let write = |name: &str, octets: &[u8]| {
        let file = dir.join(name);
        let folder = file.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        std::fs::write(&file, octets).map_err(|error| Failure::file(&file, error))
    };
    for (name, octets) in &exported.files {
        write(name, octets)?;
    }
    write("registry.toml", exported.registry.as_bytes())?;
    out.line(format_args!(
        "{}: written, with {} beside it",
        dir.join("registry.toml").display(),
        count(exported.files.len() as u64, "file")
    ))?;
    Ok(())
}

fn show(content: &RegistryContent, halts: &Halts, out: &mut Out) -> Result<(), Failure> {
    let mut participants = Table::new(&["PARTICIPANT", "NAME", "ОКТМО", ">CERTIFICATES", "FROM", "SUSPENDED"]);
    for participant in content.participants.values() {
        let from = if participant.addresses.is_empty() {
            "anywhere".to_owned()
        } else {
            participant.addresses.join(" ")
        };
        participants.row([
            participant.mnemonic.to_string(),
            participant.name.clone(),
            or_dash(participant.oktmo.clone()),
            participant.certificates.len().to_string(),
            from,
            or_dash(halts.suspended(&participant.mnemonic).map(shown)),
        ]);
    }
    let mut kinds = Table::new(&["KIND", "NAMESPACE", "REQUEST", "RESPONSE", "SCOPE", "SCHEMA"]);
    for kind in content.kinds.values() {
        let scope = if kind.scope == Scope::Local { "local" } else { "any" };
        kinds.row([
            kind.name.to_string(),
            kind.namespace.clone(),
            kind.request.clone(),
            kind.response.clone(),
            scope.to_owned(),
            or_dash(kind.schema.as_ref().map(|schema| schema.main.clone())),
        ]);
    }
    let mut grants = Table::new(&["GRANT TO", "KIND", "MAY"]);
    for grant in &content.grants {
        let may = grant
            .may
            .iter()
            .map(|may| if *may == May::Request { "request" } else { "provide" });
        grants.row([
            grant.party.to_string(),
            grant.kind.to_string(),
            may.collect::<Vec<_>>().join(", "),
        ]);
    }
    let mut routes = Table::new(&["ROUTE", "WHEN", "TO"]);
    for route in &content.routes {
        let when = route.when.as_ref().map_or_else(|| "always".to_owned(), shown_condition);
        routes.row([route.kind.to_string(), when, route.to.to_string()]);
    }
    let mut first = true;
    for table in [participants, kinds, grants, routes]
        .iter()
        .filter(|table| !table.is_empty())
    {
        if !std::mem::replace(&mut first, false) {
            out.line("")?;
        }
        out.table(table)?;
    }
    if first {
        out.line("The registry is empty; fill it with `rsmev registry apply`.")?;
    }
    Ok(())
}

fn shown_condition(condition: &Condition) -> String {
    let (subject, test) = match condition {
        Condition::Payload { path, test } => (path.as_str(), test),
        Condition::Dynamic(test) => ("dynamic routing value", test),
        Condition::Identifier(test) => ("identifier routing value", test),
    };
    match test {
        Test::Present => format!("{subject} is there"),
        Test::Prefix(text) => format!("{subject} begins with {text:?}"),
        Test::Equals(text) => format!("{subject} is {text:?}"),
    }
}
