//! The door over TLS: an exchange under it, who is let in where clients need a certificate, and renewed certificates.

use std::path::PathBuf;

use emulator::{Participant, Selector, Version};
use harness::{Authority, Region, TlsIdentity, TlsTunnel};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::common::{
    CONSUMER, PROVIDER, SPRAVKA, answered_text, echo, eventually, journal, local_region, request, send, system,
    take_response,
};

/// A participant whose calls leave over TLS.
fn over(tunnel: &TlsTunnel, region: &Region, mnemonic: &str) -> Participant {
    let url = format!("http://{}/smev/v1.2/ws", tunnel.address());
    let identity = region.identity(mnemonic).unwrap().clone();
    Participant::new(identity, Version::V1_2, &url, region.gateway().certificate().clone()).unwrap()
}

/// A region whose door shows a certificate and asks for one.
struct Guarded {
    servers: Authority,
    clients: Authority,
    folder: TempDir,
    region: Region,
}

impl Guarded {
    async fn start() -> Guarded {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        servers.issue("door").write(folder.path(), "door").unwrap();
        std::fs::write(path("clients.pem"), clients.certificate()).unwrap();
        let tls = format!(
            "{{ certificate = \"{}\", private_key = \"{}\", client_ca = \"{}\" }}",
            path("door.crt"),
            path("door.key"),
            path("clients.pem")
        );
        let region = local_region().setting("smev3", "tls", &tls).start().await.unwrap();
        Guarded {
            servers,
            clients,
            folder,
            region,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another certificate in the place of the door's, and tells the gateway.
    fn renew(&self, identity: &TlsIdentity) {
        identity.write(self.folder.path(), "door").unwrap();
        self.region.reload().unwrap();
    }

    /// A way to the door for who trusts this authority and shows this certificate.
    async fn tunnel(&self, authority: &Authority, client: Option<&TlsIdentity>) -> TlsTunnel {
        TlsTunnel::towards(self.region.door(), authority, client).await.unwrap()
    }

    /// Whether a new connection of such a client gets through.
    async fn admits(&self, authority: &Authority, client: Option<&TlsIdentity>) -> bool {
        let tunnel = self.tunnel(authority, client).await;
        let consumer = over(&tunnel, &self.region, CONSUMER);
        consumer.get_response(&Selector::any()).await.is_ok()
    }
}

/// A connection that a test writes to octet by octet.
struct Raw(BufReader<TcpStream>);

impl Raw {
    async fn open(tunnel: &TlsTunnel) -> Raw {
        Raw(BufReader::new(TcpStream::connect(tunnel.address()).await.unwrap()))
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The first line of the next answer, when all of it is there.
    async fn answer(&mut self) -> String {
        let mut status = String::new();
        self.0.read_line(&mut status).await.unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        status.trim_end().to_owned()
    }
}

#[tokio::test]
async fn a_door_with_a_client_authority_lets_in_only_those_whom_it_vouches_for() {
    let guarded = Guarded::start().await;
    let Guarded {
        servers,
        clients,
        region,
        ..
    } = &guarded;

    let inside = guarded.tunnel(servers, Some(&clients.issue("region"))).await;
    let (consumer, provider) = (over(&inside, region, CONSUMER), over(&inside, region, PROVIDER));
    send(&consumer, request(SPRAVKA, "под TLS")).await;
    echo(&provider).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "под TLS");

    let stranger = Authority::new("others").issue("stranger");
    let expired = clients.issue_expired("expired");
    for certificate in [None, Some(&stranger), Some(&expired)] {
        assert!(!guarded.admits(servers, certificate).await, "{certificate:?}");
    }
    let plain = system(region, CONSUMER).get_response(&Selector::any()).await;
    assert!(plain.is_err(), "the door speaks TLS only");
    // Whom TLS keeps out leaves no trace, and keeps nobody else out.
    assert!(journal(region, &["--type", "refused"]).await.is_empty());
    assert!(consumer.get_response(&Selector::any()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_hang_up_and_open_connections_go_on() {
    let guarded = Guarded::start().await;
    let client = guarded.clients.issue("region");
    let tunnel = guarded.tunnel(&guarded.servers, Some(&client)).await;
    let mut open = Raw::open(&tunnel).await;
    open.write("GET /ws?wsdl HTTP/1.1\r\nHost: gw\r\n\r\n").await;
    assert_eq!(open.answer().await, "HTTP/1.1 200 OK");
    open.write("GET /ws?wsdl HT").await;

    let renewed = Authority::new("renewed");
    guarded.renew(&renewed.issue("renewed door"));
    eventually("the renewed certificate", async || {
        guarded.admits(&renewed, Some(&client)).await.then_some(())
    })
    .await;
    assert!(
        !guarded.admits(&guarded.servers, Some(&client)).await,
        "the earlier one"
    );
    open.write("TP/1.1\r\nHost: gw\r\n\r\n").await;
    assert_eq!(open.answer().await, "HTTP/1.1 200 OK");

    // The authority of the clients is read again too.
    let others = Authority::new("others");
    std::fs::write(guarded.path("clients.pem"), others.certificate()).unwrap();
    guarded.region.reload().unwrap();
    let other = others.issue("other");
    eventually("the other authority", async || {
        guarded.admits(&renewed, Some(&other)).await.then_some(())
    })
    .await;
    assert!(!guarded.admits(&renewed, Some(&client)).await);
    let metrics = guarded.region.metrics().await.unwrap();
    let left = metrics.value("certificate_expires_seconds", &[("subject", "CN=renewed door")]);
    assert!(left.unwrap() > 0.0);
}

#[tokio::test]
async fn a_broken_pair_changes_nothing_and_an_expired_one_is_told_and_refused_by_clients() {
    let guarded = Guarded::start().await;
    let client = guarded.clients.issue("region");
    let admits = async || guarded.admits(&guarded.servers, Some(&client)).await;
    let told = async |what: &str, times: usize| {
        eventually(what, async || {
            (guarded.region.log().matches(what).count() >= times).then_some(())
        })
        .await;
    };
    // A key that is another certificate's, then no key at all.
    let another = guarded.servers.issue("another");
    std::fs::write(guarded.path("door.key"), &another.private_key).unwrap();
    guarded.region.reload().unwrap();
    told("nothing was read again", 1).await;
    assert!(admits().await);
    std::fs::write(guarded.path("door.key"), "-----BEGIN PRIVATE KEY-----").unwrap();
    guarded.region.reload().unwrap();
    told("nothing was read again", 2).await;
    assert!(guarded.region.log().contains("door.key"), "the log names the file");
    assert!(admits().await);

    guarded.renew(&guarded.servers.issue_expired("late door"));
    told("the certificate has expired", 1).await;
    assert!(!admits().await);
    let metrics = guarded.region.metrics().await.unwrap();
    let left = metrics.value("certificate_expires_seconds", &[("subject", "CN=late door")]);
    assert!(left.unwrap() < 0.0);
    let checked = guarded.region.command(&["check"]).await.unwrap();
    assert!(checked.stdout.contains("CN=late door expired"), "{}", checked.stdout);
    guarded.renew(&guarded.servers.issue("door"));
    eventually("a door that is valid again", async || admits().await.then_some(())).await;
}
