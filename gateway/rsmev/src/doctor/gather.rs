//! Finds the facts: from the running gateway, or from the files of a stopped one.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use engine::View;
use gost::{Certificate, CertificateOutline};
use jiff::Timestamp;
use journal::disk::RealDisk;
use nix::unistd::{Uid, geteuid};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::facts::{Facts, Gateway, Node, Seen};
use super::{probe, system};
use crate::check;
use crate::credentials;
use crate::failure::Failure;
use crate::health::{CertificateFact, Health, Of, Queues, Room, StoreFacts, format_of};
use crate::keys;
use crate::operator::Request;
use crate::settings::{Inspection, Settings};
use crate::store::{self, Store};
use crate::verification::Verification;

/// Everything, in bounded time but for the store of a stopped gateway, whose index may have to be built to be looked at.
pub(crate) fn gather(config: &Path, with_metrics: bool) -> Result<Facts, Failure> {
    let settings = Settings::load(config).ok();
    // First the question that is given up soonest: whoever does not answer it is asked nothing else.
    let socket = match &settings {
        Some(settings) => Some(settings.admin.socket.clone()),
        None => Inspection::read(config).path("admin.socket"),
    };
    let asked = socket.map_or(Gateway::Stopped, |socket| ask(&socket, with_metrics));
    let talk = match asked {
        Gateway::Silent(_) => check::Talk::No,
        _ => check::Talk::Yes,
    };
    // Then what may need root's rights, because looking at the store gives them up.
    let check = check::findings(config, talk);
    let key = settings.as_ref().map_or(Seen::Nothing, key);
    let files = settings.as_ref().map(certificate_files).unwrap_or_default();
    let runtime = store::runtime().map_err(|error| Failure::refused(error.to_string()))?;
    let upstreams = settings.as_ref().map(|settings| settings.upstreams.clone());
    let (upstreams, system, units) = runtime.block_on(async {
        tokio::join!(
            probe::all(upstreams.unwrap_or_default()),
            system::system(),
            system::units()
        )
    });
    // A look-up of a name cannot be ended.
    runtime.shutdown_background();
    // Without a configuration it is not known whose answer that was.
    let gateway = settings.as_ref().map_or(Gateway::Stopped, |_| asked);
    let (store, certificates) = match (&gateway, &settings) {
        (Gateway::Running(health), _) => (Seen::So(health.store.clone()), health.certificates.clone()),
        (Gateway::Stopped, Some(settings)) => stopped(settings, files),
        (_, _) => (Seen::NotAllowed("it is the running gateway's alone".to_owned()), files),
    };
    Ok(Facts {
        at: Timestamp::now(),
        system,
        node: settings.map(|settings| Node {
            mnemonic: settings.node.mnemonic.to_string(),
            data_dir: settings.node.data_dir.display().to_string(),
        }),
        gateway,
        store,
        key,
        certificates,
        upstreams,
        units,
        check,
    })
}

fn ask(socket: &Path, with_metrics: bool) -> Gateway {
    match UnixStream::connect(socket) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Gateway::Silent(format!(
                "{}: you may not talk to the gateway; become a member of the socket's group, or root",
                socket.display()
            ));
        }
        Err(_) => return Gateway::Stopped,
    }
    match Store::running(socket).ask::<Health>(Request::Health { metrics: with_metrics }) {
        Ok(health) => Gateway::Running(Box::new(health)),
        Err(failure) => Gateway::Silent(failure.to_string()),
    }
}

fn key(settings: &Settings) -> Seen<()> {
    let place = credentials::place(&settings.keys.private_key);
    match std::fs::File::open(&place) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Seen::NotAllowed(format!("{}: {error}", place.display()));
        }
        _ => {}
    }
    match keys::load(&settings.keys) {
        Ok(_) => Seen::So(()),
        Err(failure) => Seen::Wrong(failure.to_string()),
    }
}

/// Certificates of the files that the configuration names, as far as they can be read: what is wrong with the others
/// `check` tells.
fn certificate_files(settings: &Settings) -> Vec<CertificateFact> {
    let read = |of, file: &Path| {
        let certificate = keys::read_certificate(file).ok()?;
        Some(CertificateFact::new(of, &certificate))
    };
    let mut found: Vec<_> = read(Of::Gateway, &credentials::place(&settings.keys.certificate))
        .into_iter()
        .collect();
    let signers = settings.upstreams.iter().flat_map(|upstream| &upstream.trusted_signers);
    found.extend(signers.filter_map(|file| read(Of::Upstream, file)));
    found.extend(settings.smev3.tls.as_ref().and_then(|tls| {
        let first = CertificateDer::pem_file_iter(&tls.certificate).ok()?.next()?.ok()?;
        let outline = CertificateOutline::from_der(&first).ok()?;
        Some(CertificateFact {
            of: Of::Door,
            subject: outline.subject,
            not_before: outline.not_before,
            not_after: outline.not_after,
        })
    }));
    found
}

fn stopped(settings: &Settings, files: Vec<CertificateFact>) -> (Seen<StoreFacts>, Vec<CertificateFact>) {
    let dir = &settings.node.data_dir;
    let Ok(metadata) = std::fs::metadata(dir) else {
        return (Seen::Nothing, files);
    };
    let (me, owner) = (geteuid(), Uid::from_raw(metadata.uid()));
    if me != owner && !me.is_root() {
        let text = format!(
            "{}: belongs to {}; run this as that user or as root",
            dir.display(),
            store::user_name(owner)
        );
        return (Seen::NotAllowed(text), files);
    }
    let viewed = store::become_owner(dir).and_then(|()| {
        View::open(&settings.engine(), RealDisk::shared()).map_err(|error| store::start_failure(settings, &error, &[]))
    });
    let view = match viewed {
        Ok(Some(view)) => view,
        Ok(None) => return (Seen::Nothing, files),
        Err(failure) => return (Seen::Wrong(failure.to_string()), files),
    };
    let mut certificates = files;
    certificates.extend(participants(&view));
    match facts(settings, &view) {
        Ok(facts) => (Seen::So(facts), certificates),
        Err(error) => (Seen::Wrong(error), certificates),
    }
}

fn participants(view: &View) -> Vec<CertificateFact> {
    let all = view.registry().content().participants.iter();
    let all = all.flat_map(|(mnemonic, participant)| participant.certificates.iter().map(move |at| (mnemonic, at)));
    all.filter_map(|(mnemonic, at)| {
        let der = view.blob(&at.0.to_string()).ok()?;
        let certificate = Certificate::from_der(&der).ok()?;
        Some(CertificateFact::new(Of::Participant(mnemonic.clone()), &certificate))
    })
    .collect()
}

fn facts(settings: &Settings, view: &View) -> Result<StoreFacts, String> {
    let dir = &settings.node.data_dir;
    let text = |error: engine::IndexError| error.to_string();
    let quarantine = view.quarantine().map_err(text)?;
    Ok(StoreFacts {
        room: Room::of(dir, &settings.limits).ok(),
        spool_bytes: size(&dir.join("spool")),
        spool_needed_bytes: None,
        journal_bytes: size(&dir.join("journal")),
        index_bytes: size(&dir.join("index")),
        last_seq: None,
        format: format_of(dir),
        queues: Queues::of(view.queues().map_err(text)?),
        quarantine: quarantine.len() as u64,
        quarantine_since: quarantine.iter().map(|message| message.since).min(),
        verification: Verification::of(dir).status(),
        backup: view.last_backup().map_err(text)?,
    })
}

/// Octets that the files of a folder, and of those in it, take on the disk.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
