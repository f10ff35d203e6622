//! Protection at rest: bodies are sealed before they go to the spool and opened when they are read.
//!
//! ```text
//! master key    a file or a systemd credential, never in data_dir if the operator cares: 32 random octets
//!   └ wraps     data_dir/keys/keyring.json: data keys, each of one epoch, each with an id
//!       └ seal  one body in the spool: header with the id of its data key, nonce, ciphertext, tag
//! ```
//!
//! What a sealed body is bound to: the message, the part, its length and the key. A body that was moved to the place of
//! another one does not open. Since the key's id travels with the body, sealed bodies are moved and backed up without being
//! opened, and a new master key wraps the data keys anew without touching a body.
//!
//! The ciphers are AES-256-GCM (NIST SP 800-38D) and Kuznyechik in MGM mode (GOST R 34.12-2015, RFC 9058); data keys are wrapped
//! with their own cipher under a key that is derived from the master key by KDF_GOSTR3411_2012_256 (RFC 7836, section 4.5).
#![forbid(unsafe_code)]

mod cipher;
mod error;
#[doc(hidden)]
pub mod fuzz_bodies;
mod keyring;
mod master;
mod sealed;
mod vault;

pub use cipher::Cipher;
pub use error::{MasterKeyError, OpenError, SealError, VaultError};
pub use keyring::{DataKeys, KeyringStore};
pub use master::MasterKey;
pub use vault::{BodyName, Vault};
