//! Whom TLS towards an upstream trusts: the authorities of a file, or of the machine.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where Debian and its relatives keep the authorities that the machine trusts.
const OF_THE_MACHINE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS under the authorities of `ca`, or of the machine. What an upstream says is believed only under its GOST signature
/// anyway; TLS keeps it from others.
pub(crate) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let file = ca.unwrap_or(Path::new(OF_THE_MACHINE));
    let unusable = |what: &dyn std::fmt::Display| match ca {
        Some(_) => format!("{}: {what}", file.display()),
        None => format!("{}: {what}; name the upstream's authority with `ca`", file.display()),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        let added = roots.add(certificate.map_err(|error| unusable(&error))?);
        // Single authorities of the machine's bundle may be of kinds that rustls does not know; one that is named for an
        // upstream is meant.
        if let (Some(_), Err(error)) = (ca, added) {
            return Err(unusable(&error));
        }
    }
    if roots.is_empty() {
        return Err(unusable(&"there is no certificate in it"));
    }
    Ok(roots)
}
