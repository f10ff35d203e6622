//! What is removed from a folder of backups: what interrupted ones left, and the older ones.

use std::collections::BTreeSet;

use super::folder::{Folder, manifest_name, set_name, signature_name};
use super::manifest::check_signature;
use super::root::Root;
use crate::failure::Failure;

/// Removes what an interrupted backup left.
pub(super) fn clear_away(folder: &Folder) -> Result<(), Failure> {
    let numbers = folder.numbers()?;
    let (used, root) = (used(folder, &numbers)?, &folder.root);
    for number in folder.sets()? {
        let set = set_name(number);
        let within = format!("{set}/");
        if !numbers.contains(&number) && !used.iter().any(|place| place.starts_with(&within)) {
            remove_unused(root, &set, &used)?;
        }
    }
    Ok(())
}

/// Removes older backups, and the files that only they need.
pub(super) fn prune(folder: &Folder, keep: usize) -> Result<(), Failure> {
    let mut numbers = folder.numbers()?;
    let kept = numbers.split_off(numbers.len().saturating_sub(keep.max(1)));
    let used = used(folder, &kept)?;
    let root = &folder.root;
    for number in numbers {
        for name in [manifest_name(number), signature_name(number)] {
            root.remove(&name)
                .map_err(|error| Failure::file(&root.path(&name), error))?;
        }
    }
    root.sync("").map_err(|error| Failure::file(&root.path(""), error))?;
    for number in folder.sets()? {
        remove_unused(root, &set_name(number), &used)?;
    }
    Ok(())
}

/// Where the files of these backups lie. Of a backup whose manifest cannot be read nobody knows what it needs: nothing is
/// removed then, and no other backup made.
fn used(folder: &Folder, numbers: &[u64]) -> Result<BTreeSet<String>, Failure> {
    let mut used = BTreeSet::new();
    for number in numbers {
        let lost = |why: String| {
            Failure::refused(format!(
                "nobody knows which files backup {number} needs: {why}\nPut its manifest and signature back, or remove both to give that backup up."
            ))
        };
        let found = folder.manifest(Some(*number));
        let found = found.map_err(|failure| lost(failure.to_string()))?;
        let signer = found.manifest.signer(&[]);
        let signed = signer.and_then(|signer| check_signature(&found.digest, &found.signature, &signer));
        signed.map_err(lost)?;
        used.extend(found.manifest.files.into_iter().map(|file| file.stored));
    }
    Ok(used)
}

/// Removes the files of a folder that are not used, and the folder itself if nothing is left.
fn remove_unused(root: &Root, folder: &str, used: &BTreeSet<String>) -> Result<(), Failure> {
    let failed = |error| Failure::file(&root.path(folder), error);
    for entry in root.list(folder).map_err(failed)? {
        let place = format!("{folder}/{}", entry.name);
        if entry.is_folder {
            remove_unused(root, &place, used)?;
        } else if !used.contains(&place) {
            root.remove(&place).map_err(failed)?;
        }
    }
    if root.list(folder).map_err(failed)?.is_empty() {
        root.remove_folder(folder).map_err(failed)?;
    }
    Ok(())
}
