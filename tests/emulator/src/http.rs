//! Plain HTTP/1.1 as a client: connections that stay open, and a clear word on whether anything was sent.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::request;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Answers are not read beyond this many octets.
const ANSWER_LIMIT: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nothing was sent: the address is wrong or the connection was refused.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// The call may have been carried out: the connection broke or the answer did.
    #[error("the answer did not come: {0}")]
    Broken(String),
    /// The call may have been carried out: no answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Where calls go: host, port and path of a plain `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    authority: String,
    path: String,
}

impl Endpoint {
    /// Reads `http://host:port/path`.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] for any other kind of address.
    pub fn parse(url: &str) -> Result<Endpoint, TransportError> {
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| TransportError::NotSent(format!("{url:?} is no http:// address")))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let authority = if authority.contains(':') {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        Ok(Endpoint {
            authority,
            path: path.to_owned(),
        })
    }
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, empty if there was none.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`TransportError::NotSent`].
    pub async fn open(endpoint: &Endpoint) -> Result<Connection, TransportError> {
        let not_sent =
            |error: &dyn std::fmt::Display| TransportError::NotSent(format!("{}: {error}", endpoint.authority));
        let stream = TcpStream::connect(&endpoint.authority)
            .await
            .map_err(|error| not_sent(&error))?;
        stream.set_nodelay(true).map_err(|error| not_sent(&error))?;
        let host = HeaderValue::from_str(&endpoint.authority).map_err(|error| not_sent(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| not_sent(&error))?;
        tokio::spawn(async move {
            // How it ends shows in the call that was waiting for it.
            let _ = connection.await;
        });
        Ok(Connection { sender, host })
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Gets a page.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn get(&mut self, path: &str) -> Result<HttpAnswer, TransportError> {
        self.send(Request::builder().method(Method::GET).uri(path), Bytes::new())
            .await
    }

    /// Posts and reads the whole answer.
    ///
    /// # Errors
    /// [`TransportError`]; `NotSent` only if hyper says so.
    pub async fn post(
        &mut self,
        path: &str,
        content_type: &str,
        soap_action: Option<&str>,
        body: Bytes,
    ) -> Result<HttpAnswer, TransportError> {
        let mut request = Request::builder().method(Method::POST).uri(path);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(action) = soap_action {
            request = request.header("SOAPAction", format!("\"{action}\""));
        }
        self.send(request, body).await
    }

    async fn send(&mut self, request: request::Builder, body: Bytes) -> Result<HttpAnswer, TransportError> {
        let not_sent = |error: &dyn std::fmt::Display| TransportError::NotSent(error.to_string());
        self.sender.ready().await.map_err(|error| not_sent(&error))?;
        let request = request.header(HOST, self.host.clone());
        let request = request.body(Full::new(body)).map_err(|error| not_sent(&error))?;
        let answer = self.sender.send_request(request).await.map_err(|error| {
            if error.is_canceled() {
                not_sent(&error)
            } else {
                TransportError::Broken(describe(&error))
            }
        })?;
        let status = answer.status().as_u16();
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| TransportError::Broken(error.to_string()))?
            .to_bytes();
        Ok(HttpAnswer {
            status,
            content_type,
            body,
        })
    }
}

/// Connections to one endpoint, opened as needed and kept.
#[derive(Debug)]
pub(crate) struct Pool {
    endpoint: Endpoint,
    idle: std::sync::Mutex<Vec<Connection>>,
    timeout: Duration,
}

impl Pool {
    pub(crate) fn new(endpoint: Endpoint, timeout: Duration) -> Pool {
        Pool {
            endpoint,
            idle: std::sync::Mutex::default(),
            timeout,
        }
    }

    pub(crate) async fn post(
        &self,
        content_type: &str,
        soap_action: Option<&str>,
        body: Bytes,
    ) -> Result<HttpAnswer, TransportError> {
        let call = async {
            let mut connection = match self.idle_connection() {
                Some(connection) => connection,
                None => Connection::open(&self.endpoint).await?,
            };
            let mut answer = connection
                .post(&self.endpoint.path, content_type, soap_action, body.clone())
                .await;
            if matches!(answer, Err(TransportError::NotSent(_))) {
                // A kept connection that was closed meanwhile: nothing was sent, so a new one may be tried.
                connection = Connection::open(&self.endpoint).await?;
                answer = connection
                    .post(&self.endpoint.path, content_type, soap_action, body)
                    .await;
            }
            if answer.is_ok() && !connection.is_closed() {
                self.lock().push(connection);
            }
            answer
        };
        tokio::time::timeout(self.timeout, call)
            .await
            .unwrap_or(Err(TransportError::Timeout(self.timeout)))
    }

    fn idle_connection(&self) -> Option<Connection> {
        let mut idle = self.lock();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
