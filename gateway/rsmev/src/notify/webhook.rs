//! Webhooks: one POST of JSON on a connection of its own. Redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Failed, secret};
use crate::authorities;
use crate::settings::{Webhook, is_https};

/// Octets of an answer that are read.
const ANSWER: usize = 64 << 10;
/// How long they are waited for.
const PARTING: Duration = Duration::from_secs(1);

/// Where a URL leads, without what may be secret in it.
pub(super) fn place(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let place = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, host(uri)?)));
    place.map_or_else(String::new, |(scheme, host)| format!("{scheme}://{host}"))
}

/// The host with its port. A name and a password before it would be no part of it.
fn host(uri: &Uri) -> Option<&str> {
    uri.authority()?.as_str().rsplit('@').next()
}

/// Calls the program; any status of the class 2xx is a success, whatever follows it.
pub(super) async fn send(settings: &Webhook, body: &Value) -> Result<(), Failed> {
    let place = place(&settings.url);
    let unreachable = |why: String| Failed::Unreachable(format!("{place}: {why}"));
    let limit = settings.timeout;
    let answer = match tokio::time::timeout(limit, call(settings, body)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(why)) => return Err(unreachable(why)),
        Err(_) => return Err(unreachable(format!("no answer within {} s", limit.as_secs_f32()))),
    };
    let status = answer.response.status();
    // What it says is of no interest, but it may say it before the connection ends.
    let rest = Limited::new(answer.response.into_body(), ANSWER).collect();
    let _ = tokio::time::timeout(PARTING, rest).await;
    match status.is_success() {
        true => Ok(()),
        false => Err(Failed::Refused(format!("{place}: it answered {status}"))),
    }
}

/// An answer whose head has come.
struct Answer {
    response: Response<Incoming>,
    /// Ends with it.
    _connection: JoinSet<()>,
}

async fn call(settings: &Webhook, body: &Value) -> Result<Answer, String> {
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
    let host = host(uri).ok_or("it names no host")?;
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
) -> Result<Answer, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let mut running = JoinSet::new();
    // Its errors reach the user of the call.
    running.spawn(async move { connection.await.unwrap_or_default() });
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    Ok(Answer {
        response,
        _connection: running,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_place_has_nothing_that_may_be_secret() {
        assert_eq!(
            place("https://u:p@hooks.example:8443/hooks/TOKEN?a=b"),
            "https://hooks.example:8443"
        );
        assert_eq!(place("http://[::1]/hook"), "http://[::1]");
        assert_eq!(place("not a URL"), "");
    }

    #[tokio::test]
    async fn the_status_decides_though_the_answer_never_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for status in ["200 OK", "400 No"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    std::future::pending::<()>().await;
                });
            }
        });
        let webhook = Webhook {
            name: "duty".to_owned(),
            url: format!("http://{address}/hooks/TOKEN"),
            ca: None,
            token_file: None,
            timeout: Duration::from_secs(10),
        };
        send(&webhook, &json!({})).await.unwrap();
        let refused = send(&webhook, &json!({})).await.unwrap_err();
        assert!(matches!(refused, Failed::Refused(_)), "{refused:?}");
        assert_eq!(
            refused.to_string(),
            format!("http://{address}: it answered 400 Bad Request")
        );
    }
}
