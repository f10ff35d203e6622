//! The registry as a gateway holds it, read without the store's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixStream;
use std::path::Path;

use engine::names::{Party, UpstreamName};
use engine::registry::RegistryContent;
use journal::disk::RealDisk;
use journal::read::Filter;

use super::content_name;
use crate::operator::Request;
use crate::store::Store;

/// What a running gateway says at its `socket`, or the last registry that the journal of a stopped one names; `None` if
/// the record that would name it is no longer in the journal.
///
/// # Errors
/// What cannot be read, for a person.
pub(crate) fn registry(data_dir: &Path, socket: Option<&Path>) -> Result<Option<RegistryContent>, String> {
    match socket {
        Some(socket) if UnixStream::connect(socket).is_ok() => Store::running(socket)
            .ask(Request::Registry)
            .map(Some)
            .map_err(|failure| failure.to_string()),
        _ => stopped(data_dir),
    }
}

/// The registry of a stopped gateway.
///
/// # Errors
/// The same.
pub(crate) fn stopped(data_dir: &Path) -> Result<Option<RegistryContent>, String> {
    let dir = data_dir.join("journal");
    if !dir.is_dir() {
        return Ok(Some(RegistryContent::default()));
    }
    let filter = Filter {
        contains: Some("\"type\":\"registry\"".to_owned()),
        ..Filter::default()
    };
    let records = journal::read::records(RealDisk::shared(), &dir, filter).map_err(|error| error.to_string())?;
    let mut digest = None;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        if let Ok(engine::event::Event::Registry { digest: named, .. }) = serde_json::from_str(record.event.get()) {
            digest = Some(named);
        }
    }
    let Some(digest) = digest else {
        let first = journal::read::records(RealDisk::shared(), &dir, Filter::default())
            .and_then(|mut records| records.next().transpose());
        let complete = first
            .map_err(|error| error.to_string())?
            .is_none_or(|record| record.seq == 1);
        return Ok(complete.then(RegistryContent::default));
    };
    serde_json::from_slice(&blob(data_dir, &digest)?)
        .map(Some)
        .map_err(|error| format!("{}: {error}", data_dir.join("registry").join(digest).display()))
}

/// A content-addressed file of the registry, its content checked against its name.
///
/// # Errors
/// It cannot be read, or is damaged.
pub(crate) fn blob(data_dir: &Path, name: &str) -> Result<Vec<u8>, String> {
    let file = data_dir.join("registry").join(name);
    let octets = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if content_name(&octets) == name {
        Ok(octets)
    } else {
        Err(format!("{}: is damaged", file.display()))
    }
}

/// Names of everything that a registry refers to by content, certificates and schemas, read by `read`.
///
/// # Errors
/// The first that `read` gives.
pub(crate) fn blobs(
    content: &RegistryContent,
    read: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let participants = content.participants.values();
    let certificates = participants.flat_map(|participant| participant.certificates.iter().map(|c| c.0.to_string()));
    let schemas = content.kinds.values().filter_map(|kind| kind.schema.as_ref());
    let schemas = schemas.flat_map(|schema| schema.files.values().cloned());
    certificates
        .chain(schemas)
        .map(|name| Ok((read(&name)?, name)).map(|(octets, name)| (name, octets)))
        .collect()
}

/// Upstreams that grants and routes name.
pub(crate) fn upstreams(content: &RegistryContent) -> BTreeSet<&UpstreamName> {
    let grants = content.grants.iter().map(|grant| &grant.party);
    let parties = grants.chain(content.routes.iter().map(|route| &route.to));
    parties
        .filter_map(|party| match party {
            Party::Upstream(name) => Some(name),
            _ => None,
        })
        .collect()
}
