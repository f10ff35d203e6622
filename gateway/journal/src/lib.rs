//! Journal, spool and snapshots: the files that hold everything the gateway has promised.
#![forbid(unsafe_code)]

mod bodies;
pub mod disk;
mod error;
pub mod read;
mod record;
mod recovery;
mod snapshot;
mod store;
pub mod verify;

pub use bodies::{Bodies, Body, Location};
pub use error::{BodyDamage, BodyError, CommitError, Damage, OpenError, ReadError, RemoveError, SnapshotError};
pub use record::{Digest, Record};
pub use recovery::{CutTail, Recovery};
pub use snapshot::{Position, SnapshotReader, SnapshotWriter, Snapshots};
pub use store::{Batch, Committed, Opened, Options, Sizes, SpoolSegment, Store, open};
