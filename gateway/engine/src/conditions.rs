//! What the gateway's readiness depends on (DESIGN §11, `/ready`).

use jiff::Timestamp;
use serde::Serialize;

/// One condition of `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `journal`, `spool`, `index`, `disk`, `clock`; the binary adds `key` and the upstreams.
    pub name: &'static str,
    /// Whether it is fulfilled.
    pub ok: bool,
    /// Since when it is as it is.
    pub since: Timestamp,
    /// What is so, in words.
    pub message: String,
    /// What a person can do about it; empty while all is well.
    pub remedy: String,
}
