//! The data directory and the registry in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::Keyring;
use engine::registry::RegistryContent;
use engine::room;
use gost::Certificate;
use journal::disk::{Disk, RealDisk};
use journal::verify::{Range, verify};
use vault::{DataKeys, MasterKey};

use super::{Findings, Level, Talk, files};
use crate::data_dir;
use crate::master_key::Place;
use crate::registry_file::stored;
use crate::settings::Inspection;
use engine::units::show_size;

const DATA_DIR: &str = "node.data_dir";

pub(super) fn check(inspection: &Inspection, talk: Talk, findings: &mut Findings) {
    let Some(dir) = inspection.path(DATA_DIR) else { return };
    if !data_dir(inspection, findings, &dir) {
        return;
    }
    reserve(inspection, findings, &dir);
    match header_and_end(&dir) {
        Ok(true) => findings.key(inspection, Level::Ok, DATA_DIR, format!("{}: storage", dir.display())),
        Ok(false) => {}
        Err(text) => findings.key(inspection, Level::Error, DATA_DIR, text),
    }
    at_rest(inspection, findings, &dir);
    let socket = inspection.path("admin.socket").filter(|_| talk == Talk::Yes);
    match stored::registry(&dir, socket.as_deref()) {
        Ok(Some(content)) => registry(inspection, findings, &dir, &content),
        Ok(None) => {
            let text = "was not looked at, because its record is archived; start the gateway and check again";
            findings.at(Level::Warning, "registry", text);
        }
        Err(text) => findings.at(Level::Error, "registry", text),
    }
}

fn data_dir(inspection: &Inspection, findings: &mut Findings, dir: &Path) -> bool {
    let (level, text) = match std::fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => return true,
        Ok(_) => (Level::Error, "is not a folder".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => (
                Level::Error,
                format!("there is no folder {} to make it in", parent.display()),
            ),
            _ => (
                Level::Warning,
                "there is no data yet; the first start makes the folder".to_owned(),
            ),
        },
        Err(error) => (Level::Error, error.to_string()),
    };
    findings.key(inspection, level, DATA_DIR, format!("{}: {text}", dir.display()));
    false
}

fn reserve(inspection: &Inspection, findings: &mut Findings, dir: &Path) {
    let Ok(space) = RealDisk.space(dir) else { return };
    let key = "limits.disk_reserve";
    let reserve = room::disk_reserve(inspection.size(key), &space);
    if space.free_bytes < reserve {
        let (reserve, free) = (show_size(reserve), show_size(space.free_bytes));
        findings.key(inspection, Level::Warning, key, too_little(&reserve, &free));
    }
    let key = "limits.inode_reserve";
    let reserve = room::inode_reserve(inspection.integer(key), &space);
    if space.free_files < reserve {
        let (reserve, free) = (format!("{reserve} inodes"), space.free_files.to_string());
        findings.key(inspection, Level::Warning, key, too_little(&reserve, &free));
    }
}

fn too_little(reserve: &str, free: &str) -> String {
    format!(
        "{reserve} must stay free, but only {free} are, so that nothing new would be accepted; make room, or reserve less"
    )
}

/// The master key, and that it is the one of the keyring.
fn at_rest(inspection: &Inspection, findings: &mut Findings, dir: &Path) {
    const KEY: &str = "storage.master_key";
    let keyring = Keyring::of(dir, RealDisk::shared());
    let sealed_before = keyring.exists();
    if inspection.text("storage.encryption") == Some("none") {
        let text = "message bodies are stored as they are: whoever has the disk can read them";
        findings.key(inspection, Level::Warning, "storage.encryption", text);
        if !sealed_before {
            return;
        }
    }
    let place = Place::of(inspection.path(KEY).as_deref(), dir);
    let beside = matches!(place, Place::DataDir(_));
    if beside && !sealed_before && !place.path().exists() {
        let text = "no master key is named; the first start makes one beside the data";
        return findings.key(inspection, Level::Warning, KEY, text);
    }
    let master = match MasterKey::read(place.path()) {
        Ok(master) => master,
        Err(error) => return findings.key(inspection, Level::Error, KEY, error.to_string()),
    };
    let opened = match sealed_before {
        true => DataKeys::read(&keyring, &master).map(drop),
        false => Ok(()),
    };
    let shown = format!("{}: master key {}", place.path().display(), master.fingerprint());
    match opened {
        Err(error) => findings.key(inspection, Level::Error, KEY, error.to_string()),
        Ok(()) if beside => {
            let text = format!("{shown} lies beside the data that it protects; whoever has the disk has both");
            findings.key(inspection, Level::Warning, KEY, text);
        }
        Ok(()) => findings.key(inspection, Level::Ok, KEY, shown),
    }
}

/// The storage header, and that the journal reaches as far as it must; reads no more than the last segment.
fn header_and_end(dir: &Path) -> Result<bool, String> {
    if journal::check_header(&RealDisk, dir)
        .map_err(|error| error.to_string())?
        .is_none()
    {
        return Ok(false);
    }
    let session = data_dir::session(dir);
    let journal = dir.join("journal");
    let range = Range {
        from: session.as_ref().map(|session| session.last_seq.max(1)),
        to: None,
    };
    let report = verify(&RealDisk::shared(), &journal, range, &mut |_| Ok(())).map_err(|error| error.to_string())?;
    // Records from the known end on: none at all means that it is not there.
    let last_seq = match (&session, report.records) {
        (Some(session), 0) => session.last_seq.saturating_sub(1),
        _ => report.last_seq,
    };
    let torn = report.torn_tail.as_ref().map(|torn| torn as &dyn std::fmt::Display);
    data_dir::check_end(dir, session.as_ref(), last_seq, torn)?;
    Ok(true)
}

fn registry(inspection: &Inspection, findings: &mut Findings, dir: &Path, content: &RegistryContent) {
    for participant in content.participants.values() {
        for reference in &participant.certificates {
            let place = format!("registry: participant {}", participant.mnemonic);
            let read = stored::blob(dir, &reference.0.to_string());
            match read.and_then(|der| Certificate::from_der(&der).map_err(|error| error.to_string())) {
                Ok(certificate) => {
                    let (level, text) = files::validity(&certificate, Level::Warning);
                    findings.at(level, place, text);
                    findings.is_a_term();
                }
                Err(text) => findings.at(Level::Error, place, text),
            }
        }
    }
    for kind in content.kinds.values() {
        let Some(schema) = &kind.schema else { continue };
        let read = |(path, hash): (&String, &String)| Ok::<_, String>((path.clone(), stored::blob(dir, hash)?));
        let checked = schema.files.iter().map(read).collect::<Result<BTreeMap<_, _>, _>>();
        let checked = checked.and_then(|files| {
            smev3::schema::compile(&schema.main, &files)
                .map(|_| ())
                .map_err(|error| error.to_string())
        });
        let place = format!("registry: kind {}", kind.name);
        match checked {
            Ok(()) => findings.at(Level::Ok, place, format!("schema {}", schema.main)),
            Err(text) => findings.at(Level::Error, place, text),
        }
    }
    rules(inspection, findings, content);
    let upstreams = inspection.items("upstream");
    let configured: BTreeSet<_> = upstreams
        .iter()
        .filter_map(|upstream| inspection.text(&format!("{upstream}.name")))
        .collect();
    for name in stored::upstreams(content) {
        if !configured.contains(name.as_str()) {
            let place = format!("registry: upstream {name}");
            findings.at(
                Level::Error,
                place,
                "is not configured; what is routed to it would wait for ever",
            );
        }
    }
}

/// Rules of retention that name what is not registered: not wrong, for it may come yet, but more often a slip of the pen.
fn rules(inspection: &Inspection, findings: &mut Findings, content: &RegistryContent) {
    for rule in inspection.items("retention.rule") {
        let known = |name: &str, is: bool, key: String, findings: &mut Findings| {
            if !is {
                let text = format!("{name} is not registered, so that the rule fits nothing yet");
                findings.key(inspection, Level::Warning, &key, text);
            }
        };
        let key = format!("{rule}.kind");
        if let Some(name) = inspection.text(&key) {
            let is = content.kinds.keys().any(|kind| kind.as_str() == name);
            known(name, is, key, findings);
        }
        let key = format!("{rule}.participant");
        if let Some(name) = inspection.text(&key) {
            let is = content
                .participants
                .keys()
                .any(|participant| participant.as_str() == name);
            known(name, is, key, findings);
        }
    }
}
