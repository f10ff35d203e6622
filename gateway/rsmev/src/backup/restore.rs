//! `rsmev backup restore`: a backup becomes a data directory. The storage header comes last, so that what was interrupted
//! is not taken for a store; the note beside it keeps messages from going to upstreams until a person says so.

use std::path::Path;

use engine::RestoredNote;
use jiff::Timestamp;
use nix::unistd::Uid;

use super::folder::{Extent, Folder, copy, put};
use super::manifest::Entry;
use super::root::{Owner, Root, parted};
use super::{NOT_IN_IT, summary, verify};
use crate::cli::BackupPlace;
use crate::confirm::YesArg;
use crate::failure::Failure;
use crate::output::Out;
use crate::store::person;

/// The storage header.
const HEADER: &str = "FORMAT";

/// What a store has even if nothing is in it.
const FOLDERS: [&str; 4] = ["journal", "spool", "snapshot", "registry"];

/// Carries the command out.
pub(crate) fn run(place: &BackupPlace, data_dir: &Path, yes: YesArg, out: &mut Out) -> Result<(), Failure> {
    let folder = Folder::open(&place.dir)?;
    let (found, signer) = verify::open(&folder, place)?;
    let manifest = &found.manifest;
    let (target, owner) = target(data_dir)?;
    yes.confirm(|| Ok(format!("fill {} with {}", data_dir.display(), summary(manifest))))?;
    let (headers, files): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| file.path == HEADER);
    for name in FOLDERS {
        let made = target.make_folders(name, owner);
        made.map_err(|error| Failure::file(&target.path(name), error))?;
    }
    for file in files {
        bring(&folder, file, &target, owner)?;
    }
    let note = RestoredNote {
        manifest: found.digest.clone(),
        through: manifest.through,
        made: manifest.created,
        restored: Timestamp::now(),
        by: Some(person(Uid::current())),
    };
    let path = RestoredNote::path(data_dir);
    let text = serde_json::to_vec(&note).map_err(|error| Failure::file(&path, error))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    put(&target, name, &text, owner)?;
    for file in headers {
        bring(&folder, file, &target, owner)?;
    }
    target.sync("").map_err(|error| Failure::file(data_dir, error))?;
    out.line(format_args!(
        "{}, is restored to {}.",
        summary(manifest),
        data_dir.display()
    ))?;
    out.line(format_args!("It was signed by {} ({}).", signer.subject(), signer.id()))?;
    out.line(NOT_IN_IT)?;
    out.line(format_args!(
        "Participants and queues stand as they stood at {}: suspend again who was suspended since then (`rsmev participant \
         suspend`), before the gateway starts.",
        manifest.created
    ))?;
    Ok(out.line(
        "Nothing goes to upstreams until `rsmev backup resume-upstream` says so: first make sure that the old gateway does not run.",
    )?)
}

/// The folder, which must have nothing in it, and its owner. Root makes none: it would be root's, and the gateway could not
/// write to its own store.
fn target(data_dir: &Path) -> Result<(Root, Owner), Failure> {
    let failed = |error| Failure::file(data_dir, error);
    if !data_dir.exists() {
        if nix::unistd::geteuid().is_root() {
            return Err(Failure::file(
                data_dir,
                "is not there; make it for the gateway's account first, for example with install -d -m 750 -o rsmev -g rsmev",
            ));
        }
        Root::make(data_dir, 0o750).map_err(failed)?;
    }
    let root = Root::open(data_dir).map_err(failed)?;
    if !root.list("").map_err(failed)?.is_empty() {
        return Err(Failure::file(data_dir, "is not empty; restore into an empty folder"));
    }
    let owner = root.owner().map_err(failed)?;
    Ok((root, owner))
}

fn bring(folder: &Folder, file: &Entry, target: &Root, owner: Owner) -> Result<(), Failure> {
    let from = folder.path(&file.stored);
    let to = |error| Failure::file(&target.path(&file.path), error);
    let (above, _) = parted(&file.path);
    target.make_folders(above, owner).map_err(to)?;
    let source = folder
        .root
        .read(&file.stored)
        .map_err(|error| Failure::file(&from, error))?;
    let place = (target, file.path.as_str());
    if copy(source, &from, place, Extent::Whole(file.bytes), owner, &mut || Ok(()))? != file.digest {
        return Err(Failure::file(
            &from,
            format!("is not what was backed up as {}", file.path),
        ));
    }
    target.sync(above).map_err(to)
}
