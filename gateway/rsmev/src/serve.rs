//! `rsmev serve`: puts the gateway together, runs it, and takes it apart in order.
//!
//! Started from the inside out (store, door, links, administration) and stopped from the outside in: the doors take
//! nothing new and finish what is in flight, then the links, then the engine writes its last checkpoint. Each step has a
//! bound; what is not finished by then is as if the power had failed, which the store survives.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::clock::{Clock, SystemClock};
use engine::{Acceptance, Engine, Start, StartError};
use logbook::log;
use smev3::door::{DoorMetrics, LiveTls};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::http::{self, Pages};
use crate::admin::ready::Readiness;
use crate::admin::socket::AdminSocket;
use crate::archive::Archive;
use crate::cli::{Serve, TestClock};
use crate::failure::Failure;
use crate::health::Vitals;
use crate::incidents;
use crate::keys::{self, Identity};
use crate::links::Links;
use crate::logged;
use crate::master_key;
use crate::metrics::{Metrics, Sources};
use crate::notify;
use crate::parts::Parts;
use crate::renewal::Renewal;
use crate::settings::Settings;
use crate::supervisor::{self, Starting, Supervisor};
use crate::verification::Verification;
use crate::{build, descriptors, door, logging, memory, store};

/// How long calls in flight may take to finish.
const DOOR_PATIENCE: Duration = Duration::from_secs(25);
/// The same for what goes upstream.
const LINK_PATIENCE: Duration = Duration::from_secs(25);
/// The same for the engine's last records.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);

/// Parts that are waited for when the gateway stops.
const DOOR: &str = "the SMEV 3 door";
const ARCHIVE: &str = "the shipping to the archive";

/// How long a start waits for whoever holds the store, and how long between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// Threads for reading bodies and for signatures. Calls wait for one; more of them would only take memory.
const BLOCKING_THREADS: usize = 16;

/// Carries the command out; returns when the gateway was told to stop, or cannot go on.
pub(crate) fn run(settings: &Settings, config: &Path, arguments: &Serve) -> Result<(), Failure> {
    logging::start(&settings.log).map_err(Failure::refused)?;
    memory::keep_small();
    let supervisor = Supervisor::from_environment();
    make_data_dir(&settings.node.data_dir)?;
    make_socket_folder(settings)?;
    let accepted = Acceptance {
        gaps: arguments.accept_gap.clone(),
        by: Some(store::person(nix::unistd::Uid::current())),
    };
    store::become_owner(&settings.node.data_dir)?;
    let settings = &descriptors::within(settings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(error.to_string()))?;
    let ended = runtime.block_on(async {
        let starting = supervisor::starting();
        let gateway = Gateway::start(settings, arguments, accepted, supervisor).await?;
        gateway.run(config, starting).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// The folder is nobody else's business; its parents must exist.
fn make_data_dir(dir: &Path) -> Result<(), Failure> {
    match DirBuilder::new().mode(0o750).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Failure::refused(format!(
            "node.data_dir {}: the folder cannot be made: {error}",
            dir.display()
        ))),
        _ => Ok(()),
    }
}

/// The admin socket's folder, made if it is missing and its parent is there; it belongs to the data's owner.
fn make_socket_folder(settings: &Settings) -> Result<(), Failure> {
    let socket = &settings.admin.socket;
    let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let make = || {
        DirBuilder::new().mode(0o750).create(folder)?;
        let owner = std::fs::metadata(&settings.node.data_dir)?;
        std::os::unix::fs::chown(folder, Some(owner.uid()), Some(owner.gid()))
    };
    if folder.is_dir() {
        return Ok(());
    }
    make().map_err(|error| {
        Failure::refused(format!(
            "admin.socket {}: the folder {} cannot be made: {error}; make it for the gateway's user, or set admin.socket \
             to a path in a folder of that user",
            socket.display(),
            folder.display()
        ))
    })
}

struct Gateway {
    engine: Engine,
    links: Links,
    renewal: Renewal,
    stop_door: watch::Sender<bool>,
    stop_archive: watch::Sender<bool>,
    parts: Parts,
}

impl Gateway {
    async fn start(
        settings: &Settings,
        arguments: &Serve,
        accepted: Acceptance,
        mut supervisor: Supervisor,
    ) -> Result<Self, Failure> {
        let test_clock = arguments.test_clock.as_ref();
        let identity = keys::load(&settings.keys)?;
        let clock: Arc<dyn Clock> = match test_clock {
            None => Arc::new(SystemClock),
            Some(clock) => {
                log!(logged::TEST_CLOCK, %clock, "this gateway runs on a test clock");
                Arc::new(engine::clock::TestClock::new(clock.start, clock.rate))
            }
        };
        let engine = start_engine(settings, &identity, &clock, (arguments.accept_lost_keys, accepted)).await?;
        // Disk and clock are known before the first caller comes.
        engine.tick().await;
        let held_open = supervisor.door(settings.smev3.listen)?;
        let door = door::bind(settings, held_open, &engine, &identity).await?;
        log!(logged::DOOR_OPEN, address = %door.local_addr(), url = %settings.smev3.public_url, "the SMEV 3 door is open");
        let links = Links::start(settings, &engine, &identity)?;
        let (stop_archive, stopped) = watch::channel(false);
        let archive = settings.archive.as_ref();
        let archive = archive.map(|archive| Archive::start(archive, engine.clone(), stopped));
        let (archive, shipping) = archive.unzip();
        let mut parts = Parts::default();
        if let Some(shipping) = shipping {
            parts.spawn(ARCHIVE, shipping);
        }
        let metrics = door.metrics();
        let renewal = Renewal::new(door.tls(), settings);
        let observed = (metrics, door.tls());
        let verification = Verification::of(&settings.node.data_dir);
        let notices = watch_incidents(
            settings,
            incidents::Sources {
                engine: engine.clone(),
                door: Arc::clone(&observed.0),
                tls: observed.1.clone(),
                links: links.clone(),
                archive: archive
                    .clone()
                    .zip(settings.archive.as_ref().map(|archive| archive.alarm_after)),
                certificate: identity.certificate.clone(),
                verification: verification.clone(),
            },
            &mut parts,
        );
        let pages = pages(
            &engine,
            &identity,
            (&links, archive),
            observed,
            (&verification, notices),
            test_clock,
        )?;
        administration(settings, pages, &mut parts).await?;
        parts.spawn("the renewal of the door's TLS", renewal.clone().watch());
        if let Some(watchdog) = supervisor::watchdog(&engine) {
            parts.spawn("the watchdog", watchdog);
        }
        let (stop_door, stopped) = watch::channel(false);
        parts.spawn(DOOR, door.serve(stopping(stopped)));
        log!(logged::STARTED,
            version = build::VERSION,
            commit = build::COMMIT,
            mnemonic = %settings.node.mnemonic,
            data_dir = %settings.node.data_dir.display(),
            "the gateway is running"
        );
        Ok(Self {
            engine,
            links,
            renewal,
            stop_door,
            stop_archive,
            parts,
        })
    }

    /// Until a signal or a failure.
    async fn run(mut self, config: &Path, starting: Starting) -> Result<(), Failure> {
        let cannot = |error: io::Error| Failure::refused(format!("signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(cannot)?;
        // Whoever hears that it runs may tell it to stop.
        drop(starting);
        supervisor::ready();
        let failure = loop {
            tokio::select! {
                failure = self.engine.failed() => break Some(failure),
                ended = self.parts.ended() => break Some(ended),
                _ = async { tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} } } => break None,
                _ = hang_up.recv() => {
                    supervisor::reloading();
                    reload(config, &self.links, &self.renewal);
                    supervisor::ready();
                }
            }
        };
        if let Some(failure) = failure {
            log!(logged::FAILED, %failure, "the gateway cannot keep its promises and ends");
            return Err(Failure::Ended(failure));
        }
        self.stop(&mut [terminate, interrupt]).await
    }

    /// In order and bounded in time; a second signal cuts it short. What fails on the way is the end of the command.
    async fn stop(self, signals: &mut [Signal; 2]) -> Result<(), Failure> {
        supervisor::stopping();
        log!(logged::STOPPING, "stopping: finishing what is in flight");
        let [terminate, interrupt] = signals;
        let engine = self.engine.clone();
        let stopped = tokio::select! {
            stopped = self.in_order() => stopped,
            failure = engine.failed() => Err(failure),
            _ = async { tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} } } => {
                log!(logged::STOPPED_AT_ONCE, "told to stop a second time: ending at once");
                Ok(())
            }
        };
        match stopped {
            Ok(()) => Ok(()),
            Err(failure) => {
                log!(logged::STOP_FAILED, %failure, "the gateway did not stop in order");
                Err(Failure::Ended(failure))
            }
        }
    }

    async fn in_order(mut self) -> Result<(), String> {
        // If the door has gone already, nobody listens to this.
        let _ = self.stop_door.send(true);
        let door = tokio::time::timeout(DOOR_PATIENCE, self.parts.end_of(DOOR)).await;
        if door.is_err() {
            log!(logged::CALLS_CUT_OFF, "calls were still in flight and are cut off");
        }
        if tokio::time::timeout(LINK_PATIENCE, self.links.stop()).await.is_err() {
            log!(
                logged::LINKS_CUT_OFF,
                "messages were still on their way upstream; they will be sent again"
            );
        }
        let _ = self.stop_archive.send(true);
        // It ends at once, and cuts its command off.
        let archive = self.parts.end_of(ARCHIVE).await;
        drop(self.parts);
        let engine = tokio::time::timeout(ENGINE_PATIENCE, self.engine.shutdown()).await;
        if let Some(failure) = self.engine.failure() {
            return Err(failure);
        }
        engine.map_err(|_| "the last records took too long".to_owned())?;
        door.unwrap_or(Ok(())).and(archive)?;
        log!(logged::STOPPED, "stopped");
        Ok(())
    }
}

async fn start_engine(
    settings: &Settings,
    identity: &Identity,
    clock: &Arc<dyn Clock>,
    (accept_lost_keys, accepted): (bool, Acceptance),
) -> Result<Engine, Failure> {
    let mut patience = LOCK_PATIENCE;
    loop {
        let start = Start {
            at_rest: master_key::at_rest(settings, accept_lost_keys)?,
            settings: engine::Settings {
                accepted: accepted.clone(),
                ..settings.engine()
            },
            clock: Arc::clone(clock),
            disk: journal::disk::RealDisk::shared(),
            signer: Arc::clone(&identity.signer),
            certificate: identity.certificate.clone(),
        };
        // Recovery reads the journal, which may take its time.
        let started = tokio::task::spawn_blocking(move || Engine::start(start)).await;
        let started = started.map_err(|error| Failure::refused(format!("the store's recovery failed: {error}")))?;
        match started {
            // A command that looks at the store holds it for a moment; another gateway, which answers, does not let go.
            Err(error @ StartError::Store(journal::OpenError::Locked { .. }))
                if !patience.is_zero() && UnixStream::connect(&settings.admin.socket).is_err() =>
            {
                if patience == LOCK_PATIENCE {
                    log!(logged::WAITING_FOR_STORE, %error, "waiting for the store");
                }
                patience = patience.saturating_sub(LOCK_PAUSE);
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            started => return started.map_err(|error| store::start_failure(settings, &error, &accepted.gaps)),
        }
    }
}

fn pages(
    engine: &Engine,
    identity: &Identity,
    (links, archive): (&Links, Option<Archive>),
    (door, tls): (Arc<DoorMetrics>, Option<LiveTls>),
    (verification, notices): (&Verification, notify::Counts),
    test_clock: Option<&TestClock>,
) -> Result<(Pages, Arc<Sources>), Failure> {
    let test_clock = test_clock.map(ToString::to_string);
    let certificate = identity.certificate.clone();
    let observed = (links.clone(), archive.clone());
    let readiness = Arc::new(Readiness::new(engine.clone(), certificate, observed, test_clock));
    let sources = Arc::new(Sources {
        engine: engine.clone(),
        door,
        tls,
        links: links.clone(),
        archive,
        certificate: identity.certificate.clone(),
        readiness: Arc::clone(&readiness),
        verification: verification.clone(),
        notices,
    });
    let metrics = Metrics::new(Arc::clone(&sources)).map_err(|error| Failure::refused(format!("metrics: {error}")))?;
    let pages = Pages {
        readiness,
        metrics,
        engine: engine.clone(),
    };
    Ok((pages, sources))
}

/// Starts the rules and what tells of the incidents that they find.
fn watch_incidents(settings: &Settings, sources: incidents::Sources, parts: &mut Parts) -> notify::Counts {
    let news = watch::Sender::new(0);
    let engine = sources.engine.clone();
    let (notifiers, counts) = notify::notifiers(settings, &engine, &news);
    for notifier in notifiers {
        parts.spawn("the telling of incidents", notifier.run());
    }
    let rules = incidents::Watch::new(engine, settings, news);
    parts.spawn("the rules of incidents", rules.run(sources));
    counts
}

async fn administration(
    settings: &Settings,
    (pages, sources): (Pages, Arc<Sources>),
    parts: &mut Parts,
) -> Result<(), Failure> {
    let admin = &settings.admin;
    let listener = TcpListener::bind(admin.listen)
        .await
        .map_err(|error| Failure::refused(format!("admin.listen {}: {error}", admin.listen)))?;
    if let Ok(address) = listener.local_addr() {
        log!(logged::ADMIN_LISTENING, %address, "administration: /metrics /live /ready");
    }
    let socket = AdminSocket::bind(&admin.socket, admin.roles.clone())
        .map_err(|error| Failure::refused(format!("admin.socket {}: {error}", admin.socket.display())))?;
    let pages = Arc::new(pages);
    let vitals = Vitals::new(Arc::clone(&pages), sources, &settings.node.data_dir, &settings.limits);
    parts.spawn("the administrative pages", http::serve(listener, pages));
    parts.spawn("the admin socket", socket.serve(vitals));
    Ok(())
}

async fn stopping(mut stopped: watch::Receiver<bool>) {
    // An error means that the gateway has gone, which is a reason to stop too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// SIGHUP: what can be read again. What is wrong is told, and everything stays as it was.
fn reload(config: &Path, links: &Links, renewal: &Renewal) {
    let reloaded = Settings::load(config).map_err(Failure::from).and_then(|settings| {
        let renewed = renewal.read(&settings)?;
        links.trust(&settings)?;
        renewal.put(renewed);
        logging::set_level(&settings.log.level).map_err(Failure::refused)
    });
    match reloaded {
        Ok(()) => log!(
            logged::RELOADED,
            "read again: log.level, trusted_signers, the files of smev3.tls"
        ),
        Err(failure) => log!(logged::RELOAD_FAILED, %failure, "nothing was read again"),
    }
}
