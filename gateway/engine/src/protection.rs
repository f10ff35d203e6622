//! Protection at rest: bodies are sealed in the task of whoever brings them, and opened in the task of whoever reads them.
//! The writer passes on what it is given; only what it writes itself, notices of some hundred octets, is sealed there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use journal::disk::{Access, Disk, read_file, replace_file};
use journal::{Bodies, Body, BodyError, Location};
use logbook::log;
use vault::{Cipher, DataKeys, KeyringStore, MasterKey, OpenError, SealError, Vault, VaultError};

use crate::error::StartError;
use crate::event::{BodyName, Event};
use crate::logged;
use crate::names::MessageId;

/// Flag of a spool record whose octets are a sealed body.
const SEALED: u16 = 1;

/// Octets from which a body is sealed off the async threads.
pub(crate) const LARGE: usize = 256 << 10;

/// A body as the spool keeps it.
#[derive(Debug, Clone)]
pub(crate) struct SpoolBody {
    pub(crate) flags: u16,
    pub(crate) octets: Vec<u8>,
}

/// How bodies are protected at rest.
#[derive(Debug)]
pub struct AtRest {
    /// Wraps the data keys.
    pub master: MasterKey,
    /// The file that a new master key is written to before it wraps anything; none if it lies where it belongs.
    pub new_at: Option<PathBuf>,
    /// Seals new bodies; without it they are stored as they are, and those that are sealed can still be read.
    pub cipher: Option<Cipher>,
    /// Goes on without data keys that bodies are sealed under, because they are not there, or because the master key or the
    /// keyring is lost: those bodies are lost.
    pub accept_lost_keys: bool,
}

/// What seals and opens bodies, if they are protected at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protection {
    vault: Option<Arc<Vault>>,
    seals: bool,
}

impl Protection {
    /// Opens the keyring of a store whose lock is held. `used` is the newest data key that the journal tells of.
    ///
    /// # Errors
    /// The master key is missing or another one, or the keyring is not what it was.
    pub(crate) fn open(
        keyring: Keyring,
        at_rest: Option<AtRest>,
        used: Option<u32>,
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let Some(at_rest) = at_rest else {
            return used.map_or_else(|| Ok(Self::default()), |used| Err(StartError::NoMasterKey { used }));
        };
        let AtRest {
            master,
            new_at,
            cipher,
            accept_lost_keys,
        } = at_rest;
        let io = |error| StartError::Io {
            path: keyring.path.clone(),
            error,
        };
        keyring.settle().map_err(io)?;
        let keys = match DataKeys::read(&keyring, &master) {
            Err(error @ (VaultError::WrongMaster { .. } | VaultError::Damaged { .. })) if accept_lost_keys => {
                let aside = keyring.set_aside(now).map_err(io)?;
                log!(logged::KEYRING_ASIDE, %error, aside = %aside.display(), "the keyring was set aside; what was sealed under its keys is given up");
                DataKeys::default()
            }
            read => read?,
        };
        let last = used.unwrap_or(0);
        if !accept_lost_keys && last > 0 && keys.newest().is_none_or(|newest| newest < last) {
            return Err(StartError::LostKeys {
                path: keyring.path,
                used: last,
            });
        }
        if let Some(path) = new_at {
            keyring.make_folder().map_err(io)?;
            master.write(&path)?;
            log!(logged::MASTER_KEY_MADE,
                path = %path.display(),
                "a master key was made beside the data that it protects; keep a copy elsewhere, or name another with storage.master_key"
            );
        }
        let new = cipher.unwrap_or(Cipher::Aes256Gcm);
        Ok(Self {
            vault: Some(Arc::new(Vault::open(Box::new(keyring), master, keys, new, last, now)?)),
            seals: cipher.is_some(),
        })
    }

    /// The event that tells of the current data key, if the journal has only told of `used`.
    pub(crate) fn untold(&self, used: Option<u32>) -> Option<Event> {
        let vault = self.vault.as_ref().filter(|_| self.seals)?;
        if Some(vault.current_key()) == used {
            return None;
        }
        Some(Event::DataKey {
            id: vault.current_key(),
            cipher: vault.cipher().name().to_owned(),
        })
    }

    /// Wraps the data keys under another master key. Tells the fingerprint of the one before.
    ///
    /// # Errors
    /// In words: the keyring cannot be written, or there is none.
    pub(crate) fn rotate(&self, master: MasterKey) -> Result<String, String> {
        let vault = self
            .vault
            .as_ref()
            .ok_or("bodies are not sealed: there is no master key")?;
        vault.rotate(master).map_err(|error| error.to_string())
    }

    /// Whether new bodies are sealed.
    pub(crate) fn seals(&self) -> bool {
        self.seals && self.vault.is_some()
    }

    /// # Errors
    /// [`SealError`]; the body must not be stored then.
    pub(crate) fn seal(&self, message: MessageId, body: BodyName, octets: Vec<u8>) -> Result<SpoolBody, SealError> {
        match self.vault.as_ref().filter(|_| self.seals) {
            Some(vault) => Ok(SpoolBody {
                flags: SEALED,
                octets: vault.seal(name(message, body), &octets)?,
            }),
            None => Ok(SpoolBody { flags: 0, octets }),
        }
    }

    /// Opens a body as it was read. The error says what is wrong with it.
    fn open_body(
        &self,
        name: vault::BodyName,
        sealed: bool,
        flags: u16,
        octets: Vec<u8>,
    ) -> Result<Vec<u8>, &'static str> {
        match (flags, &self.vault) {
            (0, _) if sealed => Err("the record is open, and the journal says that it was sealed"),
            (0, _) => Ok(octets),
            (SEALED, Some(vault)) => vault.open_body(name, octets).map_err(|error| match error {
                OpenError::Form => "the record is no sealed body of a known form",
                OpenError::UnknownKey(_) => "the body's data key is not on the keyring",
                OpenError::NotAuthentic => "the sealed body was changed",
            }),
            (SEALED, None) => Err("the body is sealed, and there is no master key"),
            (_, _) => Err("the record has flags that this program does not know"),
        }
    }

    /// Brings a new data key when it is time; called on every tick. Gives the event that tells of it.
    pub(crate) fn renew(&self, now: Timestamp) -> Option<Event> {
        match self.vault.as_ref().filter(|_| self.seals)?.renew(now) {
            Ok(renewed) => renewed.and_then(|_| self.untold(None)),
            Err(error) => {
                // The present one goes on until it has sealed as much as is safe.
                log!(logged::NO_NEW_KEY, %error, "there is no new data key");
                None
            }
        }
    }
}

/// The spool's bodies with what opens them.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) bodies: Bodies,
    pub(crate) protection: Protection,
}

impl Spool {
    /// Reads a body of this message as it was brought.
    ///
    /// # Errors
    /// As [`Bodies::read`]; a body that does not open is damaged, and so is an open one where it must be sealed.
    pub(crate) fn read(
        &self,
        place: &Location,
        message: MessageId,
        body: BodyName,
        sealed: bool,
    ) -> Result<Vec<u8>, BodyError> {
        let name = name(message, body);
        let Body { flags, octets, .. } = self.bodies.read_flagged(place, name.message, name.part)?;
        let opened = self.protection.open_body(name, sealed, flags, octets);
        opened.map_err(|what| self.bodies.damage(place, what).into())
    }
}

/// The folder of the keyring.
pub fn keys_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("keys")
}

/// The keyring of a data directory.
#[derive(Debug)]
pub struct Keyring {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Keyring {
    /// Largest file that is read, in octets: tens of thousands of keys.
    const LIMIT: u64 = 16 << 20;

    /// The keyring, whether it is there or not.
    #[must_use]
    pub fn of(data_dir: &Path, disk: Arc<dyn Disk>) -> Self {
        let path = keys_dir(data_dir).join("keyring.json");
        Self { disk, path }
    }

    /// Makes sure that what is there stays: a session that was killed may have named it without syncing its folder.
    ///
    /// # Errors
    /// A folder cannot be synced.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(&self.path);
        if !self.exists() {
            return Ok(());
        }
        self.disk.sync_dir(dir)?;
        self.disk.sync_dir(dir.parent().unwrap_or(dir))
    }

    fn make_folder(&self) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(&self.path);
        self.disk.create_dir(dir)?;
        self.disk.sync_dir(dir.parent().unwrap_or(dir))
    }

    /// Gives the file another name, durably, and tells which.
    fn set_aside(&self, now: Timestamp) -> io::Result<PathBuf> {
        let dir = self.path.parent().unwrap_or(&self.path);
        let aside = dir.join(format!("keyring-{}.json", now.strftime("%Y%m%dT%H%M%S%.9fZ")));
        self.disk.rename(&self.path, &aside)?;
        self.disk.sync_dir(dir)?;
        Ok(aside)
    }

    /// Whether it is there, so that a master key is needed to read what was sealed. One that cannot be read is.
    #[must_use]
    pub fn exists(&self) -> bool {
        !matches!(self.disk.open(&self.path, Access::Read), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl KeyringStore for Keyring {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        read_file(&*self.disk, &self.path, Self::LIMIT)
    }

    fn replace(&self, octets: &[u8]) -> io::Result<()> {
        self.make_folder()?;
        replace_file(&*self.disk, &self.path, octets)
    }
}

fn name(message: MessageId, body: BodyName) -> vault::BodyName {
    vault::BodyName {
        message: *message.uuid().as_bytes(),
        part: body.number(),
    }
}

#[cfg(test)]
mod tests {
    use testdisk::MemDisk;

    use super::*;

    #[test]
    fn an_open_record_does_not_stand_for_a_sealed_body() {
        let protection = Protection::default();
        let name = vault::BodyName {
            message: [1; 16],
            part: 0,
        };
        let open = |sealed| protection.open_body(name, sealed, 0, b"body".to_vec());
        assert_eq!(open(false).unwrap(), b"body");
        assert!(open(true).unwrap_err().contains("says that it was sealed"));
    }

    // Found by random lives that were cut: a session was killed between the keyring's renaming and the sync of its folder. The
    // next one went on with the young data key, and a crash of the machine took the keyring with it.
    #[test]
    fn a_keyring_that_a_killed_session_named_is_made_to_stay() {
        let disk = MemDisk::below(Path::new("/data"));
        let (dir, path) = (Path::new("/data/keys"), Path::new("/data/keys/keyring.json"));
        disk.create_dir(dir).unwrap();
        let file = disk.create(path).unwrap();
        file.write_at(b"keys", 0).unwrap();
        file.sync_data().unwrap();
        let keyring = Keyring::of(Path::new("/data"), disk.shared());
        assert!(!Keyring::of(Path::new("/data"), disk.after_crash().shared()).exists());
        keyring.settle().unwrap();
        let left = Keyring::of(Path::new("/data"), disk.after_crash().shared());
        assert_eq!(left.read().unwrap().unwrap(), b"keys");
    }
}
