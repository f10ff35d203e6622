//! What can go wrong outside of single commands.

use std::path::PathBuf;

use vault::{MasterKeyError, VaultError};

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] journal::OpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::ReadError),
    /// The store took no records.
    #[error(transparent)]
    Commit(#[from] journal::CommitError),
    /// The index cannot be used, nor built anew.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A record of the journal is not an event that this program knows: it was written by a newer one.
    #[error("record {seq} of the journal is not known to this program: {error}")]
    UnknownEvent {
        /// The record.
        seq: u64,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The journal's beginning was archived and no snapshot covers it.
    #[error("the journal begins with record {first} and there is no snapshot to start from")]
    NoSnapshot {
        /// First record that is there.
        first: u64,
    },
    /// The registry that the journal names is not there, or cannot be read.
    #[error("registry file {}: {error}", path.display())]
    Registry {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: std::io::Error,
    },
    /// The keyring cannot be used.
    #[error("protection at rest: {0}")]
    Vault(#[from] VaultError),
    /// A new master key cannot be kept.
    #[error("protection at rest: {0}")]
    Master(#[from] MasterKeyError),
    /// Bodies were sealed, and no master key is given.
    #[error(
        "protection at rest: bodies were sealed under data key {used}, and there is no master key to open them with"
    )]
    NoMasterKey {
        /// Id of the newest data key.
        used: u32,
    },
    /// The keyring lacks a data key that bodies were sealed under.
    #[error(
        "protection at rest: bodies were sealed under data key {used}, which is not in {}: put the file back from a \
         backup, or give these bodies up with `rsmev serve --accept-lost-keys`",
        path.display()
    )]
    LostKeys {
        /// The keyring.
        path: PathBuf,
        /// Id of the newest data key.
        used: u32,
    },
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: std::io::Error,
    },
}

/// Why the index could not be read or written. It can be rebuilt from the journal: a restart does so when it must.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// sled failed.
    #[error("index: {0}")]
    Store(#[from] sled::Error),
    /// A row is not what was written.
    #[error("index: row {key} cannot be read")]
    Row {
        /// The key in hexadecimal.
        key: String,
    },
    /// The engine has ended.
    #[error("index: closed")]
    Closed,
    /// The index's files could not be handled.
    #[error("index: {0}")]
    Files(String),
}

/// Why a message cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// What is stored is not what was written; the message is in quarantine now.
    #[error("in quarantine: {0}")]
    Quarantined(String),
    /// It may be readable later, or at another place.
    #[error(transparent)]
    Now(#[from] journal::BodyError),
}

/// Why a registry change was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The outcome would contradict itself; every contradiction is named.
    #[error("the registry would contradict itself: {}", .0.join("; "))]
    Contradiction(Vec<String>),
    /// A certificate or a schema file could not be stored.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A blob's name is not its digest.
    #[error("the content named {0} has another digest")]
    Digest(String),
    /// The engine cannot write now.
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
}
