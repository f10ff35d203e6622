//! The installed service: drop-ins for what its units must say as the configuration does, and its start.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User, chown};

use super::dialogue::Dialogue;
use super::{Document, make_folder};
use crate::failure::Failure;
use crate::output::Out;

/// The configuration of the installed service, and what its units say without a drop-in.
const CONFIG: &str = "/etc/rsmev/gateway.toml";
const LISTEN: &str = "0.0.0.0:7500";
const DATA_DIR: &str = "/var/lib/rsmev";
const ACCOUNT: &str = "rsmev";

const DROP_INS: &str = "/etc/systemd/system";
/// Exists where systemd runs the machine.
const SYSTEMD: &str = "/run/systemd/system";

/// The service can be started by systemd.
pub(super) struct Service;

/// Makes the units fit the configuration; `None` if this is not the installed service's, or systemd does not run.
pub(super) fn prepare<R: BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    config: &Path,
    document: &Document,
) -> Result<Option<Service>, Failure> {
    if config != Path::new(CONFIG) {
        return Ok(None);
    }
    let listen = document.text("smev3", "listen").unwrap_or(LISTEN);
    let data_dir = document.text("node", "data_dir").unwrap_or(DATA_DIR);
    let socket = (listen != LISTEN).then(|| format!("[Socket]\nListenStream=\nListenStream={listen}\n"));
    put(dialogue, "rsmev.socket", "listen.conf", socket.as_deref())?;
    let elsewhere = (data_dir != DATA_DIR).then(|| format!("[Service]\nReadWritePaths={}\n", quoted(data_dir)));
    for unit in ["rsmev.service", "rsmev-backup.service", "rsmev-verify.service"] {
        put(dialogue, unit, "data-dir.conf", elsewhere.as_deref())?;
    }
    give_to_account(Path::new(data_dir))?;
    Ok(Path::new(SYSTEMD).is_dir().then_some(Service))
}

/// A path as an entry of a list in a unit.
fn quoted(path: &str) -> String {
    let escaped = path.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
}

/// Writes a drop-in, or removes it where the unit needs none.
fn put<R: BufRead>(dialogue: &mut Dialogue<'_, R>, unit: &str, name: &str, text: Option<&str>) -> Result<(), Failure> {
    let folder = PathBuf::from(format!("{DROP_INS}/{unit}.d"));
    let file = folder.join(name);
    if std::fs::read_to_string(&file).ok().as_deref() == text {
        return Ok(());
    }
    match text {
        Some(text) => {
            make_folder(&folder, 0o755)?;
            std::fs::write(&file, text).map_err(|error| Failure::file(&file, error))?;
            dialogue.say(format_args!("{}: written", file.display()))?;
        }
        None => {
            std::fs::remove_file(&file).map_err(|error| Failure::file(&file, error))?;
            dialogue.say(format_args!("{}: removed", file.display()))?;
        }
    }
    Ok(())
}

/// The data directory belongs to the service's account, if root makes it.
fn give_to_account(data_dir: &Path) -> Result<(), Failure> {
    if data_dir.exists() || !Uid::effective().is_root() {
        return Ok(());
    }
    make_folder(data_dir, 0o750)?;
    let account = User::from_name(ACCOUNT).ok().flatten();
    let account = account.ok_or_else(|| Failure::refused(format!("there is no account {ACCOUNT}")))?;
    chown(data_dir, Some(account.uid), Some(account.gid)).map_err(|error| Failure::file(data_dir, error.desc()))
}

impl Service {
    /// Starts the service and its nightly verification, now and with the machine.
    pub(super) fn start(&self, out: &mut Out) -> Result<(), Failure> {
        let units = ["rsmev.socket", "rsmev.service", "rsmev-verify.timer"];
        systemctl(&["daemon-reload"])?;
        systemctl(&[&["enable", "--now"], units.as_slice()].concat())?;
        Ok(out.line("The service is running. `systemctl enable --now rsmev-backup.timer` makes daily backups.")?)
    }
}

fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    let status = Command::new("systemctl").args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::refused(format!(
            "systemctl {}: {status}; `journalctl -u rsmev` tells more",
            arguments.join(" ")
        ))),
        Err(error) => Err(Failure::refused(format!("systemctl: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_entry_of_the_list() {
        assert_eq!(quoted("/srv/data of 100%"), r#""/srv/data of 100%%""#);
        assert_eq!(quoted(r#"/srv/"a\b""#), r#""/srv/\"a\\b\"""#);
    }
}
