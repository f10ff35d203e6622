//! What can go wrong, for the operator's eyes.

use std::io;
use std::path::PathBuf;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or written.
    #[error("the master key {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error("the master key {} is open to others (mode {mode:04o}): chmod 600", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not 64 hexadecimal digits.
    #[error("the master key {} is not 64 hexadecimal digits", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The system has no randomness for a new one.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
}

/// Why the keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not a keyring of a format that this program knows.
    #[error("{} is damaged or of another program version: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another master key wraps the data keys.
    #[error("the master key {given} is not the one of {}, which is {wanted}", path.display())]
    WrongMaster {
        /// The keyring.
        path: PathBuf,
        /// Fingerprint of the key that was given.
        given: String,
        /// Fingerprint of the key that is needed.
        wanted: String,
    },
    /// The system has no randomness for a new data key.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
}

/// Why a body cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system has no randomness for the nonce.
    #[error("no randomness from the operating system: {0}")]
    Entropy(String),
    /// The current data key has sealed as much as is safe; the next [`renew`](crate::Vault::renew) brings another one.
    #[error("the data key is used up and was not renewed")]
    UsedUp,
}

/// Why a sealed body does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no sealed body, or one of a form that this program does not know.
    #[error("not a sealed body of a known form")]
    Form,
    /// Its data key is not on the keyring.
    #[error("the data key {0} is not on the keyring")]
    UnknownKey(u32),
    /// It was changed, or sealed for another message or part.
    #[error("the body was changed, or sealed for another message or part")]
    NotAuthentic,
}
