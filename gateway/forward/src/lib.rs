//! Upstream links: what is queued for an upstream is sent to it, in order per lane, once; what it holds for the region
//! is pulled, made durable, and only then acknowledged.
//!
//! A [`Link`] belongs to one upstream, and shares nothing with another: the failure of one does not slow the others
//! (invariant I8). Its parts, from rules to wires:
//!
//! - [`outcome`] rules on the upstream's answers (the table of DESIGN §6), [`northbound`] on identifiers, [`backoff`],
//!   [`pace`], [`schedule`] and [`breaker`] on when to try. They are pure: time and chance come in from outside.
//! - `lane` takes one message through its attempt: the identifier is durable before the first octet leaves, the outcome
//!   afterwards. `pull` takes what the upstream holds. Both only carry out what the rules say.
//! - `link` runs them: lanes in parallel, probes, polls, and the orderly stop.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod breaker;
pub mod chance;
mod incidents;
mod lane;
mod link;
pub mod logged;
mod metrics;
pub mod northbound;
pub mod outcome;
pub mod pace;
mod pull;
pub mod schedule;
mod settings;
mod shared;

pub use link::{Link, LinkStatus};
pub use metrics::{Forwarded, LinkMetrics};
pub use settings::Settings;
