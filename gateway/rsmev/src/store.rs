//! How a command reaches the store: through the admin socket of a running gateway, or, when it is stopped, by opening
//! the store under its lock and as its owner, so that no file is left that the gateway cannot use later. What only looks
//! changes nothing in journal and spool.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use engine::clock::SystemClock;
use engine::event::Person;
use engine::{AtRest, Engine, Start, StartError, View};
use journal::{OpenError, ReadError};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setgroups, setuid};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::admin::socket::Reply;
use crate::failure::Failure;
use crate::keys;
use crate::master_key;
use crate::operator::{self, Request};
use crate::settings::Settings;

/// A way to the store, open until it is closed.
pub(crate) enum Store {
    /// The gateway is running.
    Running(Box<Path>),
    /// It is stopped, and its store is only looked at.
    Viewed(Box<View>),
    /// It is stopped; the store is ours.
    Stopped {
        /// The engine on it.
        engine: Engine,
        /// Where the engine's futures run.
        runtime: Runtime,
        /// Who asks, for the journal.
        by: Person,
    },
}

/// A store that can be opened and is not: a person may look at it first, and decide against it.
pub(crate) struct Unopened<'s> {
    settings: &'s Settings,
    /// None if the gateway is running.
    stopped: Option<Means>,
}

/// What opening a stopped gateway's store needs of whoever we are before we become its owner.
struct Means {
    by: Person,
    identity: keys::Identity,
    at_rest: Option<AtRest>,
}

impl<'s> Unopened<'s> {
    /// Finds the running gateway, or the stopped one's store.
    pub(crate) fn find(settings: &'s Settings) -> Result<Self, Failure> {
        let stopped = match Store::find(settings)? {
            Some(_) => None,
            None => Some(Means {
                by: person(Uid::current()),
                // The keys may be root's alone, because systemd hands them to the service.
                identity: keys::load(&settings.keys)?,
                at_rest: master_key::at_rest(settings, false)?,
            }),
        };
        Ok(Self { settings, stopped })
    }

    /// A way to look at it that changes nothing.
    pub(crate) fn look(&self) -> Result<Store, Failure> {
        match self.stopped {
            None => Ok(Store::running(&self.settings.admin.socket)),
            Some(_) => Store::view(self.settings),
        }
    }

    /// Opens it.
    pub(crate) fn open(self) -> Result<Store, Failure> {
        let settings = self.settings;
        let Some(Means { by, identity, at_rest }) = self.stopped else {
            return Ok(Store::running(&settings.admin.socket));
        };
        become_owner(&settings.node.data_dir)?;
        let start = Start {
            at_rest,
            settings: settings.engine(),
            clock: Arc::new(SystemClock),
            disk: journal::disk::RealDisk::shared(),
            signer: identity.signer,
            certificate: identity.certificate,
        };
        let runtime = runtime().map_err(|error| Failure::refused(error.to_string()))?;
        let engine = Engine::start(start).map_err(|error| start_failure(settings, &error, &[]))?;
        Ok(Store::Stopped { engine, runtime, by })
    }
}

impl Store {
    /// Finds the running gateway, or opens the stopped one's store.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Failure> {
        Unopened::find(settings)?.open()
    }

    /// Finds the running gateway; `None` if it is stopped and there is a store to look at.
    pub(crate) fn find(settings: &Settings) -> Result<Option<Self>, Failure> {
        let socket = &settings.admin.socket;
        match UnixStream::connect(socket) {
            Ok(_) => Ok(Some(Self::running(socket))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Failure::refused(format!(
                "{}: you may not talk to the gateway; become a member of the socket's group, or root",
                socket.display()
            ))),
            Err(_) if !settings.node.data_dir.is_dir() => Err(no_data(settings)),
            Err(_) => Ok(None),
        }
    }

    /// The gateway that is known to be running.
    pub(crate) fn running(socket: &Path) -> Self {
        Self::Running(socket.into())
    }

    /// Finds the running gateway, or looks at the stopped one's store without changing it.
    pub(crate) fn look(settings: &Settings) -> Result<Self, Failure> {
        match Self::find(settings)? {
            Some(running) => Ok(running),
            None => Self::view(settings),
        }
    }

    fn view(settings: &Settings) -> Result<Self, Failure> {
        become_owner(&settings.node.data_dir)?;
        match View::open(&settings.engine(), journal::disk::RealDisk::shared()) {
            Ok(Some(view)) => Ok(Self::Viewed(Box::new(view))),
            Ok(None) => Err(no_data(settings)),
            Err(error) => Err(start_failure(settings, &error, &[])),
        }
    }

    /// Asks, and reads the answer as `T`.
    pub(crate) fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        let answer = match self {
            Self::Running(socket) => ask_socket(socket, &request)?,
            Self::Viewed(view) => operator::look(&**view, &request).map_err(Failure::refused)?,
            // A person must have seen what there is to take note of.
            Self::Stopped { engine, .. } if engine.found_cut() && matches!(request, Request::AcknowledgeCut { .. }) => {
                let cut = engine.conditions().into_iter().find(|condition| !condition.ok);
                let (message, remedy) = cut.map(|cut| (cut.message, cut.remedy)).unwrap_or_default();
                return Err(Failure::refused(format!(
                    "nothing was taken note of, because the cut was found only now and is in the journal from now on: \
                     {message}; {remedy}"
                )));
            }
            Self::Stopped { .. } if request.needs_a_person() => {
                return Err(Failure::refused(
                    "the gateway is not running, so that nobody vouches for who asks",
                ));
            }
            Self::Stopped { engine, runtime, by } => runtime
                .block_on(operator::carry_out(engine, request, by))
                .map_err(Failure::refused)?,
        };
        serde_json::from_value(answer).map_err(|error| Failure::refused(format!("the gateway's answer: {error}")))
    }

    /// Leaves the store in order.
    pub(crate) fn close(self) {
        if let Self::Stopped { engine, runtime, .. } = self {
            runtime.block_on(engine.shutdown());
        }
    }
}

fn no_data(settings: &Settings) -> Failure {
    Failure::refused(format!(
        "{}: there is no data yet, and no gateway answers at {}",
        settings.node.data_dir.display(),
        settings.admin.socket.display()
    ))
}

/// Why the store did not open, with what a person can do about it. What was `accepted` already is not offered again.
pub(crate) fn start_failure(settings: &Settings, error: &StartError, accepted: &[u64]) -> Failure {
    let dir = settings.node.data_dir.display();
    let damage = match error {
        StartError::Store(OpenError::Damaged(damage)) | StartError::Journal(ReadError::Damaged(damage)) => Some(damage),
        _ => None,
    };
    let offered = damage.filter(|damage| damage.seq > 0 && !accepted.contains(&damage.seq));
    let way_out = offered.map_or_else(String::new, |damage| {
        format!(
            "; restore the file from a backup or the archive (`rsmev journal verify` tells whether all is whole then), or, if \
             it cannot be had, go on without what is lost: `rsmev serve --accept-gap {}`",
            damage.seq
        )
    });
    Failure::refused(format!("{dir}: {error}{way_out}"))
}

fn ask_socket(socket: &Path, request: &Request) -> Result<Value, Failure> {
    let talk = || -> io::Result<Reply> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(request.patience()))?;
        stream.set_write_timeout(Some(request.patience()))?;
        serde_json::to_writer(&mut stream, request)?;
        stream.write_all(b"\n")?;
        stream.shutdown(Shutdown::Write)?;
        let mut line = String::new();
        BufReader::new(stream.take(crate::admin::socket::ANSWER_BYTES)).read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the gateway closed the connection without an answer",
            ));
        }
        Ok(serde_json::from_str(&line)?)
    };
    match talk() {
        Ok(Reply::Ok(answer)) => Ok(answer),
        Ok(Reply::Error(text)) => Err(Failure::Refused(text)),
        Err(error) => Err(Failure::file(socket, error)),
    }
}

/// The runtime of a command.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Takes on the identity of a folder's owner if we are root; refuses if we are somebody else. To be called before
/// any thread is started that touches files.
pub(crate) fn become_owner(dir: &Path) -> Result<(), Failure> {
    let metadata = std::fs::metadata(dir).map_err(|error| Failure::file(dir, error))?;
    let (owner, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    let me = geteuid();
    if me == owner {
        return Ok(());
    }
    if !me.is_root() {
        return Err(Failure::refused(format!(
            "{}: belongs to {}; run this as that user or as root, or start the gateway",
            dir.display(),
            user_name(owner)
        )));
    }
    let account = User::from_uid(owner).ok().flatten();
    let groups = match account
        .as_ref()
        .and_then(|account| std::ffi::CString::new(account.name.clone()).ok())
    {
        Some(name) => initgroups(&name, group),
        None => setgroups(&[group]),
    };
    groups
        .and_then(|()| setgid(group))
        .and_then(|()| setuid(owner))
        .map_err(|error| Failure::refused(format!("cannot become {}: {error}", user_name(owner))))
}

/// A user as the journal names it.
pub(crate) fn person(uid: Uid) -> Person {
    Person {
        name: user_name(uid),
        uid: uid.as_raw(),
    }
}

/// A user's name, or its number if it has none.
pub(crate) fn user_name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}
