//! HTTP of the door: paths, methods, bodies, status codes (PROTOCOL §1, DESIGN §6).

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::budget::{Exhausted, Held, SMALL_PATIENCE};
use super::exchange::{FaultAnswer, Received, Unanswered};
use super::rate::{TooMany, one_address};
use super::serve::Pace;
use crate::answer::PLAIN_CONTENT_TYPE;
use crate::fault::Fault;
use crate::version::Version;
use crate::wsdl;

/// Answers one request. What goes wrong becomes an answer.
pub(super) async fn answer(
    inner: Arc<Inner>,
    address: IpAddr,
    pace: Pace,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let version = version_of(request.uri().path());
    let limited = inner.addresses.take(&one_address(address), std::time::Instant::now());
    let response = match (version, request.method()) {
        _ if let Err(wait) = limited => too_many(&inner, version.unwrap_or(Version::V1_2), wait),
        (None, _) => text(
            StatusCode::NOT_FOUND,
            "No such path. SMEV 3 is served under /ws and /smev/v1.1/ws … v1.3/ws.\n",
        ),
        (Some(version), &Method::POST) => call(&inner, address, version, request).await,
        (Some(version), &Method::GET | &Method::HEAD) => describe(&inner, version, &request),
        (Some(_), _) => not_allowed(),
    };
    Ok(pace.writing(response))
}

/// The version that a path names; `/ws` stands for any and is described as 1.2.
fn version_of(path: &str) -> Option<Version> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/ws" | "/smev/v1.2/ws" => Some(Version::V1_2),
        "/smev/v1.1/ws" => Some(Version::V1_1),
        "/smev/v1.3/ws" => Some(Version::V1_3),
        _ => None,
    }
}

fn describe(inner: &Inner, version: Version, request: &Request<Incoming>) -> Response<Bytes> {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    if query.eq_ignore_ascii_case("wsdl") {
        return xml(StatusCode::OK, wsdl::wsdl(version, &inner.settings.public_url).into());
    }
    match query.strip_prefix("xsd=") {
        Some(name) => match wsdl::xsd(name) {
            Some(schema) => xml(StatusCode::OK, Bytes::from_static(schema.as_bytes())),
            None => text(StatusCode::NOT_FOUND, "No such schema.\n"),
        },
        None => not_allowed(),
    }
}

async fn call(
    inner: &Arc<Inner>,
    address: IpAddr,
    path_version: Version,
    request: Request<Incoming>,
) -> Response<Bytes> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if header(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding is not supported.\n",
        );
    }
    let content_type = header(CONTENT_TYPE).unwrap_or_default().to_owned();
    let (body, held) = match read(inner, request.into_body()).await {
        Ok(read) => read,
        Err(ReadError::Exhausted) => return busy(inner, path_version),
        Err(ReadError::TooLarge) => {
            let limit = inner.settings.body_bytes;
            let fault = Fault::invalid(format!("Сообщение больше допустимых {limit} байт."));
            inner.metrics.count_refused(fault.name);
            inner.metrics.count_unrecognised(address);
            return closing(refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                &FaultAnswer {
                    version: path_version,
                    fault,
                },
            ));
        }
        Err(ReadError::Slow) => {
            inner.metrics.count_slow_body();
            return closing(text(StatusCode::REQUEST_TIMEOUT, "The body took too long.\n"));
        }
        Err(ReadError::Broken) => return closing(text(StatusCode::BAD_REQUEST, "The body is broken.\n")),
    };
    let received = Received {
        body,
        content_type,
        path_version,
        address,
    };
    match inner.handle(received, held).await {
        Ok((answer, mut held)) => {
            let (content_type, octets) = answer.into_http();
            // Held until the client has taken it.
            held.add(octets.len() as u64);
            held.keep(octets.len() as u64);
            let mut response = respond(StatusCode::OK, Bytes::from_owner(Charged { octets, _held: held }));
            if let Ok(value) = HeaderValue::from_str(&content_type) {
                response.headers_mut().insert(CONTENT_TYPE, value);
            }
            response
        }
        Err(Unanswered::Fault(fault)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &fault),
        Err(Unanswered::Busy) => busy(inner, path_version),
        Err(Unanswered::TooMany(fault, wait)) => {
            later(refusal(StatusCode::SERVICE_UNAVAILABLE, &fault), wait.seconds())
        }
    }
}

/// Octets of an answer that count as in flight until they are dropped.
struct Charged {
    octets: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

enum ReadError {
    TooLarge,
    Exhausted,
    Slow,
    Broken,
}

impl From<Exhausted> for ReadError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Reads a body within its bounds. What it returns besides must be held as long as the body is there.
async fn read(inner: &Inner, mut body: Incoming) -> Result<(Bytes, Held), ReadError> {
    let limit = inner.settings.body_bytes;
    let deadline = Instant::now() + inner.settings.body_grace;
    let announced = body.size_hint().exact();
    if announced.is_some_and(|octets| octets > limit) {
        drain(body, limit, deadline).await;
        return Err(ReadError::TooLarge);
    }
    let mut held = inner.budget.arriving();
    held.grow_soon(announced.unwrap_or(0), Instant::now() + SMALL_PATIENCE)
        .await?;
    let mut octets = BytesMut::with_capacity(usize::try_from(announced.unwrap_or(0)).unwrap_or(0));
    loop {
        // Who keeps the pace gets the time that the pace needs.
        let earned = octets.len() as u64 * 1000 / inner.settings.body_rate.max(1);
        let deadline = deadline + Duration::from_millis(earned);
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| ReadError::Slow)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| ReadError::Broken)?.into_data() else {
            continue;
        };
        if octets.len() as u64 + data.len() as u64 > limit {
            drain(body, limit, deadline).await;
            return Err(ReadError::TooLarge);
        }
        if announced.is_none() {
            held.grow_soon(data.len() as u64, Instant::now() + SMALL_PATIENCE)
                .await?;
        }
        octets.extend_from_slice(&data);
    }
    held.arrived();
    Ok((octets.freeze(), held))
}

/// Reads on for a while without keeping anything, so that a client that writes first and reads later gets its answer.
async fn drain(mut body: Incoming, limit: u64, deadline: Instant) {
    let mut left = limit.saturating_mul(2);
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        let octets = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(octets) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn busy(inner: &Inner, version: Version) -> Response<Bytes> {
    inner.metrics.count_turned_away();
    let fault = FaultAnswer {
        version,
        fault: Fault::failure(),
    };
    later(closing(refusal(StatusCode::SERVICE_UNAVAILABLE, &fault)), 1)
}

/// More requests than one address may make: this one is not read.
fn too_many(inner: &Inner, version: Version, wait: TooMany) -> Response<Bytes> {
    inner.metrics.count_limited_address();
    let fault = Fault::too_many(format!(
        "С этого адреса больше {} запросов в секунду. Повторите позже.",
        inner.settings.address_rate.per_second
    ));
    let refused = refusal(StatusCode::SERVICE_UNAVAILABLE, &FaultAnswer { version, fault });
    later(closing(refused), wait.seconds())
}

/// An answer that says after how many seconds to come again.
fn later(mut response: Response<Bytes>, seconds: u64) -> Response<Bytes> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn refusal(status: StatusCode, answer: &FaultAnswer) -> Response<Bytes> {
    xml(status, answer.fault.envelope(answer.version).into())
}

fn not_allowed() -> Response<Bytes> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "POST a SOAP call, or GET ?wsdl.\n");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST, GET"));
    response
}

/// An answer after which the connection cannot be used any more: part of the body was not read.
fn closing(mut response: Response<Bytes>) -> Response<Bytes> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn xml(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = respond(status, body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN_CONTENT_TYPE));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = respond(status, Bytes::from_static(body.as_bytes()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}

fn respond(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
