//! Connections: accepting, TLS, the limits in number and time, and the orderly end.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::Worker;
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use logbook::log;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::places::Place;
use super::tls::LiveTls;
use super::{Inner, http};
use crate::logged;

/// After the system refused a connection, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Headers of a request at most; with more of them it is answered with 431, as with a longer head.
const MAX_HEADERS: usize = 100;
/// Octets of a request's head at most.
const MAX_HEAD: usize = 64 * 1024;

/// Serves until `shutdown` ends.
pub(super) async fn run(
    listener: TcpListener,
    tls: Option<LiveTls>,
    inner: Arc<Inner>,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, closed) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(inner.settings.connections.max(1)));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    inner.exchange.panicked(Worker::Connection, "serving a connection");
                }
                continue;
            }
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(place) = inner.places.take(peer.ip()) else {
            inner.metrics.count_connection_refused();
            tracing::debug!(%peer, "the address has too many connections");
            continue;
        };
        let tls = tls.as_ref().map(LiveTls::acceptor);
        let connection = connection(Arc::clone(&inner), tls, stream, peer, closed.clone(), (slot, place));
        connections.spawn(connection);
    }
    drop(listener);
    // Whoever listens has heard it; a door without connections has nobody to tell.
    let _ = closing.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(inner.settings.drain_timeout, drained).await.is_err() {
        log!(
            logged::CALLS_CUT_OFF,
            left = connections.len(),
            "calls did not end in time and are cut off"
        );
    }
    connections.shutdown().await;
}

/// The next connection, when there is a slot for it; `None` if the system refused.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            log!(logged::ACCEPT_FAILED, %error, "a connection could not be accepted");
            None
        }
    }
}

async fn connection(
    inner: Arc<Inner>,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    peer: SocketAddr,
    closed: watch::Receiver<bool>,
    held: (OwnedSemaphorePermit, Place),
) {
    let _counted = Counted::new(Arc::clone(&inner));
    // An answer is one write; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(inner, stream, peer.ip(), closed).await,
        Some(acceptor) => match timeout(inner.settings.head_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http(inner, stream, peer.ip(), closed).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
    drop(held);
}

async fn http<S>(inner: Arc<Inner>, stream: S, address: IpAddr, mut closed: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (pace, mut stalled) = Pace::new(inner.settings.body_timeout);
    let head_timeout = inner.settings.head_timeout;
    let slow = Arc::clone(&inner);
    let service = service_fn(move |request| http::answer(Arc::clone(&inner), address, pace.clone(), request));
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    loop {
        tokio::select! {
            ended = poll_fn(|context| Pin::new(&mut serving).poll(context)) => {
                if let Err(error) = ended {
                    tracing::debug!(%address, %error, "connection ended early");
                    // A client that keeps a connection and says nothing owes no head.
                    if error.is_timeout() && !serving.into_parts().read_buf.is_empty() {
                        slow.metrics.count_slow_head();
                    }
                }
                return;
            }
            _ = closed.wait_for(|closed| *closed), if !told => {
                told = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
            () = stalled.wait() => {
                tracing::debug!(%address, "the client does not take its answer");
                slow.metrics.count_slow_answer();
                return;
            }
        }
    }
}

/// Watches that a client takes its answers: an answer's octets are dropped when the system has them.
#[derive(Clone)]
pub(super) struct Pace {
    patience: Duration,
    deadline: Arc<watch::Sender<Option<Instant>>>,
}

/// The other end of [`Pace`].
struct Stalled(watch::Receiver<Option<Instant>>);

impl Pace {
    fn new(patience: Duration) -> (Self, Stalled) {
        let (sender, receiver) = watch::channel(None);
        (
            Self {
                patience,
                deadline: Arc::new(sender),
            },
            Stalled(receiver),
        )
    }

    /// From now on the answer is being written.
    pub(super) fn writing(&self, response: Response<Bytes>) -> Response<Full<Bytes>> {
        let until = Instant::now() + self.patience;
        self.deadline.send_replace(Some(until));
        let deadline = Arc::clone(&self.deadline);
        response.map(|octets| {
            Full::new(Bytes::from_owner(Written {
                octets,
                until,
                deadline,
            }))
        })
    }
}

struct Written {
    octets: Bytes,
    until: Instant,
    deadline: Arc<watch::Sender<Option<Instant>>>,
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // A later answer on the same connection has a deadline of its own.
        self.deadline
            .send_if_modified(|deadline| deadline.take_if(|at| *at == self.until).is_some());
    }
}

impl Stalled {
    /// Ends when an answer has been written for too long.
    async fn wait(&mut self) {
        loop {
            let deadline = *self.0.borrow_and_update();
            match deadline {
                None => {
                    if self.0.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => return,
                        changed = self.0.changed() => if changed.is_err() { return },
                    }
                }
            }
        }
    }
}

/// A connection that is counted while it is open.
struct Counted(Arc<Inner>);

impl Counted {
    fn new(inner: Arc<Inner>) -> Self {
        inner.metrics.connected();
        Self(inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.disconnected();
    }
}
