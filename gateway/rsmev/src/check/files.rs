//! The files that the configuration names: keys, certificates, TLS.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gost::{Certificate, CertificateOutline};
use jiff::Timestamp;

use super::{Findings, Level};
use crate::authorities;
use crate::credentials;
use crate::failure::Failure;
use crate::keys;
use crate::settings::{Inspection, is_https};
use engine::units::show_seconds;

const PRIVATE_KEY: &str = "keys.private_key";
const CERTIFICATE: &str = "keys.certificate";

pub(super) fn check(inspection: &Inspection, findings: &mut Findings) {
    own_key(inspection, findings);
    for upstream in inspection.items("upstream") {
        for key in inspection.items(&format!("{upstream}.trusted_signers")) {
            let Some(file) = inspection.path(&key) else { continue };
            match keys::read_certificate(&file) {
                Ok(certificate) => {
                    let (level, text) = validity(&certificate, Level::Warning);
                    findings.key(inspection, level, &key, format!("{}: {text}", file.display()));
                    findings.is_a_term();
                }
                Err(failure) => findings.key(inspection, Level::Error, &key, failure.to_string()),
            }
        }
        upstream_tls(inspection, findings, &upstream);
    }
    tls(inspection, findings);
    archive(inspection, findings);
}

/// The program that ships journal segments.
fn archive(inspection: &Inspection, findings: &mut Findings) {
    let key = "archive.command[1]";
    let Some(program) = inspection.path(key) else { return };
    let (level, text) = match std::fs::metadata(&program) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => {
            (Level::Ok, "ships segments".to_owned())
        }
        Ok(_) => (Level::Error, "is not a program".to_owned()),
        Err(error) => (Level::Error, error.to_string()),
    };
    findings.key(inspection, level, key, format!("{}: {text}", program.display()));
}

/// The authorities that an https upstream's certificate must come from.
fn upstream_tls(inspection: &Inspection, findings: &mut Findings, upstream: &str) {
    let (url, key) = (format!("{upstream}.url"), format!("{upstream}.ca"));
    if !inspection.text(&url).is_some_and(is_https) {
        return;
    }
    let ca = inspection.path(&key);
    let key = if ca.is_some() { key } else { url };
    match authorities::client_config(ca.as_deref()) {
        Ok(_) if ca.is_some() => findings.key(inspection, Level::Ok, &key, "authorities of the upstream"),
        Ok(_) => {}
        Err(text) => findings.key(inspection, Level::Error, &key, text),
    }
}

fn own_key(inspection: &Inspection, findings: &mut Findings) {
    let private_key = inspection.path(PRIVATE_KEY).map(|file| {
        secrecy(inspection, findings, PRIVATE_KEY, &file);
        (keys::read_key(&credentials::place(&file)), file)
    });
    let certificate = inspection
        .path(CERTIFICATE)
        .map(|file| (keys::read_certificate(&credentials::place(&file)), file));
    if let (Some((Ok(key), file)), Some((Ok(certificate), _))) = (&private_key, &certificate)
        && !keys::belong(key, certificate)
    {
        let text = format!("is of another key than {}", file.display());
        findings.key(inspection, Level::Error, CERTIFICATE, text);
    }
    if let Some((key, file)) = private_key {
        match key {
            Ok(_) => findings.key(inspection, Level::Ok, PRIVATE_KEY, file.display().to_string()),
            Err(failure) => missing(inspection, findings, PRIVATE_KEY, &failure),
        }
    }
    if let Some((certificate, file)) = certificate {
        match certificate {
            Ok(certificate) => {
                let (level, text) = validity(&certificate, Level::Error);
                findings.key(inspection, level, CERTIFICATE, format!("{}: {text}", file.display()));
                findings.is_a_term();
            }
            Err(failure) => missing(inspection, findings, CERTIFICATE, &failure),
        }
    }
}

fn missing(inspection: &Inspection, findings: &mut Findings, key: &str, failure: &Failure) {
    findings.key(
        inspection,
        Level::Error,
        key,
        format!("{failure}; `rsmev keys new` makes key and certificate"),
    );
}

/// Warns of a secret that others can read.
pub(super) fn secrecy(inspection: &Inspection, findings: &mut Findings, key: &str, file: &Path) {
    if let Some(text) = keys::open_to_others(file) {
        findings.key(inspection, Level::Warning, key, text);
    }
}

/// A certificate's validity; `worst` is what an expired one is.
pub(crate) fn validity(certificate: &Certificate, worst: Level) -> (Level, String) {
    let outline = CertificateOutline {
        subject: certificate.subject().to_owned(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
    };
    term(&outline, worst)
}

fn term(certificate: &CertificateOutline, worst: Level) -> (Level, String) {
    let now = Timestamp::now().as_second();
    let (left, begun) = (certificate.not_after - now, now - certificate.not_before);
    let time = |seconds: i64| show_seconds(seconds.unsigned_abs());
    let subject = &certificate.subject;
    if left < 0 {
        (
            worst,
            format!("the certificate of {subject} expired {} ago", time(left)),
        )
    } else if begun < 0 {
        (
            worst,
            format!("the certificate of {subject} is valid only in {}", time(begun)),
        )
    } else if left < 30 * 86_400 {
        (
            Level::Warning,
            format!("the certificate of {subject} expires in {}", time(left)),
        )
    } else {
        (Level::Ok, format!("certificate of {subject}, valid for {}", time(left)))
    }
}

/// The door's TLS files, each read as what it must be, and the pair together.
fn tls(inspection: &Inspection, findings: &mut Findings) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let read = |findings: &mut Findings, key: &str| {
        let file = inspection.path(key)?;
        let certificates = CertificateDer::pem_file_iter(&file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let text = match certificates {
            Ok(certificates) if !certificates.is_empty() => return Some(certificates),
            Ok(_) => "there is no certificate in it".to_owned(),
            Err(error) => error.to_string(),
        };
        findings.key(inspection, Level::Error, key, format!("{}: {text}", file.display()));
        None
    };
    let chain = read(findings, "smev3.tls.certificate");
    if let Some(authorities) = read(findings, "smev3.tls.client_ca") {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(error) = authorities
            .into_iter()
            .find_map(|certificate| roots.add(certificate).err())
        {
            findings.key(inspection, Level::Error, "smev3.tls.client_ca", error.to_string());
        }
    }
    let key = "smev3.tls.private_key";
    let Some(file) = inspection.path(key) else { return };
    secrecy(inspection, findings, key, &file);
    let private_key = match PrivateKeyDer::from_pem_file(&file) {
        Ok(private_key) => private_key,
        Err(error) => return findings.key(inspection, Level::Error, key, format!("{}: {error}", file.display())),
    };
    let Some(chain) = chain else { return };
    let outline = chain.first().and_then(|first| CertificateOutline::from_der(first).ok());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let usable = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private_key));
    match usable {
        Ok(_) => {
            let key = "smev3.tls.certificate";
            match outline {
                Some(outline) => {
                    let (level, text) = term(&outline, Level::Error);
                    findings.key(inspection, level, key, format!("with its key: {text}"));
                    findings.is_a_term();
                }
                None => findings.key(inspection, Level::Error, key, "subject and validity cannot be read"),
            }
        }
        Err(error) => findings.key(inspection, Level::Error, key, format!("{}: {error}", file.display())),
    }
}
