//! A disk in memory for tests of what survives: it keeps a record of everything that is done to it, and builds from it
//! what a crash at any moment may leave behind, as POSIX allows it.
//!
//! ```text
//! MemDisk ── a run under test ──► Recording ── Replay to a cut ──► image under a Loss: a MemDisk again
//! ```
//!
//! What is not synced is in doubt, each piece by itself: the sectors (512 octets) of a write, torn inside as well; a
//! file's length; a name that was created, renamed or removed, as long as its directory is not synced. A rename alone is
//! whole in one way, as on every journaling file system: the file is under the old name, the new one, or both, never
//! under none. Everything else comes in any order and in part.
#![forbid(unsafe_code)]

mod chance;
mod disk;
mod effort;
mod file;
mod platter;
mod recording;
mod survivors;
#[cfg(test)]
mod tests;

pub use chance::Chance;
pub use disk::MemDisk;
pub use effort::{Effort, Tried};
pub use recording::{Op, Recording, Replay};
pub use survivors::Loss;

/// Octets that a disk writes whole or in part, independently of their neighbours.
pub const SECTOR: usize = 512;
