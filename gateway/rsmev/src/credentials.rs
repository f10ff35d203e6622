//! Secrets that systemd hands to the service (`LoadCredential=keys:/etc/rsmev/keys`): the service's account then needs no
//! right to the files, and a process that broke in cannot read them again after the start.
//!
//! systemd names a file of that folder `keys_FILE`. The configuration names files, as it does without systemd; a file of
//! the folder that systemd has handed over is read from there.

use std::path::{Path, PathBuf};

/// The folder whose files the unit hands over, and the name it gives them.
const FOLDER: &str = "/etc/rsmev/keys";
const ID: &str = "keys";

/// Where systemd has put what it handed over, if it started this process.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// Where a configured file is to be read.
pub(crate) fn place(configured: &Path) -> PathBuf {
    find(configured, folder().as_deref())
}

/// The same with a given folder of credentials.
pub(crate) fn find(configured: &Path, credentials: Option<&Path>) -> PathBuf {
    let handed_over = || {
        let inside = configured.strip_prefix(FOLDER).ok()?;
        let name = inside.to_str().filter(|name| !name.contains('/'))?;
        let place = credentials?.join(format!("{ID}_{name}"));
        place.exists().then_some(place)
    };
    handed_over().unwrap_or_else(|| configured.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_handed_over_is_read_from_there() {
        let credentials = tempfile::tempdir().unwrap();
        let place = credentials.path().join("keys_gateway.key");
        std::fs::write(&place, "key").unwrap();
        let find = |configured: &str| find(Path::new(configured), Some(credentials.path()));
        assert_eq!(find("/etc/rsmev/keys/gateway.key"), place);
        for other in [
            "/etc/rsmev/keys/other.key",
            "/etc/rsmev/tls/gateway.key",
            "/etc/rsmev/keys/sub/gateway.key",
            "gateway.key",
        ] {
            assert_eq!(find(other), Path::new(other));
        }
    }

    #[test]
    fn without_credentials_the_configured_file_is_meant() {
        let configured = Path::new("/etc/rsmev/keys/gateway.key");
        assert_eq!(find(configured, None), configured);
    }
}
