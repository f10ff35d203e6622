//! One run of the archive's command: no shell, a clean environment, bounded in time, told about the segment in its
//! arguments and its environment.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use journal::segments::SealedSegment;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::settings;

/// Octets of what the command says that are kept for the log.
const SAID: u64 = 2048;
/// Where programs are looked for that the command names without a path.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command.
pub(super) struct Hook {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
}

impl Hook {
    pub(super) fn new(settings: &settings::Archive) -> Self {
        let settings::Archive {
            program,
            arguments,
            timeout,
            ..
        } = settings.clone();
        Self {
            program,
            arguments,
            timeout,
        }
    }

    /// Runs it for a segment whose file has this digest. An error is a text for a person.
    pub(super) async fn run(&self, segment: &SealedSegment, digest: &str) -> Result<(), String> {
        let facts = Facts::new(segment, digest)?;
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments.iter().map(|argument| facts.fill_in(argument)))
            .env_clear()
            .env("PATH", SEARCH)
            .envs(facts.environment())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // So that what it starts itself ends with it.
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| format!("{}: {error}", self.program))?;
        let mut group = Group(child);
        let said = group.0.stderr.take();
        let ended = tokio::time::timeout(self.timeout, async {
            let (said, status) = tokio::join!(listen(said), group.0.wait());
            status.map(|status| (status, said))
        });
        match ended.await {
            Err(_) => Err(format!("{}: was not done within {:?}", self.program, self.timeout)),
            Ok(Err(error)) => Err(format!("{}: {error}", self.program)),
            Ok(Ok((status, _))) if status.success() => Ok(()),
            Ok(Ok((status, said))) => Err(format!("{}: {status}: {}", self.program, said.trim())),
        }
    }
}

/// A process with its descendants, which end with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            // It may have ended this very moment.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Reads all that is said and keeps its beginning.
async fn listen(said: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut said) = said else { return String::new() };
    let mut kept = Vec::new();
    // What cannot be read is not worth failing for: the exit code counts.
    let _ = (&mut said).take(SAID).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut said, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).replace(char::is_control, " ")
}

/// What the command is told.
struct Facts([(&'static str, String); 8]);

impl Facts {
    fn new(segment: &SealedSegment, digest: &str) -> Result<Self, String> {
        let path = absolute(segment)?;
        let mut octets = [0; 32];
        hex::decode_to_slice(digest, &mut octets).map_err(|error| error.to_string())?;
        Ok(Self([
            ("path", path),
            ("name", segment.archive_name(octets)),
            ("first", segment.first_seq.to_string()),
            ("last", segment.last_seq.to_string()),
            ("digest", digest.to_owned()),
            ("bytes", segment.bytes.to_string()),
            ("prev_digest", hex::encode(segment.prev)),
            ("last_digest", hex::encode(segment.last_digest)),
        ]))
    }

    /// An argument with `{path}` and the others replaced; what is put in is not looked at again.
    fn fill_in(&self, argument: &str) -> String {
        let mut filled = String::with_capacity(argument.len());
        let mut rest = argument;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            let fact = self.0.iter().find_map(|(name, value)| {
                let after = from.strip_prefix('{')?.strip_prefix(name)?.strip_prefix('}')?;
                Some((value, after))
            });
            match fact {
                Some((value, after)) => {
                    filled.push_str(value);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = &from[1..];
                }
            }
        }
        filled + rest
    }

    fn environment(&self) -> impl Iterator<Item = (String, &str)> {
        let name = |name: &str| format!("RSMEV_SEGMENT_{}", name.to_uppercase());
        self.0.iter().map(move |(key, value)| (name(key), value.as_str()))
    }
}

/// The command runs in another folder than the gateway.
fn absolute(segment: &SealedSegment) -> Result<String, String> {
    let path: PathBuf = std::path::absolute(&segment.path).map_err(|error| error.to_string())?;
    path.into_os_string()
        .into_string()
        .map_err(|path| format!("{}: is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn segment() -> SealedSegment {
        SealedSegment {
            path: "/data/journal/00000000000000000007.jsonl.zst".into(),
            first_seq: 7,
            last_seq: 9,
            prev: [1; 32],
            last_digest: [2; 32],
            latest: Timestamp::UNIX_EPOCH,
            bytes: 100,
        }
    }

    /// Of the segment's file, in hexadecimal.
    fn digest() -> String {
        "0123456789abcdef".repeat(4)
    }

    fn hook(command: &[&str], timeout: Duration) -> Hook {
        Hook {
            program: command[0].to_owned(),
            arguments: command[1..].iter().map(|text| (*text).to_owned()).collect(),
            timeout,
        }
    }

    #[test]
    fn arguments_are_filled_in_once_and_unknown_braces_stay() {
        let odd = SealedSegment {
            path: "/data/{last}/7.jsonl.zst".into(),
            ..segment()
        };
        let facts = Facts::new(&odd, &digest()).unwrap();
        assert_eq!(facts.fill_in("a{first}-{last}b"), "a7-9b");
        assert_eq!(facts.fill_in("{path}{x}{"), "/data/{last}/7.jsonl.zst{x}{");
        let name = facts.fill_in("{name}");
        let tag = name
            .strip_prefix("00000000000000000007-")
            .and_then(|rest| rest.strip_suffix(".jsonl.zst"));
        assert!(
            tag.is_some_and(|tag| !tag.is_empty() && digest().starts_with(tag)),
            "{name}"
        );
    }

    #[tokio::test]
    async fn the_environment_is_clean_but_for_the_segment() {
        let script = "test -z \"$CARGO_PKG_NAME\" && test \"$RSMEV_SEGMENT_FIRST\" = 7 && test \"$1\" = 9";
        let hook = hook(&["sh", "-c", script, "sh", "{last}"], Duration::from_secs(60));
        hook.run(&segment(), &digest()).await.unwrap();
    }

    #[tokio::test]
    async fn a_failure_tells_what_the_command_said() {
        let hook = hook(&["sh", "-c", "echo no room >&2; exit 3"], Duration::from_secs(60));
        let why = hook.run(&segment(), &digest()).await.unwrap_err();
        assert!(why.contains("no room") && why.contains('3'), "{why}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let hook = hook(&["sh", "-c", &script], Duration::from_secs(2));
        let why = hook.run(&segment(), &digest()).await.unwrap_err();
        assert!(why.contains("not done within"), "{why}");
        let child: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(child).unwrap();
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            rustix::process::test_kill_process(pid).is_err() || state.contains(") Z ")
        };
        while !gone() {
            tokio::task::yield_now().await;
        }
    }
}
