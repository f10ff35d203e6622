//! The master key of the protection at rest: where it lies, how the first one is made, and `rsmev keys master`.

use std::path::{Path, PathBuf};

use engine::{AtRest, Keyring, keys_dir};
use journal::disk::RealDisk;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vault::{MasterKey, MasterKeyError};

use crate::cli::{MasterKeyCommand, Output};
use crate::credentials;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::Out;
use crate::settings::Settings;
use crate::store::Store;

/// Name of systemd's credential, and of the file that is made where nothing is configured.
const NAME: &str = "master.key";

/// Where a master key is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `storage.master_key`, or what systemd handed over of it.
    Configured(PathBuf),
    /// systemd's credential for the service.
    Credential(PathBuf),
    /// Beside what it protects.
    DataDir(PathBuf),
}

impl Place {
    /// Where the master key of this configuration is.
    pub(crate) fn of(configured: Option<&Path>, data_dir: &Path) -> Self {
        Self::find(configured, credentials::folder().as_deref(), data_dir)
    }

    fn find(configured: Option<&Path>, folder: Option<&Path>, data_dir: &Path) -> Self {
        if let Some(path) = configured {
            return Self::Configured(credentials::find(path, folder));
        }
        match folder.map(|folder| folder.join(NAME)) {
            Some(path) if path.exists() => Self::Credential(path),
            _ => Self::DataDir(keys_dir(data_dir).join(NAME)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        let (Self::Configured(path) | Self::Credential(path) | Self::DataDir(path)) = self;
        path
    }
}

/// What the engine needs to protect bodies; the first start makes a master key if none is configured, and so does one that
/// gives up what was sealed under a lost one. Nothing is written yet.
pub(crate) fn at_rest(settings: &Settings, accept_lost_keys: bool) -> Result<Option<AtRest>, Failure> {
    let data_dir = &settings.node.data_dir;
    let sealed_before = Keyring::of(data_dir, RealDisk::shared()).exists();
    let cipher = settings.storage.encryption;
    if cipher.is_none() && !sealed_before && !accept_lost_keys {
        return Ok(None);
    }
    let place = Place::of(settings.storage.master_key.as_deref(), data_dir);
    let refused = |error: MasterKeyError| Failure::refused(error.to_string());
    let (master, new_at) = match &place {
        Place::DataDir(path) if !path.exists() => {
            if sealed_before && !accept_lost_keys {
                return Err(Failure::refused(format!(
                    "{}: the master key is missing, without which sealed bodies cannot be read; put it back, name it with \
                     storage.master_key, or give these bodies up with `rsmev serve --accept-lost-keys`",
                    path.display()
                )));
            }
            (MasterKey::generate().map_err(refused)?, Some(path.clone()))
        }
        place => (MasterKey::read(place.path()).map_err(refused)?, None),
    };
    Ok(Some(AtRest {
        master,
        new_at,
        cipher,
        accept_lost_keys,
    }))
}

fn make(path: &Path) -> Result<MasterKey, Failure> {
    let made = MasterKey::generate().and_then(|key| key.write(path).map(|()| key));
    made.map_err(|error| Failure::refused(error.to_string()))
}

/// What a rotation answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rotated {
    /// Fingerprint of the key before.
    pub(crate) before: String,
    /// Fingerprint of the key from now on.
    pub(crate) now: String,
}

/// `keys master`
pub(crate) fn run(
    command: &MasterKeyCommand,
    settings: impl FnOnce() -> Result<Settings, crate::problem::Problems>,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        MasterKeyCommand::New { file } => {
            let key = make(file)?;
            out.line(format_args!("{}: master key {}", file.display(), key.fingerprint()))?;
            out.line("Keep a copy where the data is not: without it stored messages cannot be read.")?;
        }
        MasterKeyCommand::Show { file, output } => {
            let key = MasterKey::read(file).map_err(|error| Failure::refused(error.to_string()))?;
            let (file, fingerprint) = (file.display().to_string(), key.fingerprint());
            match output.output {
                Output::Json => out.json(&json!({ "file": file, "fingerprint": fingerprint }))?,
                Output::Table => out.line(format_args!("{file}: master key {fingerprint}"))?,
            }
        }
        MasterKeyCommand::Rotate { to, yes } => {
            let file = to.canonicalize().map_err(|error| Failure::file(to, error))?;
            yes.confirm(|| {
                let file = file.display();
                Ok(format!(
                    "wrap the gateway's data keys under the master key in {file}; from then on the present one opens nothing"
                ))
            })?;
            let store = Store::open(&settings()?)?;
            let rotated = store.ask::<Rotated>(Request::RotateMasterKey { file });
            store.close();
            let Rotated { before, now } = rotated?;
            out.line(format_args!(
                "The data keys are wrapped under master key {now} now, no longer under {before}."
            ))?;
            out.line(format_args!(
                "Before the next start set storage.master_key to {}, or put it where the old one was.",
                to.display()
            ))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_key_goes_first_then_the_credential_then_the_one_beside_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let credential = folder.path().join(NAME);
        let data = Path::new("/data");
        let beside = Place::DataDir("/data/keys/master.key".into());
        assert_eq!(Place::find(None, None, data), beside);
        assert_eq!(Place::find(None, Some(folder.path()), data), beside);
        std::fs::write(&credential, "").unwrap();
        assert_eq!(
            Place::find(None, Some(folder.path()), data),
            Place::Credential(credential)
        );
        let named = Path::new("/etc/rsmev/a.key");
        assert_eq!(
            Place::find(Some(named), Some(folder.path()), data),
            Place::Configured(named.into())
        );
    }
}
