//! TLS of the door: the server's certificate and, where a CA is given, mutual authentication. Both can be renewed while
//! the door is open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gost::CertificateOutline;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

/// Files of the TLS set-up, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// The CA that clients' certificates must come from; `None`: clients need none.
    pub client_ca: Option<PathBuf>,
}

/// What was read from the files of a [`Tls`], and fits together.
#[derive(Clone)]
pub struct LoadedTls {
    acceptor: TlsAcceptor,
    certificate: CertificateOutline,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a file that cannot be used, which the message names, or a key that is not the
    /// certificate's. Validity is not looked at: that is for the other side to judge.
    pub fn load(&self) -> io::Result<LoadedTls> {
        let chain = certificates(&self.certificate)?;
        let outline = chain.first().map_or(&[][..], |certificate| certificate.as_ref());
        let outline = CertificateOutline::from_der(outline).map_err(|error| unusable(&self.certificate, error))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.private_key).map_err(|error| unusable(&self.private_key, error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(path, error))?)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| unusable(&self.certificate, error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A resumed session would be taken at its word: a client's certificate is looked at for each connection.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(LoadedTls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: outline,
        })
    }
}

/// TLS of an open door: new connections get what was put in last, those that are open keep what they began with. Cheap to
/// clone.
#[derive(Clone)]
pub struct LiveTls(Arc<Mutex<LoadedTls>>);

impl LiveTls {
    /// Begins with this.
    pub fn new(loaded: LoadedTls) -> Self {
        Self(Arc::new(Mutex::new(loaded)))
    }

    /// From now on new connections get this.
    pub fn put(&self, loaded: LoadedTls) {
        *self.current() = loaded;
    }

    /// The server's certificate.
    pub fn certificate(&self) -> CertificateOutline {
        self.current().certificate.clone()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current().acceptor.clone()
    }

    fn current(&self) -> MutexGuard<'_, LoadedTls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(path, "no certificate in it")),
        Err(error) => Err(unusable(path, error)),
    }
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
}
