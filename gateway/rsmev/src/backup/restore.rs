//! `rsmev backup restore`: a backup becomes a data directory. The storage header comes last, so that what was interrupted
//! is not taken for a store; the note beside it keeps messages from going to upstreams until a person says so.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use engine::RestoredNote;
use jiff::Timestamp;

use super::folder::{Extent, Folder, Owner, copy, make_folders, put, sync};
use super::manifest::Entry;
use super::{NOT_IN_IT, summary, verify};
use crate::cli::BackupPlace;
use crate::failure::Failure;
use crate::output::Out;

/// The storage header.
const HEADER: &str = "FORMAT";

/// What a store has even if nothing is in it.
const FOLDERS: [&str; 4] = ["journal", "spool", "snapshot", "registry"];

/// Carries the command out.
pub(crate) fn run(place: &BackupPlace, data_dir: &Path, out: &mut Out) -> Result<(), Failure> {
    let folder = Folder::new(&place.dir);
    let (found, signer) = verify::open(&folder, place)?;
    let manifest = &found.manifest;
    let owner = target(data_dir)?;
    let (headers, files): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| file.path == HEADER);
    for name in FOLDERS {
        let path = data_dir.join(name);
        make_folders(data_dir, &path, owner).map_err(|error| Failure::file(&path, error))?;
    }
    for file in files {
        bring(&folder, file, data_dir, owner)?;
    }
    let note = RestoredNote {
        manifest: found.digest.clone(),
        through: manifest.through,
        made: manifest.created,
        restored: Timestamp::now(),
    };
    let path = RestoredNote::path(data_dir);
    let text = serde_json::to_vec(&note).map_err(|error| Failure::file(&path, error))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    put(data_dir, name, &text, owner)?;
    for file in headers {
        bring(&folder, file, data_dir, owner)?;
    }
    sync(data_dir).map_err(|error| Failure::file(data_dir, error))?;
    out.line(format_args!(
        "{}, is restored to {}.",
        summary(manifest),
        data_dir.display()
    ))?;
    out.line(format_args!("It was signed by {} ({}).", signer.subject(), signer.id()))?;
    out.line(NOT_IN_IT)?;
    Ok(out.line(
        "Nothing goes to upstreams until `rsmev backup resume-upstream` says so: first make sure that the old gateway does not run.",
    )?)
}

/// The folder, which must have nothing in it, and its owner.
fn target(data_dir: &Path) -> Result<Owner, Failure> {
    let failed = |error| Failure::file(data_dir, error);
    if data_dir.is_dir() {
        let mut there = fs::read_dir(data_dir).map_err(failed)?;
        if there.next().is_some() {
            return Err(Failure::file(data_dir, "is not empty; restore into an empty folder"));
        }
    } else {
        fs::DirBuilder::new().mode(0o750).create(data_dir).map_err(failed)?;
    }
    Owner::of(data_dir).map_err(failed)
}

fn bring(folder: &Folder, file: &Entry, data_dir: &Path, owner: Owner) -> Result<(), Failure> {
    let to = data_dir.join(&file.path);
    let above = to.parent().unwrap_or(data_dir);
    make_folders(data_dir, above, owner).map_err(|error| Failure::file(above, error))?;
    let from = folder.path(&file.stored);
    if copy(&from, &to, Extent::Whole(file.bytes), owner, &mut || Ok(()))? != file.digest {
        return Err(Failure::file(
            &from,
            format!("is not what was backed up as {}", file.path),
        ));
    }
    sync(above).map_err(|error| Failure::file(above, error))
}
