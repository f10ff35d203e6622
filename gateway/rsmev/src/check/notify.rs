//! Who is told of incidents: the files of mail and webhooks, and what would send a secret in the clear.

use super::files::secrecy;
use super::{Findings, Level};
use crate::authorities;
use crate::notify;
use crate::settings::{Inspection, is_https};

pub(super) fn check(inspection: &Inspection, findings: &mut Findings) {
    if inspection.text("notify.mail.server").is_some() {
        mail(inspection, findings);
    }
    for webhook in inspection.items("notify.webhook") {
        let encrypted = inspection.text(&format!("{webhook}.url")).is_some_and(is_https);
        secret(inspection, findings, &format!("{webhook}.token_file"), encrypted);
        if encrypted {
            tls(
                inspection,
                findings,
                &format!("{webhook}.ca"),
                &format!("{webhook}.url"),
            );
        }
    }
}

fn mail(inspection: &Inspection, findings: &mut Findings) {
    let encrypted = inspection.text("notify.mail.tls") != Some("none");
    secret(inspection, findings, "notify.mail.password_file", encrypted);
    if encrypted {
        tls(inspection, findings, "notify.mail.ca", "notify.mail.server");
    } else if inspection.text("notify.mail.ca").is_some() {
        let text = "is of use only with TLS";
        findings.key(inspection, Level::Warning, "notify.mail.ca", text);
    }
    if inspection.text("notify.mail.user").is_some() && inspection.text("notify.mail.password_file").is_none() {
        let text = "is of use only with password_file: nobody logs in";
        findings.key(inspection, Level::Warning, "notify.mail.user", text);
    }
}

/// A file with a password or token.
fn secret(inspection: &Inspection, findings: &mut Findings, key: &str, encrypted: bool) {
    let Some(file) = inspection.path(key) else { return };
    secrecy(inspection, findings, key, &file);
    match notify::readable(&file) {
        Ok(()) if !encrypted => {
            let text = format!(
                "{}: what is in it goes over the network in the clear, without TLS",
                file.display()
            );
            findings.key(inspection, Level::Warning, key, text);
        }
        Ok(()) => findings.key(inspection, Level::Ok, key, file.display().to_string()),
        Err(text) => findings.key(inspection, Level::Error, key, text),
    }
}

/// The authorities that a server's certificate must come from.
fn tls(inspection: &Inspection, findings: &mut Findings, ca: &str, server: &str) {
    let file = inspection.path(ca);
    let key = if file.is_some() { ca } else { server };
    match authorities::client_config(file.as_deref()) {
        Ok(_) if file.is_some() => findings.key(inspection, Level::Ok, key, "authorities of the server"),
        Ok(_) => {}
        Err(text) => findings.key(inspection, Level::Error, key, text),
    }
}
