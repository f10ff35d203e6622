//! One HTTP call at a time over kept-alive connections, with one question answered exactly: can the other side have seen
//! anything of it?
//!
//! *Not sent* is only what failed before the connection took the first octet of the call: no address, no connection, no
//! TLS session, or a kept connection that turned out to be closed before the call was handed to it (then the next one is
//! tried). Whatever fails later is *unknown*, a kept connection that dies under a call included.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, DATE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::endpoint::Endpoint;
use super::once::NoConnection;

/// Bounds of a call in time and size.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For name look-up, connection and TLS together.
    pub connect: Duration,
    /// From the first octet of the call to the last of the answer.
    pub answer: Duration,
    /// A connection that has been idle for longer is not used again.
    pub idle: Duration,
    /// Idle connections that are kept.
    pub idle_connections: usize,
    /// Octets of an answer.
    pub answer_octets: usize,
}

impl Default for Bounds {
    /// 10 s to connect, 60 s for the answer, 16 connections kept for 20 s, answers of up to 16 MiB.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(20),
            idle_connections: 16,
            answer_octets: 16 << 20,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum TransportError {
    /// Not one octet of the call left.
    NotSent(String),
    /// Something of it may have arrived.
    Unknown(String),
}

/// An answer as received.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// What is seen of an upstream without a signed call.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// HTTP status of the answer; any is a sign of life.
    pub status: u16,
    /// From the look-up of the name to the head of the answer.
    pub took: Duration,
    /// The upstream's clock, to the second.
    pub date: Option<SystemTime>,
    /// Where the time went.
    pub steps: Steps,
}

/// What the parts of reaching an upstream took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// The look-up of the name.
    pub resolve: Duration,
    /// The connection.
    pub connect: Duration,
    /// The TLS session, where there is one.
    pub tls: Option<Duration>,
    /// From then to the head of the answer.
    pub answer: Duration,
}

/// A call ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct HttpCall {
    /// SOAPAction without quotes.
    pub(super) action: &'static str,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

pub(super) type Connection = SendRequest<Full<Bytes>>;

/// The connections to one endpoint.
pub(super) struct Transport {
    endpoint: Endpoint,
    bounds: Bounds,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Transport {
    pub(super) fn new(endpoint: Endpoint, bounds: Bounds) -> Self {
        Self {
            endpoint,
            bounds,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Sends a call and reads its answer.
    pub(super) async fn post(&self, call: &HttpCall) -> Result<HttpAnswer, TransportError> {
        loop {
            let kept = self.take_idle();
            let fresh = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self
                    .connect()
                    .await
                    .map_err(|cause| TransportError::NotSent(cause.to_string()))?,
            };
            match timeout(self.bounds.answer, self.exchange(&mut connection, call)).await {
                Ok(Ok(answer)) => {
                    self.keep(connection);
                    return Ok(answer);
                }
                Ok(Err(Failure::BeforeSending(_))) if !fresh => {}
                Ok(Err(Failure::BeforeSending(cause))) => return Err(TransportError::NotSent(cause)),
                Ok(Err(Failure::AfterSending(cause))) => return Err(TransportError::Unknown(cause)),
                Err(_) => {
                    let cause = format!("no complete answer within {} s", self.bounds.answer.as_secs_f32());
                    return Err(TransportError::Unknown(cause));
                }
            }
        }
    }

    async fn exchange(&self, connection: &mut Connection, call: &HttpCall) -> Result<HttpAnswer, Failure> {
        connection
            .ready()
            .await
            .map_err(|error| Failure::BeforeSending(error.to_string()))?;
        let response = connection
            .try_send_request(self.request(call))
            .await
            .map_err(|mut failure| {
                // hyper gives the request back if and only if nothing of it was written.
                match failure.take_message() {
                    Some(_) => Failure::BeforeSending(failure.into_error().to_string()),
                    None => Failure::AfterSending(failure.into_error().to_string()),
                }
            })?;
        self.read(response).await.map_err(Failure::AfterSending)
    }

    fn request(&self, call: &HttpCall) -> Request<Full<Bytes>> {
        self.post_of(call.action, &call.content_type, call.body.clone())
    }

    /// The request of a call.
    pub(super) fn post_of(&self, action: &str, content_type: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.endpoint.host_header.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // Both texts are made by programs from printable ASCII; a header is left out rather than sent broken.
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        if let Ok(value) = HeaderValue::from_str(&format!("\"{action}\"")) {
            headers.insert("SOAPAction", value);
        }
        request
    }

    /// Asks for the service's description on a connection of its own.
    pub(super) async fn look(&self) -> Result<Reached, String> {
        let since = Instant::now();
        let (mut connection, mut steps) = self.connect_timed().await.map_err(|cause| cause.to_string())?;
        let asked = Instant::now();
        let mut request = Request::new(Full::new(Bytes::new()));
        let target = format!("{}?wsdl", self.endpoint.target.path());
        *request.uri_mut() = target.parse().map_err(|_| "the path is unusable".to_owned())?;
        request.headers_mut().insert(HOST, self.endpoint.host_header.clone());
        let answered = timeout(self.bounds.answer, connection.send_request(request)).await;
        let answered = answered.map_err(|_| format!("no answer within {} s", self.bounds.answer.as_secs_f32()))?;
        let response = answered.map_err(|error| error.to_string())?;
        steps.answer = asked.elapsed();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        Ok(Reached {
            status: response.status().as_u16(),
            took: since.elapsed(),
            date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
            steps,
        })
    }

    pub(super) async fn read(&self, response: Response<hyper::body::Incoming>) -> Result<HttpAnswer, String> {
        let status = response.status();
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = Limited::new(response.into_body(), self.bounds.answer_octets)
            .collect()
            .await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => format!("the answer is longer than {} octets", self.bounds.answer_octets),
            None => format!("the answer broke off: {error}"),
        })?;
        Ok(HttpAnswer {
            status,
            content_type,
            body: body.to_bytes(),
        })
    }

    pub(super) async fn connect(&self) -> Result<Connection, NoConnection> {
        self.connect_timed().await.map(|(connection, _)| connection)
    }

    async fn connect_timed(&self) -> Result<(Connection, Steps), NoConnection> {
        let limit = self.bounds.connect;
        let attempt = async {
            let since = Instant::now();
            let found = lookup_host((self.endpoint.host.as_str(), self.endpoint.port)).await;
            let addresses: Vec<_> = found.map_err(NoConnection::Name)?.collect();
            let resolved = Instant::now();
            let stream = TcpStream::connect(addresses.as_slice())
                .await
                .map_err(NoConnection::Refused)?;
            stream.set_nodelay(true).map_err(NoConnection::Refused)?;
            let mut steps = Steps {
                resolve: resolved - since,
                connect: resolved.elapsed(),
                ..Steps::default()
            };
            let connection = match &self.endpoint.tls {
                None => handshake(stream).await,
                Some((config, name)) => {
                    let connected = Instant::now();
                    let connector = tokio_rustls::TlsConnector::from(config.clone());
                    let stream = connector.connect(name.clone(), stream).await;
                    let stream = stream.map_err(NoConnection::Tls)?;
                    steps.tls = Some(connected.elapsed());
                    handshake(stream).await
                }
            };
            Ok((connection?, steps))
        };
        timeout(limit, attempt).await.unwrap_or(Err(NoConnection::Late(limit)))
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let limit = self.bounds.idle;
        idle.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < limit);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !connection.is_closed() && idle.len() < self.bounds.idle_connections {
            idle.push((connection, Instant::now()));
        }
    }
}

enum Failure {
    BeforeSending(String),
    AfterSending(String),
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, NoConnection> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(NoConnection::Http)?;
    // Ends when the connection closes or its last user is dropped; its errors reach the user of the call.
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>";

    fn call() -> HttpCall {
        HttpCall {
            action: "urn:Ack",
            content_type: "text/xml".to_owned(),
            body: Bytes::from_static(b"<call/>"),
        }
    }

    fn transport(port: u16) -> Transport {
        let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/ws"), None).unwrap();
        let bounds = Bounds {
            answer: Duration::from_millis(300),
            answer_octets: 64,
            ..Bounds::default()
        };
        Transport::new(endpoint, bounds)
    }

    /// Reads one call completely and tells its text.
    async fn read_call(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"<call/>") {
            let mut chunk = [0; 512];
            let count = stream.read(&mut chunk).await.unwrap();
            assert_ne!(count, 0, "the call broke off");
            text.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8(text).unwrap()
    }

    /// A server that treats its connections one after the other as the script says: for each call, the octets of the
    /// answer and whether to close afterwards.
    async fn server(script: Vec<Vec<(&'static [u8], bool)>>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut calls = vec![];
            for connection in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                for (answer, close) in connection {
                    calls.push(read_call(&mut stream).await);
                    stream.write_all(answer).await.unwrap();
                    if close {
                        break;
                    }
                }
            }
            calls
        });
        (port, task)
    }

    #[tokio::test]
    async fn a_refused_connection_is_certainly_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(
            transport(port).post(&call()).await,
            Err(TransportError::NotSent(_))
        ));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_certainly_not_sent() {
        let endpoint = Endpoint::parse("http://nobody.invalid/ws", None).unwrap();
        let transport = Transport::new(endpoint, Bounds::default());
        assert!(matches!(transport.post(&call()).await, Err(TransportError::NotSent(_))));
    }

    #[tokio::test]
    async fn a_call_has_its_headers_and_its_connection_is_used_again() {
        let (port, task) = server(vec![vec![(OK, false), (OK, true)]]).await;
        let transport = transport(port);
        for _ in 0..2 {
            let answer = transport.post(&call()).await.unwrap();
            assert_eq!(
                (answer.status, answer.body.as_ref()),
                (StatusCode::OK, b"<a/>".as_slice())
            );
        }
        let calls = task.await.unwrap();
        assert_eq!(calls.len(), 2);
        let head = calls[0].to_ascii_lowercase();
        assert!(head.starts_with("post /ws http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nsoapaction: \"urn:ack\"\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")), "{head}");
    }

    #[tokio::test]
    async fn a_connection_that_dies_under_a_call_leaves_the_outcome_unknown() {
        let (port, _task) = server(vec![vec![(b"", true)]]).await;
        assert!(matches!(
            transport(port).post(&call()).await,
            Err(TransportError::Unknown(_))
        ));
    }

    #[tokio::test]
    async fn a_kept_connection_that_dies_under_a_call_leaves_the_outcome_unknown() {
        let (port, task) = server(vec![vec![(OK, false), (b"", true)]]).await;
        let transport = transport(port);
        transport.post(&call()).await.unwrap();
        assert!(matches!(transport.post(&call()).await, Err(TransportError::Unknown(_))));
        assert_eq!(task.await.unwrap().len(), 2, "and the call is not sent a second time");
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_before_is_replaced() {
        let (port, task) = server(vec![vec![(OK, true)], vec![(OK, true)]]).await;
        let transport = transport(port);
        transport.post(&call()).await.unwrap();
        // The end of the first connection has arrived when the pool says so.
        while transport
            .idle
            .lock()
            .unwrap()
            .iter()
            .any(|(connection, _)| !connection.is_closed())
        {
            tokio::task::yield_now().await;
        }
        transport.post(&call()).await.unwrap();
        assert_eq!(task.await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn no_half_and_endless_answers_are_unknown() {
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n<a";
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n";
        let junk = b"220 mail.example ESMTP\r\n";
        for (answer, close) in [
            (b"".as_slice(), false),
            (half, true),
            (half, false),
            (long, false),
            (junk, true),
        ] {
            let (port, task) = server(vec![vec![(answer, close), (b"", true)]]).await;
            let result = transport(port).post(&call()).await;
            assert!(matches!(result, Err(TransportError::Unknown(_))), "{result:?}");
            task.abort();
        }
    }

    #[tokio::test]
    async fn redirects_are_answers_like_others() {
        let moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let (port, _task) = server(vec![vec![(moved, true)]]).await;
        assert_eq!(transport(port).post(&call()).await.unwrap().status, StatusCode::FOUND);
    }
}
