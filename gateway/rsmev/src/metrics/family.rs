//! Families of series, built at the moment of asking from what the crates have counted themselves.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Prefix of every name of ours.
const PREFIX: &str = "rsmev_";

/// A family that is being filled.
pub(super) struct Family {
    family: MetricFamily,
    metrics: Vec<Metric>,
}

impl Family {
    /// A family of counters.
    pub(super) fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    /// A family of gauges.
    pub(super) fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// A family of histograms.
    pub(super) fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::HISTOGRAM)
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(format!("{PREFIX}{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self {
            family,
            metrics: Vec::new(),
        }
    }

    /// Adds a counter's value.
    pub(super) fn count(&mut self, labels: &[(&str, &str)], value: u64) {
        let mut counter = Counter::default();
        counter.set_value(float(value));
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_counter(counter);
        self.metrics.push(metric);
    }

    /// Adds a gauge's value.
    pub(super) fn measure(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        self.metrics.push(metric);
    }

    /// Adds a histogram: cumulative counts at upper bounds, number and sum of all observations. The infinite bucket is
    /// left to the encoder, which writes it from the number of observations and spells it `+Inf`.
    pub(super) fn distribution(&mut self, labels: &[(&str, &str)], buckets: &[(f64, u64)], count: u64, sum: f64) {
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
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    /// The finished family.
    pub(super) fn done(mut self) -> MetricFamily {
        self.family.set_metric(self.metrics);
        self.family
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
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
        let mut family = Family::histogram("seconds", "How long");
        family.distribution(&[], &[(0.5, 1), (f64::INFINITY, 3)], 3, 6.0);
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
