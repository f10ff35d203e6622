//! The service manager (systemd), where there is one: it holds the door's socket open between two runs, so that callers
//! wait in its queue instead of being refused, and it is told how this run does.
//!
//! Without one (`NOTIFY_SOCKET` and `LISTEN_FDS` are absent) all of this does nothing.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use engine::Engine;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// How often a long start says that it goes on, and how long it then may last until it must say so again.
const STARTING: Duration = Duration::from_secs(5);
const STARTING_PATIENCE: Duration = Duration::from_secs(60);

/// What the service manager has given to this process.
pub(crate) struct Supervisor {
    sockets: ListenFd,
}

impl Supervisor {
    /// Reads the environment. To be called once.
    pub(crate) fn from_environment() -> Self {
        Self {
            sockets: ListenFd::from_env(),
        }
    }

    /// The socket that is held open for the door; `None` if none is, so that the door opens its own.
    ///
    /// # Errors
    /// What is held open is not one socket that listens at `listen`: the configuration alone says where the gateway is
    /// reached.
    pub(crate) fn door(&mut self, listen: SocketAddr) -> Result<Option<TcpListener>, Failure> {
        let wrong = |found: String| {
            Failure::refused(format!(
                "smev3.listen {listen}: the service manager holds {found} open instead; make ListenStream in a drop-in of \
                 rsmev.socket (`systemctl edit rsmev.socket`) the same, or stop using that unit"
            ))
        };
        match self.sockets.len() {
            0 => return Ok(None),
            1 => {}
            several => return Err(wrong(format!("{several} sockets"))),
        }
        let taken = self.sockets.take_tcp_listener(0);
        let Some(listener) = taken.map_err(|error| wrong(format!("something else ({error})")))? else {
            return Ok(None);
        };
        let address = listener
            .local_addr()
            .map_err(|error| wrong(format!("a socket without an address ({error})")))?;
        if address != listen {
            return Err(wrong(address.to_string()));
        }
        Ok(Some(listener))
    }
}

/// A start that takes its time, for example because the index is made anew, is no start that hangs.
pub(crate) fn starting() -> Starting {
    Starting(tokio::spawn(async {
        let patience = u32::try_from(STARTING_PATIENCE.as_micros()).unwrap_or(u32::MAX);
        let mut pause = tokio::time::interval(STARTING);
        loop {
            pause.tick().await;
            tell(&[
                NotifyState::ExtendTimeoutUsec(patience),
                NotifyState::Status("starting: the store is read"),
            ]);
        }
    }))
}

/// Says that the start goes on until it is dropped.
pub(crate) struct Starting(JoinHandle<()>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The gateway runs.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("running")]);
}

/// It finishes what is in flight and ends.
pub(crate) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: what is in flight is finished"),
    ]);
}

/// It reads settings again; [`ready`] says that it has done so.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read"),
    }
}

/// Says again and again that the gateway is alive, as often as the service manager wants to hear it: each time the
/// engine's writer has answered. `None` if it does not want to.
pub(crate) fn watchdog(engine: &Engine) -> Option<impl Future<Output = ()> + Send + use<>> {
    let limit = sd_notify::watchdog_enabled()?;
    let engine = engine.clone();
    Some(async move {
        let mut pause = tokio::time::interval(limit / 3);
        loop {
            pause.tick().await;
            engine.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    })
}

fn tell(state: &[NotifyState<'_>]) {
    let told: io::Result<()> = sd_notify::notify(state);
    if let Err(error) = told {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
