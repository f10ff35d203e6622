//! The heart of the gateway: commands become events, events become state. It knows nothing of networks and wire formats.
//!
//! One thread, the writer, takes all waiting commands as a batch, *decides* each of them (a pure function of state,
//! command and time), makes bodies and events durable through the crate `journal`, *applies* the events to the index
//! (sled), and only then answers. The index is a function of the journal and can be rebuilt from it at any time.
//!
//! [`Engine`] is the handle that doors, `forward` and the command line hold.
#![forbid(unsafe_code)]

pub mod clock;
pub mod command;
mod conditions;
mod engine;
mod error;
pub mod event;
mod metrics;
pub mod names;
pub mod registry;
mod settings;
mod trace;

pub use conditions::Condition;
pub use engine::{Engine, Start};
pub use error::{IndexError, RegistryError, StartError};
pub use metrics::{AcceptedSeries, EngineMetrics, Gauges, Histogram};
pub use settings::Settings;
pub use trace::{TraceEntry, trace};
