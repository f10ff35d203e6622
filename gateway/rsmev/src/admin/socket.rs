//! The admin socket: one JSON request a connection, one JSON answer. The kernel says who calls.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, Worker};
use logbook::log;
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::logged;
use crate::operator::{self, Request};
use crate::store::{person, user_name};
use crate::verification::Verification;

/// Bound of a request in octets: a registry with its schemas fits many times.
const REQUEST_BYTES: u64 = 64 << 20;
/// Bound of an answer in octets.
pub(crate) const ANSWER_BYTES: u64 = 1 << 30;
/// Callers at once; further ones wait in line.
const CALLERS: usize = 16;
/// How long a caller may take to say what it wants, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(30);

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
    group: Gid,
}

impl AdminSocket {
    /// Listens. A socket file that nobody answers at is replaced.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
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
            group,
        })
    }

    /// Answers callers until it is dropped.
    pub(crate) async fn serve(self, engine: Engine, verification: Verification) {
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
            let (engine, group) = (engine.clone(), self.group);
            let answering = (engine.clone(), verification.clone());
            tokio::spawn(async move {
                let conversation = tokio::spawn(async move { converse(stream, &answering, group).await });
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

async fn converse(stream: UnixStream, gateway: &(Engine, Verification), group: Gid) -> io::Result<()> {
    let caller = stream.peer_cred()?;
    let (reading, mut writing) = stream.into_split();
    let caller = Uid::from_raw(caller.uid());
    // Whoever is refused may send all the same, and must not find the connection closed before the answer is read.
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(REQUEST_BYTES));
    tokio::time::timeout(PATIENCE, reading.read_until(b'\n', &mut line)).await??;
    let reply = if permitted(caller, group) {
        answer(gateway, &line, caller).await
    } else {
        log!(
            logged::ADMIN_CALLER_REFUSED,
            uid = caller.as_raw(),
            "admin socket: refused a caller that is not in the socket's group"
        );
        Reply::Error("you may not administer this gateway".to_owned())
    };
    let mut octets = serde_json::to_vec(&reply)?;
    octets.push(b'\n');
    tokio::time::timeout(PATIENCE, writing.write_all(&octets)).await?
}

async fn answer((engine, verification): &(Engine, Verification), line: &[u8], caller: Uid) -> Reply {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Reply::Error(format!("not a request that this gateway knows: {error}")),
    };
    if request.needs_a_person()
        && let Some(why) = no_person(caller)
    {
        return Reply::Error(why);
    }
    if let Request::JournalVerified { error } = request {
        verification.note(engine, error).await;
        return Reply::Ok(Value::Null);
    }
    match operator::carry_out(engine, request, &person(caller)).await {
        Ok(value) => Reply::Ok(value),
        Err(text) => Reply::Error(text),
    }
}

/// Why nobody in particular stands behind a caller, if so: several people can be root or the gateway's user, and one person
/// can be any number of users without an account.
fn no_person(caller: Uid) -> Option<String> {
    if caller.is_root() || caller == geteuid() {
        let name = user_name(caller);
        return Some(format!("{name} is no person: do this under an account of your own"));
    }
    match User::from_uid(caller) {
        Ok(Some(_)) => None,
        _ => Some(format!("uid {caller} has no account on this machine")),
    }
}

/// Root, the gateway's own user, and members of the socket's group as the machine's accounts say. What group a process of the
/// caller runs under does not count: a program that runs under the group for everybody makes nobody an administrator.
fn permitted(uid: Uid, group: Gid) -> bool {
    if uid.is_root() || uid == geteuid() {
        return true;
    }
    let Ok(Some(user)) = User::from_uid(uid) else {
        return false;
    };
    let Ok(name) = std::ffi::CString::new(user.name) else {
        return false;
    };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_decide_who_may_administer() {
        let nobody = User::from_name("nobody").unwrap().expect("every machine has it");
        assert!(permitted(nobody.uid, nobody.gid), "the group of its account");
        let other = Gid::from_raw(nobody.gid.as_raw() ^ 1);
        assert!(!permitted(nobody.uid, other));
        let without_account = Uid::from_raw(4_000_000_001);
        assert!(!permitted(without_account, nobody.gid), "whatever group it runs under");
        assert!(permitted(Uid::from_raw(0), other) && permitted(geteuid(), other));
    }
}
