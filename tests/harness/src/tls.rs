//! TLS for tests: an authority with its certificates, and two ends of TLS around plain connections, so that neither the
//! emulated bus nor the participants need to know of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate authority of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub private_key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Panics
    /// When no key can be generated.
    #[must_use]
    pub fn new(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("the authority signs itself");
        Authority(issuer)
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `127.0.0.1`, of a server or a client.
    ///
    /// # Panics
    /// When no key can be generated.
    #[must_use]
    pub fn issue(&self, name: &str) -> TlsIdentity {
        self.sign(name, |_| {})
    }

    /// The same whose time was over long ago.
    ///
    /// # Panics
    /// When no key can be generated.
    #[must_use]
    pub fn issue_expired(&self, name: &str) -> TlsIdentity {
        self.sign(name, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        })
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsIdentity {
        let key = key();
        let mut params = params(name, &["127.0.0.1"]);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("the authority signs");
        TlsIdentity {
            certificate: certificate.pem(),
            private_key: key.serialize_pem(),
        }
    }
}

impl TlsIdentity {
    /// Writes `NAME.crt` and `NAME.key` into a folder.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        std::fs::write(folder.join(format!("{name}.crt")), &self.certificate)?;
        std::fs::write(folder.join(format!("{name}.key")), &self.private_key)
    }

    fn chain(&self) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(self.private_key.as_bytes()).map_err(io::Error::other)?;
        Ok((vec![certificate], key))
    }
}

/// A plain address on one side and TLS on the other. It ends when it is dropped.
#[derive(Debug)]
pub struct TlsTunnel {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl TlsTunnel {
    /// Takes TLS and passes on what is inside to a plain server.
    ///
    /// # Errors
    /// No port, or an unusable identity.
    pub async fn in_front_of(server: SocketAddr, identity: &TlsIdentity) -> io::Result<TlsTunnel> {
        let (chain, key) = identity.chain()?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let outside = acceptor.accept(stream).await?;
                let inside = TcpStream::connect(server).await?;
                pass(outside, inside).await
            }
        })
        .await
    }

    /// Takes plain connections and passes them on over TLS to a server that the authority vouches for, with a client's
    /// certificate if there is one.
    ///
    /// # Errors
    /// No port, or an unusable identity.
    pub async fn towards(
        server: SocketAddr,
        authority: &Authority,
        client: Option<&TlsIdentity>,
    ) -> io::Result<TlsTunnel> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.chain()?;
                config.with_client_auth_cert(chain, key).map_err(io::Error::other)?
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::from(server.ip());
        Self::start(move |stream| {
            let (connector, name) = (connector.clone(), name.clone());
            async move {
                let outside = TcpStream::connect(server).await?;
                let outside = connector.connect(name, outside).await?;
                pass(stream, outside).await
            }
        })
        .await
    }

    /// Where it takes connections.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn start<F>(carry: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> io::Result<TlsTunnel>
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(carry(stream));
            }
        });
        Ok(TlsTunnel { address, task })
    }
}

impl Drop for TlsTunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    copy_bidirectional(&mut one, &mut other).await.map(|_| ())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key is generated")
}

fn params(name: &str, subjects: &[&str]) -> CertificateParams {
    let subjects: Vec<String> = subjects.iter().map(|&subject| subject.to_owned()).collect();
    let mut params = CertificateParams::new(subjects).expect("addresses are valid names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
