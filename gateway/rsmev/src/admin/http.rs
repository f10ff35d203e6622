//! `/live`, `/ready` and `/metrics`: for orchestration and monitoring, no secrets, nothing that changes anything.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Worker};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use logbook::log;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::ready::Readiness;
use crate::logged;
use crate::metrics::Metrics;

/// Connections at once; further ones wait in line.
const CONNECTIONS: usize = 64;

/// What the pages show.
pub(crate) struct Pages {
    /// `/ready`
    pub(crate) readiness: Arc<Readiness>,
    /// `/metrics`
    pub(crate) metrics: Metrics,
    /// Is told of panics.
    pub(crate) engine: Engine,
}

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<Pages>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log!(logged::ADMIN_ACCEPT_FAILED, %error, "the administrative pages take no connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let pages = Arc::clone(&pages);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let pages = Arc::clone(&pages);
                async move { Ok::<_, Infallible>(contained(&pages, &request)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin connection");
            }
            drop(place);
        });
    }
}

/// A page that panicked is an answer too, and is told.
fn contained(pages: &Pages, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    catch_unwind(AssertUnwindSafe(|| page(pages, request))).unwrap_or_else(|_| {
        pages
            .engine
            .worker_panicked(Worker::Admin, "answering an administrative page");
        answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            "see the gateway's log\n",
        )
    })
}

fn page(pages: &Pages, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n");
    }
    match request.uri().path() {
        "/live" => answer(StatusCode::OK, "text/plain", "alive\n"),
        "/ready" => {
            let report = pages.readiness.report();
            let status = if report.ready {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            answer(
                status,
                "application/json",
                serde_json::to_vec(&report).unwrap_or_default(),
            )
        }
        "/metrics" => match pages.metrics.text() {
            Ok(text) => answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        },
        _ => answer(
            StatusCode::NOT_FOUND,
            "text/plain",
            "there are /live, /ready and /metrics\n",
        ),
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
