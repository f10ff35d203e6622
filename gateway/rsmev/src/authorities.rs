//! Whom TLS towards upstreams, mail servers and webhooks trusts: the authorities of a file, or of the machine.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Where Debian and its relatives keep the authorities that the machine trusts.
const OF_THE_MACHINE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS under the authorities of `ca`, or of the machine. What an upstream says is believed only under its GOST signature
/// anyway; TLS keeps it from others.
pub(crate) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    client_config_showing(ca, None)
}

/// The same that shows a certificate (file of the chain, file of the key) to a server which asks for one.
pub(crate) fn client_config_showing(
    ca: Option<&Path>,
    shown: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(ca)?);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let of_certificate = |error: &dyn std::fmt::Display| format!("{}: {error}", certificate.display());
            let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
                .map_err(|error| of_certificate(&error))?
                .collect();
            let private_key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
            let chain = chain.map_err(|error| of_certificate(&error))?;
            let config = config.with_client_auth_cert(chain, private_key);
            config.map_err(|error| of_certificate(&error))?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// The authorities of `ca`, or of the machine: at least one, and each such that rustls can use it.
pub(crate) fn certificates(ca: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = ca.unwrap_or(Path::new(OF_THE_MACHINE));
    let unusable = |what: &dyn std::fmt::Display| match ca {
        Some(_) => format!("{}: {what}", file.display()),
        None => format!("{}: {what}; name the server's authority with `ca`", file.display()),
    };
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        let added = RootCertStore::empty().add(certificate.clone());
        match (added, ca) {
            (Ok(()), _) => certificates.push(certificate),
            // Single authorities of the machine's bundle may be of kinds that rustls does not know; one that is named is meant.
            (Err(error), Some(_)) => return Err(unusable(&error)),
            (Err(_), None) => {}
        }
    }
    match certificates.is_empty() {
        true => Err(unusable(&"there is no certificate in it")),
        false => Ok(certificates),
    }
}
