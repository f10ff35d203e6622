//! The admin socket: one JSON request a connection, one JSON answer. The kernel says who calls.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::Worker;
use engine::event::Person;
use logbook::log;
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::roles::{self, Rights};
use crate::health::Vitals;
use crate::logged;
use crate::operator::{self, Request};
use crate::settings::RoleGroups;
use crate::store::person;
use crate::top::Overview;

/// Bound of a request in octets: a registry with its schemas fits many times.
const REQUEST_BYTES: u64 = 64 << 20;
/// Bound of an answer in octets.
pub(crate) const ANSWER_BYTES: u64 = 1 << 30;
/// Callers at once; further ones wait in line.
const CALLERS: usize = 16;
/// How long a caller may take to say what it wants, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the machine's account database may take to say who calls.
const LOOKUP: Duration = Duration::from_secs(10);
/// Questions to the account database at once: one that hangs takes no more threads than these.
const LOOKUPS: usize = 4;

/// An answer on the socket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Done; this is what was asked for.
    Ok(Value),
    /// Not done, and why, for a person.
    Error(String),
}

/// The socket of a running gateway; the file goes when it is dropped.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    access: Arc<Access>,
    lookups: Lookups,
}

/// Questions to the account database.
#[derive(Clone)]
struct Lookups {
    /// Those that may be asked at once.
    places: Arc<Semaphore>,
    /// How long one may take.
    patience: Duration,
}

/// Who may come, and what for. Everything that asks the account database blocks.
struct Access {
    /// The socket's group: its members may come.
    group: Gid,
    /// What they may do.
    roles: RoleGroups,
}

impl AdminSocket {
    /// Listens. A socket file that nobody answers at is replaced.
    pub(crate) fn bind(path: &Path, roles: RoleGroups) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another gateway answers here"));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        let group = Gid::from_raw(std::fs::metadata(path)?.gid());
        Ok(Self {
            listener,
            path: path.to_owned(),
            access: Arc::new(Access { group, roles }),
            lookups: Lookups {
                places: Arc::new(Semaphore::new(LOOKUPS)),
                patience: LOOKUP,
            },
        })
    }

    /// Answers callers until it is dropped.
    pub(crate) async fn serve(self, vitals: Vitals) {
        let access = Arc::clone(&self.access);
        drop(tokio::task::spawn_blocking(move || roles::tell(&access.roles)));
        let places = Arc::new(Semaphore::new(CALLERS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log!(logged::ADMIN_ACCEPT_FAILED, %error, "the admin socket takes no connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let engine = vitals.sources.engine.clone();
            let (access, lookups) = (Arc::clone(&self.access), self.lookups.clone());
            let answering = vitals.clone();
            tokio::spawn(async move {
                let conversation = tokio::spawn(async move { converse(stream, &answering, (&access, &lookups)).await });
                match conversation.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "admin socket: a caller went away"),
                    Err(_) => engine.worker_panicked(Worker::Admin, "answering on the admin socket"),
                }
                drop(place);
            });
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, vitals: &Vitals, (access, lookups): (&Arc<Access>, &Lookups)) -> io::Result<()> {
    let caller = stream.peer_cred()?;
    let (reading, mut writing) = stream.into_split();
    let caller = Uid::from_raw(caller.uid());
    // Whoever is refused may send all the same, and must not find the connection closed before the answer is read.
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(REQUEST_BYTES));
    tokio::time::timeout(PATIENCE, reading.read_until(b'\n', &mut line)).await??;
    let reply = match who(caller, access, lookups).await {
        None => {
            log!(
                logged::ADMIN_LOOKUP_SLOW,
                uid = caller.as_raw(),
                "admin socket: the machine does not say who calls"
            );
            Reply::Error(format!(
                "the machine's account database does not say who uid {caller} is: look at its name service, and try again"
            ))
        }
        Some(Caller {
            rights: Some(rights),
            person,
            no_person,
        }) => answer(vitals, &line, (&person, no_person), (&rights, &access.roles)).await,
        Some(Caller { rights: None, .. }) => {
            log!(
                logged::ADMIN_CALLER_REFUSED,
                uid = caller.as_raw(),
                "admin socket: refused a caller that is not in the socket's group"
            );
            Reply::Error("you may not administer this gateway".to_owned())
        }
    };
    let mut octets = serde_json::to_vec(&reply)?;
    octets.push(b'\n');
    tokio::time::timeout(PATIENCE, writing.write_all(&octets)).await?
}

/// Asks the account database, away from the threads that serve the doors. If it does not answer in time, root and the gateway's own
/// user are known by their numbers, and nobody else is.
async fn who(caller: Uid, access: &Arc<Access>, lookups: &Lookups) -> Option<Caller> {
    let asked = async {
        let place = Arc::clone(&lookups.places).acquire_owned().await.ok()?;
        let access = Arc::clone(access);
        // The place is held for as long as the thread is, even if nobody waits any more.
        let ask = move || {
            let known = access.caller(caller);
            drop(place);
            known
        };
        tokio::task::spawn_blocking(ask).await.ok()
    };
    let known = tokio::time::timeout(lookups.patience, asked).await.ok().flatten();
    known.or_else(|| Caller::by_number(caller))
}

async fn answer(
    vitals: &Vitals,
    line: &[u8],
    (person, no_person): (&Person, Option<String>),
    (rights, roles): (&Rights, &RoleGroups),
) -> Reply {
    let sources = &vitals.sources;
    let engine = &sources.engine;
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Reply::Error(format!("not a request that this gateway knows: {error}")),
    };
    if let Some(why) = rights.refusal(request.right(), roles) {
        let named: Named = serde_json::from_slice(line).unwrap_or_default();
        log!(
            logged::ADMIN_REQUEST_REFUSED,
            uid = person.uid,
            user = person.name,
            request = named.command,
            why,
            "admin socket: refused a request"
        );
        return Reply::Error(why);
    }
    if request.needs_a_person()
        && let Some(why) = no_person
    {
        return Reply::Error(why);
    }
    if let Request::JournalVerified { error } = request {
        sources.verification.note(engine, error).await;
        return Reply::Ok(Value::Null);
    }
    if let Request::Health { metrics } = request {
        let vitals = vitals.clone();
        let health = tokio::task::spawn_blocking(move || vitals.health(metrics)).await;
        let health = health.map_err(|error| error.to_string()).flatten();
        return match health.map(serde_json::to_value) {
            Ok(Ok(health)) => Reply::Ok(health),
            Ok(Err(error)) => Reply::Error(error.to_string()),
            Err(text) => Reply::Error(text),
        };
    }
    if let Request::Overview = request {
        return match serde_json::to_value(Overview::of(sources)) {
            Ok(value) => Reply::Ok(value),
            Err(error) => Reply::Error(error.to_string()),
        };
    }
    match operator::carry_out(engine, request, person).await {
        Ok(value) => Reply::Ok(value),
        Err(text) => Reply::Error(text),
    }
}

/// Why nobody in particular stands behind a caller, if so: several people can be root or the gateway's user, and one person
/// can be any number of users without an account.
fn no_person(caller: Uid, name: &str) -> Option<String> {
    if may_everything(caller) {
        return Some(format!("{name} is no person: do this under an account of your own"));
    }
    match User::from_uid(caller) {
        Ok(Some(_)) => None,
        _ => Some(format!("uid {caller} has no account on this machine")),
    }
}

/// The name of a request that is known.
#[derive(Debug, Default, Deserialize)]
struct Named {
    command: String,
}

/// Who calls, as the account database tells.
struct Caller {
    /// Nothing for somebody who may not come.
    rights: Option<Rights>,
    person: Person,
    /// Why this is nobody in particular, if so.
    no_person: Option<String>,
}

impl Caller {
    fn by_number(uid: Uid) -> Option<Self> {
        let name = format!("uid {uid}");
        may_everything(uid).then(|| Self {
            rights: Some(Rights::All),
            no_person: no_person(uid, &name),
            person: Person {
                name,
                uid: uid.as_raw(),
            },
        })
    }
}

fn may_everything(uid: Uid) -> bool {
    uid.is_root() || uid == geteuid()
}

impl Access {
    fn caller(&self, uid: Uid) -> Caller {
        let person = person(uid);
        Caller {
            rights: self.rights(uid),
            no_person: no_person(uid, &person.name),
            person,
        }
    }

    /// What a caller may do: root and the gateway's own user everything, members of the socket's group what their other groups
    /// say, all by the machine's accounts; nothing for somebody else. What group a process of the caller runs under does not
    /// count: a program that runs under the group for everybody makes nobody an administrator.
    fn rights(&self, uid: Uid) -> Option<Rights> {
        if may_everything(uid) {
            return Some(Rights::All);
        }
        let user = User::from_uid(uid).ok()??;
        let name = std::ffi::CString::new(user.name).ok()?;
        let memberships = getgrouplist(&name, user.gid).ok()?;
        memberships
            .contains(&self.group)
            .then(|| Rights::of(&memberships, &self.roles))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::roles::Role;

    #[test]
    fn accounts_decide_who_may_administer_and_what() {
        let nobody = User::from_name("nobody").unwrap().expect("every machine has it");
        let its_group = nix::unistd::Group::from_gid(nobody.gid)
            .unwrap()
            .expect("it has a name");
        let access = |group, auditor: &str| Access {
            group,
            roles: RoleGroups {
                are_set: true,
                operator: "root".to_owned(),
                registrar: "there is no such group".to_owned(),
                auditor: auditor.to_owned(),
            },
        };
        let here = access(nobody.gid, &its_group.name);
        assert_eq!(
            here.rights(nobody.uid),
            Some(Rights::Roles(vec![Role::Auditor])),
            "the group of its account"
        );
        assert_eq!(
            access(nobody.gid, "root").rights(nobody.uid),
            Some(Rights::Roles(Vec::new()))
        );
        let other = access(Gid::from_raw(nobody.gid.as_raw() ^ 1), &its_group.name);
        assert_eq!(other.rights(nobody.uid), None);
        let without_account = Uid::from_raw(4_000_000_001);
        assert_eq!(here.rights(without_account), None, "whatever group it runs under");
        for anybody in [Uid::from_raw(0), geteuid()] {
            assert_eq!(other.rights(anybody), Some(Rights::All));
        }
    }

    #[tokio::test]
    async fn an_account_database_that_hangs_refuses_and_takes_no_thread_more() {
        let access = Arc::new(Access {
            group: Gid::from_raw(0),
            roles: RoleGroups {
                are_set: false,
                operator: "a".to_owned(),
                registrar: "b".to_owned(),
                auditor: "c".to_owned(),
            },
        });
        let lookups = Lookups {
            places: Arc::new(Semaphore::new(1)),
            patience: Duration::from_millis(1),
        };
        let hanging = Arc::clone(&lookups.places).acquire_owned().await.unwrap();
        let other = Uid::from_raw(geteuid().as_raw() ^ 1);
        if !other.is_root() {
            assert!(who(other, &access, &lookups).await.is_none());
        }
        let number = who(geteuid(), &access, &lookups).await.unwrap();
        assert_eq!(number.rights, Some(Rights::All));
        assert_eq!(number.person.name, format!("uid {}", geteuid()));
        drop(hanging);
        let known = access.caller(geteuid());
        assert_eq!(known.rights, Some(Rights::All));
        assert!(known.no_person.is_some_and(|why| why.starts_with(&known.person.name)));
    }

    #[test]
    fn a_refused_request_is_named_in_the_log() {
        let request = Request::AcknowledgeCut { reason: "x".to_owned() };
        let named: Named = serde_json::from_slice(&serde_json::to_vec(&request).unwrap()).unwrap();
        assert_eq!(named.command, "acknowledge_cut");
    }
}
