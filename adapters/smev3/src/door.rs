//! The door: the HTTP server through which local systems call (PROTOCOL §1, DESIGN §3).
//!
//! A call passes these stations: room in memory, body read within its time, parse and verify off the async threads, one
//! engine command, the answer built and signed off the async threads. Nothing is held while the engine works.

mod budget;
mod exchange;
mod http;
mod intake;
mod lately;
mod metrics;
mod places;
mod rate;
mod recognition;
mod room;
mod serve;
mod tls;
mod workers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use tokio::net::TcpListener;
use xmldsig::Limits;

pub use lately::RefusedLately;
pub use metrics::{DoorMetrics, Histogram};
pub use rate::Rate;
pub use tls::{LiveTls, LoadedTls, Tls};

use crate::answer::Author;
use crate::schema::Validators;
use budget::Budget;
use exchange::Exchange;
use intake::Intake;
use places::Places;
use rate::Limiter;
use recognition::Recognition;
use workers::Workers;

/// The door's label in metrics and journal.
const DOOR: &str = "smev3";

/// Callers whose rate is known at once, at least.
const CALLERS: usize = 16 << 10;

/// What happens when the caller's version differs from the message's (`smev3.translate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translate {
    /// The message is written anew in the caller's version.
    Always,
    /// It is not handed out to that caller.
    Refuse,
}

/// Settings of the door. [`Settings::new`] gives the defaults of DESIGN §6 and §9.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `smev3.listen`
    pub listen: SocketAddr,
    /// `smev3.public_url`: scheme, host and port, as the WSDL names them.
    pub public_url: String,
    /// `smev3.timestamp_window`: how far a poll's Timestamp may be from the clock.
    pub timestamp_window: Duration,
    /// `smev3.translate`
    pub translate: Translate,
    /// `limits.body_bytes`: octets of one body.
    pub body_bytes: u64,
    /// `limits.attachments_bytes`: octets of all attachments of one message.
    pub attachments_bytes: u64,
    /// `limits.in_flight_bytes`: octets of all bodies, their trees and unwritten answers.
    pub in_flight_bytes: u64,
    /// `smev3.tls`
    pub tls: Option<Tls>,
    /// `limits.connections`: connections at once; further ones wait in the system's queue.
    pub connections: usize,
    /// `limits.connections_per_address`: those of one address; further ones are closed. 0: no bound.
    pub connections_per_address: usize,
    /// `limits.requests_per_second`: signed calls of one participant.
    pub participant_rate: Rate,
    /// `limits.requests_per_second_per_address`: requests of one address, whatever they are.
    pub address_rate: Rate,
    /// How long a client may take for the head of a request, an idle connection included, and for a TLS handshake.
    pub head_timeout: Duration,
    /// How long a client may take for an answer.
    pub body_timeout: Duration,
    /// How long a client may take for a body, besides the time that what has come takes at `body_rate`.
    pub body_grace: Duration,
    /// `smev3.body_rate`: octets a second that a body must come with after the grace, so that a few slow senders cannot
    /// hold the room of all others.
    pub body_rate: u64,
    /// How long calls that are under way at shutdown may take.
    pub drain_timeout: Duration,
    /// Calls parsed, verified or signed at once.
    pub workers: usize,
}

impl Settings {
    /// The defaults.
    pub fn new(listen: SocketAddr, public_url: String) -> Self {
        Self {
            listen,
            public_url,
            timestamp_window: Duration::from_secs(13 * 3600),
            translate: Translate::Always,
            body_bytes: 8 << 20,
            attachments_bytes: 5 << 20,
            in_flight_bytes: 64 << 20,
            tls: None,
            connections: 1024,
            connections_per_address: 512,
            participant_rate: Rate::UNLIMITED,
            address_rate: Rate::UNLIMITED,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            body_rate: 64 << 10,
            drain_timeout: Duration::from_secs(20),
            workers: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// A door that listens.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<LiveTls>,
    inner: Arc<Inner>,
}

/// What all connections share.
struct Inner {
    settings: Settings,
    budget: Arc<Budget>,
    metrics: Arc<DoorMetrics>,
    exchange: Exchange,
    addresses: Limiter<IpAddr>,
    places: Arc<Places>,
}

impl Door {
    /// Binds the address and reads the TLS files. Nothing is served yet; connections wait in the system's queue.
    ///
    /// # Errors
    /// The address cannot be bound, or a TLS file cannot be used; the message names it.
    pub async fn bind(settings: Settings, engine: Engine, author: Author) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", settings.listen)))?;
        Self::behind(listener, settings, engine, author)
    }

    /// The same on a socket that listens already, in place of `settings.listen`.
    ///
    /// # Errors
    /// The socket cannot be used, or a TLS file cannot; the message names it.
    pub fn on(listener: std::net::TcpListener, settings: Settings, engine: Engine, author: Author) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::behind(TcpListener::from_std(listener)?, settings, engine, author)
    }

    fn behind(listener: TcpListener, settings: Settings, engine: Engine, author: Author) -> io::Result<Self> {
        let tls = settings.tls.as_ref().map(Tls::load).transpose()?.map(LiveTls::new);
        let address = listener.local_addr()?;
        let budget = Budget::new(settings.in_flight_bytes);
        let metrics = Arc::new(DoorMetrics::new(Arc::clone(&budget)));
        let octets = usize::try_from(settings.body_bytes).unwrap_or(usize::MAX);
        let intake = Intake {
            limits: Limits::of_size(octets),
            attachments_bytes: settings.attachments_bytes,
            timestamp_window: intake::window(settings.timestamp_window),
            recognition: Recognition::new(),
            validators: Validators::default(),
            participants: Limiter::new(settings.participant_rate, CALLERS),
        };
        let exchange = Exchange {
            engine,
            author,
            intake,
            metrics: Arc::clone(&metrics),
            workers: Workers::new(settings.workers),
            translate: settings.translate == Translate::Always,
        };
        let inner = Arc::new(Inner {
            addresses: Limiter::new(settings.address_rate, CALLERS),
            places: Places::new(settings.connections_per_address),
            settings,
            budget,
            metrics,
            exchange,
        });
        Ok(Self {
            listener,
            address,
            tls,
            inner,
        })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// TLS of the door, to be renewed; `None` where it speaks none.
    pub fn tls(&self) -> Option<LiveTls> {
        self.tls.clone()
    }

    /// What the door counts.
    pub fn metrics(&self) -> Arc<DoorMetrics> {
        Arc::clone(&self.inner.metrics)
    }

    /// Serves until `shutdown` ends; then takes no more calls, finishes those under way within the drain time-out, and
    /// closes what remains.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        serve::run(self.listener, self.tls, self.inner, shutdown).await;
    }
}
