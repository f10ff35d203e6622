//! TLS of the door, with and without clients' certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use smev3::door::{Settings, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http::{parse, request};
use crate::region::Region;

/// Makes a self-signed certificate `NAME.crt` with its key `NAME.key`.
fn make(folder: &Path, name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

async fn status(region: &Region, folder: &Path, client: Option<&str>) -> std::io::Result<u16> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(folder.join("server.crt")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(folder.join(format!("{name}.crt"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(region.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(&request("GET", "/ws?wsdl", None, b"")).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(parse(&answer).status)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_reach_the_door_over_tls_and_need_a_certificate_where_a_ca_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in ["server", "client", "other"] {
        make(path, name);
    }
    let tls = |client_ca: Option<&str>| Tls {
        certificate: path.join("server.crt"),
        private_key: path.join("server.key"),
        client_ca: client_ca.map(|name| path.join(name)),
    };
    let open = Region::with(|_| {}, |door: &mut Settings| door.tls = Some(tls(None)), |_| {}).await;
    assert_eq!(status(&open, path, None).await.unwrap(), 200);
    let closed = Region::with(
        |_| {},
        |door: &mut Settings| door.tls = Some(tls(Some("client.crt"))),
        |_| {},
    )
    .await;
    assert_eq!(status(&closed, path, Some("client")).await.unwrap(), 200);
    assert!(status(&closed, path, Some("other")).await.is_err());
    assert!(status(&closed, path, None).await.is_err());
}
