//! Families of series, built at the moment of asking from what the crates have counted themselves.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, MetricFamily, MetricType};

use super::entry::{Entry, Label, Metric};

/// A family that is being filled, as its entry in the catalogue says.
pub(super) struct Family<const L: usize> {
    entry: Entry<L>,
    metrics: Vec<prometheus::proto::Metric>,
}

impl<const L: usize> Family<L> {
    /// Without a series yet.
    pub(super) fn new(entry: Entry<L>) -> Self {
        Self {
            entry,
            metrics: Vec::new(),
        }
    }

    /// Adds a counter's value; labels in the order of the entry.
    pub(super) fn count(&mut self, labels: [&str; L], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(float(value));
        let mut metric = self.series(labels);
        metric.set_counter(counter);
        self.metrics.push(metric);
    }

    /// Adds a gauge's value.
    pub(super) fn measure(&mut self, labels: [&str; L], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = self.series(labels);
        metric.set_gauge(gauge);
        self.metrics.push(metric);
    }

    /// Adds a histogram: cumulative counts at upper bounds, number and sum of all observations. The infinite bucket is
    /// left to the encoder, which writes it from the number of observations and spells it `+Inf`.
    pub(super) fn distribution(&mut self, labels: [&str; L], buckets: &[(f64, u64)], count: u64, sum: f64) {
        let bucket = |(bound, cumulative): &(f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*cumulative);
            bucket
        };
        let mut histogram = Histogram::default();
        let finite = buckets.iter().filter(|(bound, _)| bound.is_finite());
        histogram.set_bucket(finite.map(bucket).collect());
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum);
        let mut metric = self.series(labels);
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    fn series(&self, values: [&str; L]) -> prometheus::proto::Metric {
        let pair = |(label, value): (&Label, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value(value.to_owned());
            pair
        };
        prometheus::proto::Metric::from_label(self.entry.labels.iter().zip(values).map(pair).collect())
    }

    /// The finished family.
    pub(super) fn done(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.entry.name.to_owned());
        family.set_help(self.entry.help.to_owned());
        family.set_field_type(match self.entry.metric {
            Metric::Counter => MetricType::COUNTER,
            Metric::Gauge => MetricType::GAUGE,
            Metric::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.metrics);
        family
    }
}

/// A gauge with a single series.
pub(super) fn single(entry: Entry, value: f64) -> MetricFamily {
    let mut family = Family::new(entry);
    family.measure([], value);
    family.done()
}

/// A counter with a single series.
pub(super) fn single_count(entry: Entry, value: u64) -> MetricFamily {
    let mut family = Family::new(entry);
    family.count([], value);
    family.done()
}

/// A count as Prometheus has it: exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    #[test]
    fn the_last_bucket_is_spelled_as_prometheus_reads_it() {
        let mut family = Family::new(Entry::histogram("rsmev_seconds", "seconds", []).help("How long"));
        family.distribution([], &[(0.5, 1), (f64::INFINITY, 3)], 3, 6.0);
        let mut text = Vec::new();
        TextEncoder::new().encode(&[family.done()], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let buckets: Vec<_> = text.lines().filter(|line| line.contains("_bucket")).collect();
        assert_eq!(
            buckets,
            [
                "rsmev_seconds_bucket{le=\"0.5\"} 1",
                "rsmev_seconds_bucket{le=\"+Inf\"} 3"
            ]
        );
    }
}
