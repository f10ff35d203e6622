//! Backups: a folder with sets of files and a manifest for each backup.
//!
//! ```text
//! DIR/manifest-00000007.json   every file of backup 7: its place in the data directory, where it lies here, length, digest
//! DIR/manifest-00000007.sig    the gateway's signature over the manifest's digest
//! DIR/set-00000007/…           the files that backup 7 was the first to need
//! DIR/set-00000003/…           and those that it shares with earlier ones
//! ```
//!
//! A file that is in a set is never written again. The manifest comes last, in one step: until then the backup before is the
//! newest one, and whatever happens it stays valid.

pub(crate) mod create;
mod disk;
mod folder;
pub(crate) mod manifest;
mod prune;
pub(crate) mod restore;
mod root;
pub(crate) mod verify;

use engine::units::show_size;

use crate::settings::units::count;
use manifest::Manifest;

/// What is never in a backup, for people.
const NOT_IN_IT: &str = "Not in it: the gateway's private key, the master key of the bodies, the configuration, and the index, which is built anew.";

/// A backup in one line.
fn summary(manifest: &Manifest) -> String {
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    format!(
        "Backup {} of {} at {}: the journal up to record {}, {} with {}",
        manifest.number,
        manifest.node,
        manifest.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        manifest.through,
        count(manifest.files.len() as u64, "file"),
        show_size(bytes)
    )
}
