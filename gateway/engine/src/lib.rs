//! The heart of the gateway: commands become events, events become state. It knows nothing of networks and wire formats.
//!
//! One thread, the writer, takes all waiting commands as a batch, *decides* each of them (a pure function of state,
//! command and time), makes bodies and events durable through the crate `journal`, *applies* the events to the index
//! (sled), and only then answers. The index is a function of the journal and can be rebuilt from it at any time.
//!
//! [`Engine`] is the handle that doors, `forward` and the command line hold.
#![forbid(unsafe_code)]

mod apply;
mod backup;
mod blobs;
mod checkpoint;
pub mod clock;
pub mod command;
mod conditions;
mod decide;
mod destruction;
mod engine;
mod episodes;
mod error;
pub mod event;
#[doc(hidden)]
pub mod fuzz_bodies;
mod gaps;
mod halts;
mod incidents;
mod index;
mod inspect;
mod keys;
pub mod logged;
mod message;
mod metrics;
pub mod names;
mod offer;
mod pages;
mod panics;
mod protection;
mod recover;
mod refusals;
pub mod registry;
mod registry_change;
mod restored;
mod retention;
pub mod room;
mod settings;
mod shared;
mod signed_info;
mod snapshot;
mod state;
mod steady;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod trace;
pub mod units;
mod view;
mod work;
mod writer;

pub use backup::{BackupDone, BackupMade, BackupMark, manifest_text};
pub use checkpoint::{CheckpointVerifier, checkpoint_text};
pub use conditions::Condition;
pub use destruction::{DestructionStatus, Stage, anchor};
pub use engine::{Engine, Rebuilt, Start, known_position, rebuild_index};
pub use episodes::{ClosedIncident, IncidentStatus, NoticeStatus};
pub use error::{IndexError, RegistryError, StartError, Unreadable};
pub use gaps::{GapAccepted, gap_accepted};
pub use halts::{Halt, Halts};
pub use incidents::IncidentKind;
pub use metrics::{AcceptedSeries, EngineMetrics, Gauges, Histogram, RefusedSeries};
pub use panics::Worker;
pub use protection::{AtRest, Keyring, keys_dir};
pub use registry_change::preview;
pub use restored::{RENEWED_AFTER, RestoredNote, UpstreamHold};
pub use settings::{Acceptance, RetentionRule, Settings};
pub use timeline::{Cause, End, Life, Spent, Step, Timeline, Wait, timeline};
pub use trace::{TraceEntry, trace};
pub use view::View;
