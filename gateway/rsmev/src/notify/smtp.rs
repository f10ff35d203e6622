//! A conversation with a mail server, bounded in time and in octets: a server that hangs in any step, or never ends its line,
//! is a failure like any other.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::{Address, Message};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{DeadAddress, Failed};

/// Octets of a server that are read in one conversation.
const SAID: usize = 1 << 20;

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For one step.
    pub(super) step: Duration,
    /// For everything up to the moment when it has the mail.
    pub(super) whole: Duration,
    /// To part from it afterwards.
    pub(super) parting: Duration,
}

/// In operation.
pub(super) const PATIENCE: Patience = Patience {
    step: Duration::from_secs(30),
    whole: Duration::from_secs(60),
    parting: Duration::from_secs(2),
};

/// How the conversation is encrypted.
pub(super) enum Security {
    None,
    StartTls(TlsParameters),
    Tls(Arc<ClientConfig>),
}

/// A server, and how to speak to it.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) login: Option<Credentials>,
    pub(super) patience: Patience,
}

impl Server {
    /// Delivered is what the server has said yes to after its last octet, for at least one address; those that it did not
    /// take are returned.
    pub(super) async fn deliver(self, message: &Message) -> Result<Vec<DeadAddress>, Failed> {
        let place = format!("{}:{}", self.host, self.port);
        let parting = self.patience.parting;
        let limits = Limits {
            place,
            step: self.patience.step,
            end: Instant::now() + self.patience.whole,
        };
        let mut connection = self.connect(&limits).await?;
        let came_to = hand_over(&mut connection, message, &limits).await;
        // Whatever it says to this changes nothing.
        let _ = timeout(parting, connection.quit()).await;
        came_to
    }

    async fn connect(self, limits: &Limits) -> Result<AsyncSmtpConnection, Failed> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = limits.step("connecting", connecting).await?;
        let stream = stream.map_err(|error| limits.failed("connecting", &error))?;
        let peer = stream.peer_addr();
        let server = peer.map_err(|error| limits.failed("connecting", &error))?;
        let client = ClientId::default();
        let greeted = match &self.security {
            Security::Tls(config) => {
                let name = ServerName::try_from(self.host.clone());
                let name = name.map_err(|error| limits.failed("TLS", &error))?;
                let connecting = tokio_rustls::TlsConnector::from(Arc::clone(config)).connect(name, stream);
                let stream = limits.step("TLS", connecting).await?;
                let stream = stream.map_err(|error| limits.failed("TLS", &error))?;
                let stream = Box::new(Bounded::new(stream, server));
                let greeting = AsyncSmtpConnection::connect_with_transport(stream, &client);
                limits.step("its greeting", greeting).await?
            }
            Security::None | Security::StartTls(_) => {
                let stream = Box::new(Bounded::new(stream, server));
                let greeting = AsyncSmtpConnection::connect_with_transport(stream, &client);
                limits.step("its greeting", greeting).await?
            }
        };
        let mut connection = greeted.map_err(|error| limits.refused("its greeting", &error))?;
        if let Security::StartTls(parameters) = self.security {
            let encrypted = limits
                .step("STARTTLS", connection.starttls(parameters, &client))
                .await?;
            encrypted.map_err(|error| limits.refused("STARTTLS", &error))?;
        }
        if let Some(login) = &self.login {
            let known = limits.step("AUTH", connection.auth(DEFAULT_MECHANISMS, login)).await?;
            known.map_err(|error| limits.refused("AUTH", &error))?;
        }
        Ok(connection)
    }
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    message: &Message,
    limits: &Limits,
) -> Result<Vec<DeadAddress>, Failed> {
    let envelope = message.envelope();
    let plain = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    let mut parameters = Vec::new();
    if !envelope.to().iter().chain(envelope.from()).all(plain) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let why = "an address has letters beyond ASCII, and the server does not take such";
            return Err(Failed::Unreachable(format!("{}: {why}", limits.place)));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let from = Mail::new(envelope.from().cloned(), parameters);
    let begun = limits.step("MAIL", connection.command(from)).await?;
    begun.map_err(|error| limits.refused("MAIL", &error))?;
    let mut dead = Vec::new();
    for address in envelope.to() {
        let asked = connection.command(Rcpt::new(address.clone(), Vec::new()));
        match limits.step("RCPT", asked).await? {
            Ok(_) => {}
            Err(error) if error.status().is_some() => dead.push(DeadAddress {
                address: address.to_string(),
                why: causes(&error),
            }),
            Err(error) => return Err(limits.refused("RCPT", &error)),
        }
    }
    if dead.len() == envelope.to().len() {
        let told: Vec<String> = dead.iter().map(ToString::to_string).collect();
        let told = told.join("; ");
        return Err(Failed::Unreachable(format!(
            "{}: no address is taken: {told}",
            limits.place
        )));
    }
    let ready = limits.step("DATA", connection.command(Data)).await?;
    ready.map_err(|error| limits.refused("DATA", &error))?;
    let octets = message.formatted();
    match limits.step("the end of DATA", connection.message(&octets)).await? {
        Ok(_) => Ok(dead),
        // What is wrong with this mail need not be wrong with others.
        Err(error) if error.is_permanent() => {
            let (place, why) = (&limits.place, causes(&error));
            Err(Failed::Refused(format!("{place}: it does not take the mail: {why}")))
        }
        Err(error) => Err(limits.refused("the end of DATA", &error)),
    }
}

/// What bounds the steps, and names them where they fail.
struct Limits {
    place: String,
    step: Duration,
    end: Instant,
}

impl Limits {
    async fn step<T>(&self, what: &str, doing: impl Future<Output = T>) -> Result<T, Failed> {
        let until = self.end.min(Instant::now() + self.step);
        let done = timeout_at(until, doing).await;
        done.map_err(|_| Failed::Unreachable(format!("{}: {what}: no answer in time", self.place)))
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> Failed {
        Failed::Unreachable(format!("{}: {what}: {error}", self.place))
    }

    fn refused(&self, what: &str, error: &Error) -> Failed {
        self.failed(what, &causes(error))
    }
}

/// An error with what lies behind it.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    text
}

/// A connection that fails after so many octets of the server: the lines of an answer are kept until they end.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    server: SocketAddr,
    left: usize,
}

impl<S> Bounded<S> {
    fn new(stream: S, server: SocketAddr) -> Self {
        Self {
            stream,
            server,
            left: SAID,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.server)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        match self.left.checked_sub(read) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(io::Error::other("it says more than a mail server has to say"))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// What a server does when it hears a word; it says 250 to all others.
    #[derive(Clone, Copy)]
    enum Act {
        Say(&'static str),
        Hang,
        Babble,
    }

    /// A server that takes every mail but for these words; the first is its greeting's, `.` that of the end of a mail.
    async fn server(acts: &'static [(&'static str, Act)]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            converse(stream, acts).await.unwrap_or_default();
        });
        address
    }

    async fn converse(stream: TcpStream, acts: &[(&str, Act)]) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut line, mut usual, mut mail) = ("greeting".to_owned(), "220 sink", false);
        loop {
            let act = acts.iter().find(|(word, _)| line.starts_with(word));
            match act.map_or(Act::Say(usual), |(_, act)| *act) {
                Act::Say(text) => stream.write_all(format!("{text}\r\n").as_bytes()).await?,
                Act::Hang => std::future::pending().await,
                Act::Babble => loop {
                    stream.write_all(&[b'2'; 4096]).await?;
                },
            }
            mail |= line.starts_with("DATA");
            loop {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                if !mail || line == ".\r\n" {
                    break;
                }
            }
            mail = false;
            usual = if line.starts_with("DATA") {
                "354 go on"
            } else {
                "250 sink"
            };
        }
    }

    async fn deliver(acts: &'static [(&'static str, Act)], patience: Patience) -> Result<Vec<DeadAddress>, Failed> {
        let address = server(acts).await;
        let message = Message::builder()
            .from("gateway@region.example".parse().unwrap())
            .to("duty@region.example".parse().unwrap())
            .to("chief@region.example".parse().unwrap())
            .subject("a test")
            .body("text".to_owned())
            .unwrap();
        let server = Server {
            host: address.ip().to_string(),
            port: address.port(),
            security: Security::None,
            login: None,
            patience,
        };
        server.deliver(&message).await
    }

    fn patience(step: Duration, whole: Duration, parting: Duration) -> Patience {
        Patience { step, whole, parting }
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_a_failure_in_every_step() {
        let short = Duration::from_millis(50);
        for hanging in [
            &[("greeting", Act::Hang)],
            &[("EHLO", Act::Hang)],
            &[("RCPT", Act::Hang)],
            &[(".", Act::Hang)],
        ] {
            for patience in [patience(short, LONG, short), patience(LONG, short, short)] {
                let failed = deliver(hanging, patience).await.unwrap_err();
                assert!(matches!(failed, Failed::Unreachable(_)), "{failed:?}");
                assert!(failed.to_string().contains("no answer in time"), "{failed}");
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_hangs_at_the_parting_has_the_mail() {
        let patience = patience(LONG, LONG, Duration::from_millis(50));
        let dead = deliver(&[("QUIT", Act::Hang)], patience).await.unwrap();
        assert!(dead.is_empty(), "{dead:?}");
    }

    #[tokio::test]
    async fn a_line_without_end_is_a_failure_of_bounded_size() {
        let patience = patience(LONG, LONG, Duration::from_millis(50));
        let failed = deliver(&[("MAIL", Act::Babble)], patience).await.unwrap_err();
        assert!(failed.to_string().contains("it says more"), "{failed}");
    }

    #[tokio::test]
    async fn one_dead_address_keeps_nobody_else_from_the_mail() {
        let patience = patience(LONG, LONG, LONG);
        let refused: &[_] = &[("RCPT TO:<duty@", Act::Say("550 no such \u{7}user"))];
        let dead = deliver(refused, patience).await.unwrap();
        assert_eq!(dead.len(), 1, "{dead:?}");
        let told = dead[0].to_string();
        assert!(told.starts_with("duty@region.example: "), "{told}");
        assert!(told.contains("no such  user"), "{told}");
        let failed = deliver(&[("RCPT", Act::Say("550 no"))], patience).await.unwrap_err();
        assert!(matches!(failed, Failed::Unreachable(_)), "{failed:?}");
        assert!(failed.to_string().contains("chief@region.example"), "{failed}");
    }

    #[tokio::test]
    async fn a_mail_that_is_refused_says_nothing_of_others() {
        let patience = patience(LONG, LONG, LONG);
        let failed = deliver(&[(".", Act::Say("554 spam"))], patience).await.unwrap_err();
        assert!(matches!(failed, Failed::Refused(_)), "{failed:?}");
        let failed = deliver(&[(".", Act::Say("451 later"))], patience).await.unwrap_err();
        assert!(matches!(failed, Failed::Unreachable(_)), "{failed:?}");
    }
}
