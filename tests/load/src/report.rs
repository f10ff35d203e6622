//! The figures, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Usage;

/// What one run came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) mode: &'static str,
    pub(crate) connections: usize,
    pub(crate) octets: usize,
    pub(crate) elapsed: Duration,
    /// Times of single calls or of whole exchanges, in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// Signed calls; in mode full six times as many as exchanges.
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
    /// Messages ran out before the time did.
    pub(crate) ran_out: bool,
    /// Mode upstream: messages on the bus, and how long it took from the first to the last.
    pub(crate) forwarded: Option<(usize, Duration)>,
    /// Processor time during the run, memory at its end.
    pub(crate) server: Option<Usage>,
}

impl Report {
    /// Done things in a second: calls in mode accept and upstream, exchanges in mode full.
    pub(crate) fn rate(&self) -> f64 {
        per_second(self.latencies.len(), self.elapsed)
    }

    /// The latency below which so many of a thousand lie, in milliseconds. The latencies must be sorted.
    fn quantile(&self, per_mille: usize) -> f64 {
        let at = (self.latencies.len() * per_mille).div_ceil(1000).saturating_sub(1);
        self.latencies.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }

    /// For programs.
    pub(crate) fn json(&mut self) -> Value {
        self.latencies.sort_unstable();
        json!({
            "mode": self.mode,
            "connections": self.connections,
            "octets": self.octets,
            "seconds": self.elapsed.as_secs_f64(),
            "done": self.latencies.len(),
            "per_second": self.rate(),
            "calls_per_second": per_second(usize::try_from(self.calls).unwrap_or(usize::MAX), self.elapsed),
            "p50_ms": self.quantile(500),
            "p99_ms": self.quantile(990),
            "p999_ms": self.quantile(999),
            "failures": self.failures,
            "first_failure": self.first_failure,
            "ran_out": self.ran_out,
            "forwarded": self.forwarded.map(|(count, _)| count),
            "forwarded_per_second": self.forwarded.map(|(count, took)| per_second(count, took)),
            "server_cpu_seconds": self.server.map(|usage| usage.cpu.as_secs_f64()),
            "server_rss_bytes": self.server.map(|usage| usage.rss),
            "server_peak_rss_bytes": self.server.map(|usage| usage.peak_rss),
        })
    }

    /// For people.
    pub(crate) fn text(&mut self) -> String {
        self.latencies.sort_unstable();
        let mut lines = vec![format!(
            "mode {} · {} connections · {} octets a call · {:.1} s",
            self.mode,
            self.connections,
            self.octets,
            self.elapsed.as_secs_f64()
        )];
        let what = if self.mode == "full" { "exchanges" } else { "requests" };
        lines.push(format!(
            "  {what:<12}{:>10.0} /s   ({} done, {} failed)",
            self.rate(),
            self.latencies.len(),
            self.failures
        ));
        if self.mode == "full" {
            let rate = per_second(usize::try_from(self.calls).unwrap_or(usize::MAX), self.elapsed);
            lines.push(format!("  {:<12}{rate:>10.0} /s", "calls"));
        }
        lines.push(format!(
            "  {:<12}{:>10.1} ms p50 {:>9.1} ms p99 {:>9.1} ms p99.9",
            "latency",
            self.quantile(500),
            self.quantile(990),
            self.quantile(999)
        ));
        if let Some((count, took)) = self.forwarded {
            lines.push(format!(
                "  {:<12}{:>10.0} /s   ({count} on the bus)",
                "forwarded",
                per_second(count, took)
            ));
        }
        if let Some(usage) = self.server {
            let cores = usage.cpu.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
            let megabytes = |octets: u64| octets / (1 << 20);
            lines.push(format!(
                "  {:<12}{cores:>10.2} cores, {} MB RSS (peak {} MB)",
                "server",
                megabytes(usage.rss),
                megabytes(usage.peak_rss)
            ));
        }
        if self.ran_out {
            lines.push("  the prepared messages ran out before the time did: give more with --messages".to_owned());
        }
        if let Some(failure) = &self.first_failure {
            lines.push(format!("  first failure: {failure}"));
        }
        lines.join("\n")
    }
}

fn per_second(count: usize, time: Duration) -> f64 {
    // Counts stay far below 2^52.
    count as f64 / time.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_latencies() {
        let mut report = Report {
            latencies: (1..=1000).rev().collect(),
            elapsed: Duration::from_secs(2),
            ..Report::default()
        };
        let json = report.json();
        assert_eq!(json["p50_ms"], 0.5);
        assert_eq!(json["p99_ms"], 0.99);
        assert_eq!(json["p999_ms"], 0.999);
        assert_eq!(json["per_second"], 500.0);
    }
}
