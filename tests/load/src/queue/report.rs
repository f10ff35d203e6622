//! The figures of a run with a long queue.

use std::time::Duration;

use serde_json::{Value, json};

use super::disk::Disk;
use crate::flow::Drained;

/// One life of the gateway's process, so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life {
    /// From its start until it was ready, if that was measured.
    pub(super) started_in: Option<Duration>,
    /// Octets in memory.
    pub(super) rss: u64,
    /// The most ever.
    pub(super) peak_rss: u64,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) waiting: usize,
    pub(super) filled_in: Duration,
    /// With the queue full, in the life that filled it.
    pub(super) full: Life,
    pub(super) after_stop: Life,
    pub(super) after_kill: Life,
    pub(super) rebuilt: Life,
    /// With the queue drained, in the life that drained it.
    pub(super) drained: Life,
    pub(super) empty: Life,
    pub(super) short: Drained,
    pub(super) long: Drained,
    pub(super) disk_full: Disk,
    pub(super) disk_drained: Disk,
    /// The least that was seen afterwards.
    pub(super) disk_settled: Disk,
    /// Until the excess was small enough, if it ever was.
    pub(super) settled_in: Option<Duration>,
    pub(super) disk_restarted: Disk,
}

const fn megabytes(octets: u64) -> u64 {
    octets >> 20
}

impl Report {
    /// The long queue's rate by the short one's.
    fn ratio(&self) -> f64 {
        self.long.rate() / self.short.rate().max(1e-9)
    }

    fn lives(&self) -> [(&'static str, &Life); 6] {
        [
            ("filled", &self.full),
            ("after a stop", &self.after_stop),
            ("after a kill", &self.after_kill),
            ("without an index", &self.rebuilt),
            ("drained", &self.drained),
            ("empty again", &self.empty),
        ]
    }

    fn disks(&self) -> [(&'static str, &Disk); 4] {
        [
            ("filled", &self.disk_full),
            ("drained", &self.disk_drained),
            ("settled", &self.disk_settled),
            ("started again", &self.disk_restarted),
        ]
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let lives = self.lives().map(|(name, life)| {
            json!({
                "when": name,
                "start_seconds": life.started_in.map(|took| took.as_secs_f64()),
                "rss_bytes": life.rss,
                "peak_rss_bytes": life.peak_rss,
            })
        });
        let disks = self.disks().map(|(name, disk)| {
            json!({
                "when": name,
                "journal_bytes": disk.journal,
                "journal_reserved_bytes": disk.reserved,
                "spool_bytes": disk.spool,
                "spool_needed_bytes": disk.needed,
                "index_bytes": disk.index,
                "index_row_bytes": disk.rows,
                "snapshot_bytes": disk.snapshots,
                "other_bytes": disk.others,
                "excess_bytes": disk.excess(),
            })
        });
        json!({
            "waiting": self.waiting,
            "fill_seconds": self.filled_in.as_secs_f64(),
            "short_per_second": self.short.rate(),
            "long_per_second": self.long.rate(),
            "long_per_second_tenths": self.long.rates(),
            "ratio": self.ratio(),
            "short_cpu_micros": self.short.cost(),
            "long_cpu_micros": self.long.cost(),
            "lives": lives,
            "disk": disks,
            "settle_seconds": self.settled_in.map(|took| took.as_secs_f64()),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!(
            "a queue of {} messages, filled in {:.0} s",
            self.waiting,
            self.filled_in.as_secs_f64()
        )];
        for (name, life) in self.lives() {
            let start = life
                .started_in
                .map(|took| format!("{:.1} s to start", took.as_secs_f64()));
            lines.push(format!(
                "  {name:<18}{:>18} {:>6} MB RSS (peak {} MB)",
                start.unwrap_or_default(),
                megabytes(life.rss),
                megabytes(life.peak_rss)
            ));
        }
        let tenths: Vec<String> = self.long.rates().iter().map(|rate| format!("{rate:.0}")).collect();
        lines.push(format!(
            "  drain of {:>9} {:>8.0} /s, {:.0} µs of processor time each\n  drain of {:>9} {:>8.0} /s, {:.0} µs   ratio {:.2}   tenths: {}",
            self.short.messages,
            self.short.rate(),
            self.short.cost(),
            self.long.messages,
            self.long.rate(),
            self.long.cost(),
            self.ratio(),
            tenths.join(" ")
        ));
        for (name, disk) in self.disks() {
            lines.push(format!(
                "  disk, {name:<14} journal {:>5} MB of which reserved {:>4}, spool {:>5} MB of which needed {:>5}, index {:>5} MB of which rows {:>4}, snapshots {:>4} MB, others {:>3} MB: excess {:>5} MB",
                megabytes(disk.journal),
                megabytes(disk.reserved),
                megabytes(disk.spool),
                megabytes(disk.needed),
                megabytes(disk.index),
                megabytes(disk.rows),
                megabytes(disk.snapshots),
                megabytes(disk.others),
                megabytes(disk.excess())
            ));
        }
        lines.push(match self.settled_in {
            Some(took) => format!("  the disk came back in {:.0} s", took.as_secs_f64()),
            None => "  the disk did not come back".to_owned(),
        });
        lines.join("\n")
    }
}
