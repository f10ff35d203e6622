//! Addresses, the admin socket and limits: what does not fit together, or will not work as meant.

use nix::unistd::{AccessFlags, access};

use super::{Findings, Level};
use crate::settings::Inspection;
use engine::units::show_size;

pub(super) fn check(inspection: &Inspection, findings: &mut Findings) {
    door(inspection, findings);
    administration(inspection, findings);
    socket(inspection, findings);
    let (body, attachments) = ("limits.body_bytes", "limits.attachments_bytes");
    if let (Some(most), Some(files)) = (inspection.size(body), inspection.size(attachments))
        && files > most
    {
        let text = format!(
            "{} of files never fit into a call, which may have {} (limits.body_bytes)",
            show_size(files),
            show_size(most)
        );
        findings.key(inspection, Level::Warning, attachments, text);
    }
}

fn door(inspection: &Inspection, findings: &mut Findings) {
    let key = "smev3.listen";
    let Some(listen) = inspection.address(key) else { return };
    let tls = inspection.text("smev3.tls.certificate").is_some();
    if !tls && !listen.ip().is_loopback() {
        let text = format!(
            "{listen}: without TLS whoever is on the network can read the messages; set smev3.tls, or keep the network \
             to itself"
        );
        findings.key(inspection, Level::Warning, key, text);
    }
    if listen.ip().is_unspecified() && inspection.text("smev3.public_url").is_none() {
        let text = format!(
            "{listen}: the WSDL tells clients this address, which they cannot use; set smev3.public_url to the one that \
             they reach"
        );
        findings.key(inspection, Level::Warning, key, text);
    }
}

fn administration(inspection: &Inspection, findings: &mut Findings) {
    let key = "admin.listen";
    let Some(admin) = inspection.address(key) else { return };
    if !admin.ip().is_loopback() {
        let text = format!("{admin}: figures are shown to the whole network");
        findings.key(inspection, Level::Warning, key, text);
    }
    let Some(door) = inspection.address("smev3.listen") else {
        return;
    };
    let overlap = door.ip() == admin.ip() || door.ip().is_unspecified() || admin.ip().is_unspecified();
    if door.port() != 0 && door.port() == admin.port() && overlap {
        let text = format!("{admin}: is the address of smev3.listen too ({door}); give one of them another port");
        findings.key(inspection, Level::Error, key, text);
    }
}

/// Whether the socket's folder is there or can be made.
fn socket(inspection: &Inspection, findings: &mut Findings) {
    let key = "admin.socket";
    let Some(socket) = inspection.path(key) else { return };
    let remedy = "make it for the gateway's user, or set admin.socket to a path in a folder of that user";
    let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return;
    };
    if folder.is_dir() {
        return;
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => {
            let text = format!(
                "{}: there is no folder {}; {remedy}",
                socket.display(),
                parent.display()
            );
            findings.key(inspection, Level::Error, key, text);
        }
        Some(parent) if access(parent, AccessFlags::W_OK).is_err() => {
            let text = format!(
                "{}: there is no folder {}, and you may not make it; {remedy}",
                socket.display(),
                folder.display()
            );
            findings.key(inspection, Level::Warning, key, text);
        }
        _ => {}
    }
}
