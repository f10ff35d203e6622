//! `rsmev registry`

use std::path::Path;

use engine::command::RegistryDiff;
use engine::registry::{Condition, May, RegistryContent, Scope, Test};

use super::{ask, or_dash, present};
use crate::cli::Registry;
use crate::failure::Failure;
use crate::operator::{Blobs, RegistryFiles, Request};
use crate::output::{Out, Table, remark};
use crate::registry_file::{self, stored};
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store::Store;

/// Carries the command out.
pub(crate) fn run(command: &Registry, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        Registry::Apply { paths, prune } => apply(settings, paths, *prune, out),
        Registry::Export { dir } => export(settings, dir.as_deref(), out),
        Registry::Show(output) => {
            let content = match kept(settings)? {
                Some(content) => serde_json::json!(content),
                None => ask(settings, Request::Registry)?,
            };
            present(content, output.output, out, |content: RegistryContent, out| {
                show(&content, out)
            })
        }
    }
}

/// The registry of a stopped gateway, from the files: nothing is opened, and nothing written. `None` if only a gateway
/// can tell it.
fn kept(settings: &Settings) -> Result<Option<RegistryContent>, Failure> {
    match Store::find(settings)? {
        Some(_) => Ok(None),
        None => stored::stopped(&settings.node.data_dir).map_err(Failure::Refused),
    }
}

fn apply(settings: &Settings, paths: &[std::path::PathBuf], prune: bool, out: &mut Out) -> Result<(), Failure> {
    // Read first what only the caller may be able to read: opening the store may change who we are.
    let alone = registry_file::read(paths)?;
    let store = Store::open(settings)?;
    let applied = apply_to(settings, &store, alone, prune);
    store.close();
    let diff = applied?;
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
    prune: bool,
) -> Result<RegistryDiff, Failure> {
    let current = if prune {
        RegistryContent::default()
    } else {
        store.ask(Request::Registry)?
    };
    let (content, blobs) = read.conclude(&current)?;
    for name in stored::upstreams(&content) {
        if !settings.upstreams.iter().any(|upstream| upstream.name == *name) {
            remark(format_args!(
                "warning: upstream {name} is not configured; what is routed to it waits until it is"
            ));
        }
    }
    store.ask(Request::RegistryApply {
        content,
        prune,
        blobs: Blobs(blobs),
    })
}

fn export(settings: &Settings, dir: Option<&Path>, out: &mut Out) -> Result<(), Failure> {
    if let Some(dir) = dir
        && std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
    {
        return Err(Failure::refused(format!("{}: is not empty", dir.display())));
    }
    let files = match kept(settings)? {
        Some(content) => {
            let blobs = stored::blobs(&content, |name| stored::blob(&settings.node.data_dir, name));
            let blobs = Blobs(blobs.map_err(Failure::Refused)?);
            RegistryFiles { content, blobs }
        }
        None => {
            let answer = ask(settings, Request::RegistryFiles)?;
            serde_json::from_value(answer).map_err(|error| Failure::refused(error.to_string()))?
        }
    };
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

fn show(content: &RegistryContent, out: &mut Out) -> Result<(), Failure> {
    let mut participants = Table::new(&["PARTICIPANT", "NAME", "ОКТМО", ">CERTIFICATES", "FROM"]);
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
