//! Recovery.
use jiff::Timestamp;

/// What opening the store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the directory was set up just now.
    pub created: bool,
    /// Sequence number of the last record; 0 if there is none.
    pub last_seq: u64,
    /// Time of the last record.
    pub last_at: Option<Timestamp>,
    /// What was cut off the end, if anything.
    pub cut: Option<CutTail>,
    /// Whether the last user closed the store in order.
    pub clean_close: bool,
    /// Whether the machine has not been started anew since then.
    pub same_boot: bool,
}

/// A torn end that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// The first sequence number that was cut.
    pub first_seq: u64,
    /// How many records were cut, as far as their number can still be read.
    pub records: Option<u32>,
    /// Why.
    pub why: String,
}
