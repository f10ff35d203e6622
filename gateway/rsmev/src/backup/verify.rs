//! `rsmev backup verify`: a backup with nothing but its folder: signature, every file's digest, the journal's chain.

use std::io;
use std::path::Path;
use std::sync::Arc;

use engine::CheckpointVerifier;
use gost::Certificate;
use journal::disk::Disk;
use journal::verify::Range;

use super::disk::BackupDisk;
use super::folder::{Folder, Found, digest_of};
use super::manifest::{Manifest, check_signature};
use super::{NOT_IN_IT, summary};
use crate::cli::BackupPlace;
use crate::failure::Failure;
use crate::keys;
use crate::output::Out;

/// Bound of a certificate in octets.
const CERTIFICATE: u64 = 1 << 20;

/// Carries the command out.
pub(crate) fn run(place: &BackupPlace, out: &mut Out) -> Result<(), Failure> {
    let folder = Folder::open(&place.dir)?;
    let (found, signer) = open(&folder, place)?;
    let manifest = &found.manifest;
    let mut wrong = Vec::new();
    for file in &manifest.files {
        match digest_of(&folder.root, &file.stored, &mut || Ok(())) {
            Ok((digest, bytes)) if digest == file.digest && bytes == file.bytes => {}
            Ok(_) => wrong.push(format!(
                "{}: is not what was backed up as {}",
                folder.path(&file.stored).display(),
                file.path
            )),
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::refused(wrong.join("\n")));
    }
    let gaps = journal(&folder, manifest)?;
    if let Some(before) = before(&folder, manifest)?
        && manifest.previous.as_deref() != Some(before.digest.as_str())
    {
        return Err(Failure::refused(format!(
            "backup {} is not the one that backup {} came after",
            before.manifest.number, manifest.number
        )));
    }
    for gap in gaps {
        out.line(gap)?;
    }
    out.line(format_args!("{} is whole.", summary(manifest)))?;
    out.line(format_args!("Signed by {} ({})", signer.subject(), signer.id()))?;
    if place.certificate.is_empty() {
        out.line(
            "The certificate is the backup's own: compare it with the gateway's, or name that with --certificate FILE.",
        )?;
    }
    out.line(format_args!("Digest of the journal's last record: {}", manifest.digest))?;
    out.line(format_args!("Digest of the manifest: {}", found.digest))?;
    Ok(out.line(NOT_IN_IT)?)
}

/// A backup whose manifest is signed, and whose it is.
pub(super) fn open(folder: &Folder, place: &BackupPlace) -> Result<(Found, Certificate), Failure> {
    let given = place.certificate.iter().map(|file| keys::read_certificate(file));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    let found = folder.manifest(place.number)?;
    let named = |error: String| Failure::refused(format!("the manifest of backup {}: {error}", found.manifest.number));
    let signer = found.manifest.signer(&given).map_err(named)?;
    check_signature(&found.digest, &found.signature, &signer).map_err(named)?;
    Ok((found, signer))
}

/// The backup before, if its manifest is still there.
fn before(folder: &Folder, manifest: &Manifest) -> Result<Option<Found>, Failure> {
    let numbers = folder.numbers()?;
    let before = numbers.into_iter().rfind(|number| *number < manifest.number);
    before.map(|number| folder.manifest(Some(number))).transpose()
}

/// The chain of records from the beginning that an act allows, to the end that the manifest names.
/// Returns what is to be said of records that are missing.
fn journal(folder: &Folder, manifest: &Manifest) -> Result<Vec<String>, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(BackupDisk::new(folder, manifest));
    let certificate = |id: &str| {
        let place = format!("registry/{id}");
        let file = manifest.files.iter().find(|file| file.path == place);
        let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "is not in the backup"))?;
        let octets = folder.root.read_small(&file.stored, CERTIFICATE)?;
        Certificate::from_der(&octets).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    };
    let mut checkpoints = CheckpointVerifier::new(&certificate);
    let range = Range::default();
    let report = journal::verify::verify(&disk, Path::new("journal"), range, &mut |record| {
        checkpoints.check(record)
    });
    let report = report.map_err(|error| Failure::refused(error.to_string()))?;
    crate::commands::journal::beginning(range, &report, checkpoints.acts()).map_err(Failure::refused)?;
    let gaps = crate::commands::journal::gaps(&disk, Path::new("journal"), &report).map_err(Failure::refused)?;
    let digest = hex::encode(report.last_digest);
    if (report.last_seq, digest.as_str()) != (manifest.through, manifest.digest.as_str()) || report.torn_tail.is_some()
    {
        return Err(Failure::refused(format!(
            "the journal ends with record {}, and not with the record {} that the manifest names",
            report.last_seq, manifest.through
        )));
    }
    Ok(gaps.iter().map(crate::commands::journal::gap_text).collect())
}
