//! `/metrics` (DESIGN §11). The crates count for themselves; this turns their figures into Prometheus series when asked.
//!
//! Nothing from the wire becomes a label, and what is known beforehand starts at 0, so that an alert on a rate works
//! from the first minute.

mod catalogue;
mod document;
mod entry;
mod family;
mod gateway;

pub(crate) use catalogue::rows;
pub(crate) use document::markdown;
pub(crate) use gateway::Sources;

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Registry, TextEncoder};

/// Everything that `/metrics` shows.
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// The gateway's series and those of the process.
    pub(crate) fn new(sources: Arc<Sources>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(Gateway(sources)))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self(registry))
    }

    /// The text format, version 0.0.4.
    pub(crate) fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.gather(), &mut text)?;
        Ok(text)
    }
}

struct Gateway(Arc<Sources>);

impl Collector for Gateway {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.families()
    }
}
