//! The sockets of the bus: a port that can go down and come back without ever being lost to somebody else.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

use super::calls::{Bus, Reaction};

/// The listening side. The port belongs to it from the start to the end: a socket that never listens holds it, so that
/// nobody else can take it while the bus is down.
pub(super) struct Server {
    holder: Option<TcpSocket>,
    serving: Option<Serving>,
}

impl Server {
    /// Starts serving; the address tells the port where 0 was asked for.
    pub(super) fn start(bus: Arc<Bus>, address: SocketAddr) -> io::Result<(Server, SocketAddr)> {
        let holder = bound(address)?;
        let address = holder.local_addr()?;
        let serving = Serving::start(bus, bound(address)?.listen(1024)?);
        let server = Server {
            holder: Some(holder),
            serving: Some(serving),
        };
        Ok((server, address))
    }

    /// Closes every connection and refuses new ones.
    pub(super) async fn go_down(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            serving.end().await;
        }
    }

    /// Serves again.
    pub(super) fn come_back(&mut self, bus: Arc<Bus>) -> io::Result<()> {
        if let (Some(holder), None) = (&self.holder, &self.serving) {
            let listener = bound(holder.local_addr()?)?.listen(1024)?;
            self.serving = Some(Serving::start(bus, listener));
        }
        Ok(())
    }

    /// Closes everything and lets the port go.
    pub(super) async fn stop(&mut self) {
        self.go_down().await;
        self.holder = None;
    }
}

/// The task that accepts connections; they end with it, and it ends with this.
pub(super) struct Serving(JoinHandle<()>);

impl Serving {
    fn start(bus: Arc<Bus>, listener: TcpListener) -> Serving {
        Serving(tokio::spawn(serve(bus, listener)))
    }

    /// Ends it and waits until its sockets are closed.
    async fn end(&mut self) {
        self.0.abort();
        // It ends with the cancellation that was just asked for.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Ends, with all its connections, when its task is aborted.
async fn serve(bus: Arc<Bus>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        // Without it answers would only be slower.
        let _ = stream.set_nodelay(true);
        let bus = Arc::clone(&bus);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&bus), request));
            // A connection ends in many ways, some of them by our own doing; none is of interest here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(bus: Arc<Bus>, request: Request<Incoming>) -> Result<Response<AnswerBody>, io::Error> {
    if request.method() != Method::POST {
        return Ok(response(
            405,
            "text/plain",
            AnswerBody::whole("the emulator only takes POST"),
        ));
    }
    let path = request.uri().path().to_owned();
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let Ok(body) = Limited::new(request.into_body(), bus.settings.body_bytes)
        .collect()
        .await
    else {
        return Ok(response(
            413,
            "text/plain",
            AnswerBody::whole("the body is too large or was cut off"),
        ));
    };
    match bus.call(&path, &content_type, body.to_bytes()).await {
        Reaction::Answer {
            status,
            content_type,
            body,
        } => Ok(response(status, &content_type, AnswerBody::whole(body))),
        Reaction::Half { content_type, body } => Ok(response(200, &content_type, AnswerBody::half(&body))),
        Reaction::Close => Err(io::Error::other("the knobs want this connection closed")),
    }
}

fn response(status: u16, content_type: &str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// A body that is whole, or that breaks in the middle although its length was promised.
struct AnswerBody {
    next: Option<Bytes>,
    promised: u64,
    breaks: bool,
    waits: u8,
}

impl AnswerBody {
    fn whole(body: impl Into<Bytes>) -> AnswerBody {
        let body = body.into();
        AnswerBody {
            promised: body.len() as u64,
            next: Some(body),
            breaks: false,
            waits: 0,
        }
    }

    fn half(body: &Bytes) -> AnswerBody {
        // Some turns of the event loop, so that the first half leaves before the connection breaks.
        AnswerBody {
            promised: body.len() as u64,
            next: Some(body.slice(..body.len() / 2)),
            breaks: true,
            waits: 3,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(Ok(Frame::data(next))));
        }
        if !self.breaks {
            return Poll::Ready(None);
        }
        if self.waits > 0 {
            self.waits -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("the knobs want half an answer"))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
