//! Webhooks: one POST of JSON on a connection of its own. Redirects are not followed.

use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Failed, secret};
use crate::authorities;
use crate::settings::{Webhook, is_https};

/// Octets of an answer that are read.
const ANSWER: usize = 64 << 10;

/// Calls the program; any status of the class 2xx is a success.
pub(super) async fn send(settings: &Webhook, body: &Value) -> Result<(), Failed> {
    let unreachable = |why: String| Failed::Unreachable(format!("{}: {why}", settings.url));
    let limit = settings.timeout;
    match tokio::time::timeout(limit, call(settings, body)).await {
        Ok(Ok(status)) if status.is_success() => Ok(()),
        Ok(Ok(status)) => Err(Failed::Refused(format!("{}: it answered {status}", settings.url))),
        Ok(Err(why)) => Err(unreachable(why)),
        Err(_) => Err(unreachable(format!("no answer within {} s", limit.as_secs_f32()))),
    }
}

async fn call(settings: &Webhook, body: &Value) -> Result<hyper::StatusCode, String> {
    let own = settings.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&own)).await;
    let (tls, token) = prepared.map_err(|error| error.to_string())??;
    let uri: Uri = settings.url.parse().map_err(|_| "it is not a URL".to_owned())?;
    let host = uri
        .host()
        .ok_or("it names no host")?
        .trim_matches(['[', ']'])
        .to_owned();
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let request = request(&uri, token, body)?;
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| error.to_string())?;
    match tls {
        None => exchange(stream, request).await,
        Some(config) => {
            let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
            let connected = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
            exchange(connected.map_err(|error| format!("TLS: {error}"))?, request).await
        }
    }
}

/// What lies in files, so that what was renewed is used.
fn prepare(settings: &Webhook) -> Result<(Option<Arc<ClientConfig>>, Option<String>), String> {
    let tls = is_https(&settings.url).then(|| authorities::client_config(settings.ca.as_deref()));
    let token = settings.token_file.as_deref().map(secret);
    Ok((tls.transpose()?, token.transpose()?))
}

fn request(uri: &Uri, token: Option<String>, body: &Value) -> Result<Request<Full<Bytes>>, String> {
    let octets = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = uri.authority().ok_or("it names no host")?;
    // A name and a password before the host would be no part of it.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let mut request = Request::post(target)
        .header(HOST, host)
        .header(USER_AGENT, concat!("rsmev/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(octets)))
        .map_err(|error| error.to_string())?;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| "the token has characters that no header may have".to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<hyper::StatusCode, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends when the connection closes or its user is dropped; its errors reach the user of the call.
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    // What it says is of no interest, but it may say it before the connection ends.
    let _ = Limited::new(response.into_body(), ANSWER).collect().await;
    Ok(status)
}
