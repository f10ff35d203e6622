//! Runs the real gateway: generated keys, configuration and registry in a temporary folder, free loopback ports, a
//! process that tests start, kill, stop and restart, its command line, its metrics and its log.
//!
//! It knows the gateway only by its contracts (DESIGN §8 to §11): the command line, the two file formats, the metrics'
//! names. Nothing of the gateway's code is used.
//!
//! ```ignore
//! let mut region = Region::builder(env!("CARGO_BIN_EXE_rsmev"))
//!     .kind(Kind::new("spravka", "urn://test/spravka/1.0"))
//!     .local_exchange("spravka", &["MUN001"], "GISOGD73")
//!     .upstream(Upstream::emulated("federal", &bus, Version::V1_2))
//!     .start()
//!     .await?;
//! let consumer = region.participant("MUN001", Version::V1_2)?;
//! ```
#![forbid(unsafe_code)]

mod builder;
mod command;
pub mod documents;
mod error;
mod metrics;
mod ports;
mod process;
mod region;
mod tls;

pub use builder::{Grant, Kind, RegionBuilder, Route, Upstream};
pub use command::CommandOutput;
pub use error::HarnessError;
pub use metrics::Metrics;
pub use ports::ReservedPort;
pub use region::Region;
pub use tls::{Authority, TlsIdentity, TlsTunnel};
