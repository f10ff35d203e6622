//! Journal, spool and snapshots: the files that hold everything that the gateway has promised.
//!
//! ```text
//! data_dir/FORMAT                        the storage header: its version
//! data_dir/SESSION                       whether the last session ended in order, and in which boot of the machine
//! data_dir/CUT                           records that the journal lost, until it tells of that itself
//! data_dir/cut-<time>/                   what the start that found it took away
//! data_dir/gap-<record>/                 damaged journal files that a person accepted the loss of, as they were
//! data_dir/LOCK                          held by the one process that writes
//! data_dir/journal/<first seq>.journal   live segment: records in frames, one frame for each batch
//! data_dir/journal/<first seq>.jsonl.zst sealed segment: the same records, for zstdcat and jq
//! data_dir/spool/<number>.spool          message bodies as received
//! data_dir/snapshot/<seq>.snapshot       state after a record, so that a start does not depend on history
//! ```
//!
//! The unit of everything is the [`Batch`]: some bodies and some events, durable together or not at all. The store
//! writes a batch only when what precedes it is durable, so that a crash can tear nothing but the very end, which
//! nobody was promised. [`open`] cuts such an end and says so; whatever else is not as it was written is
//! [`Damage`], named by file, offset and record, and left alone.
//!
//! Live segments are preallocated with written zeros rather than with reserved extents: a sync of an append costs a
//! quarter to a third less then, because it changes no metadata (measured on ext4). The next segment is made ready in the
//! background when the live one is half full, and the closed one is compressed there.
//!
//! The crate knows nothing of what events and bodies mean.
#![forbid(unsafe_code)]

mod background;
mod batch;
mod bodies;
mod cut;
pub mod disk;
mod error;
mod frame;
#[doc(hidden)]
pub mod fuzz_bodies;
mod gap;
mod health;
mod layout;
mod live;
mod octets;
mod opening;
mod prefix;
pub mod read;
mod record;
mod recovery;
mod replay;
mod salvage;
mod sealed;
pub mod segments;
mod setup;
mod snapshot;
mod spool;
mod store;
pub mod verify;
mod view;
mod walk;
mod writer;

pub use batch::{Batch, Committed};
pub use bodies::{Bodies, Body, Location};
pub use cut::{Cut, noted_cuts};
pub use error::{BodyDamage, BodyError, CommitError, Damage, OpenError, ReadError, RemoveError, SnapshotError};
pub use gap::{Gap, gaps};
pub use opening::{Opened, Opening, begin, open};
pub use prefix::Prefix;
pub use record::{Digest, Record};
pub use recovery::{CutTail, Recovery};
pub use setup::{Session, check_header, last_session};
pub use snapshot::{Belongs, Position, SnapshotReader, SnapshotWriter, Snapshots};
pub use store::{Mark, Options, Sizes, SpoolSegment, Store};
pub use view::{View, hold, view};
