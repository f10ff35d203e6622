//! The gateway's metrics, as Prometheus reads them.

use std::collections::BTreeMap;

/// A scrape of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Metrics {
        Metrics(text.lines().filter_map(sample).collect())
    }

    /// The value of the series with this name (without `rsmev_`) that has at least these labels; several are added up.
    /// Nothing if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }

    /// The same, with 0 for none, as a whole number.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let value = self.value(name, labels).unwrap_or(0.0);
        // Counters and depths are whole, not negative, and far below 2^53.
        value.max(0.0).round() as u64
    }

    /// Every value that a label has in the series of a name.
    pub fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        self.matching(name, &[])
            .filter_map(|sample| sample.labels.get(label))
            .map(String::as_str)
            .collect()
    }

    /// Every series: its whole name, and its labels.
    pub fn series(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>)> {
        self.0.iter().map(|sample| (sample.name.as_str(), &sample.labels))
    }

    fn matching<'m>(&'m self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &'m Sample> {
        let name = format!("rsmev_{name}");
        let labels: Vec<(String, String)> = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(label) == Some(value))
        })
    }
}

fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let name_end = line.find(['{', ' '])?;
    let mut rest = &line[name_end..];
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (label, after) = inside.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.trim_start_matches(',').trim().to_owned(), value);
            inside = after;
        }
        rest = &inside[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: line[..name_end].to_owned(),
        labels,
        value,
    })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let text = "# HELP rsmev_x y\nrsmev_queue_depth{queue=\"A/requests\"} 3\nrsmev_queue_depth{queue=\"B \\\"q\\\"\",k=\"v\"} 4\n\
                    rsmev_up 1\nrsmev_commit_seconds_bucket{le=\"+Inf\"} 7\nbroken\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.value("queue_depth", &[("queue", "A/requests")]), Some(3.0));
        assert_eq!(
            metrics.value("queue_depth", &[("queue", "B \"q\""), ("k", "v")]),
            Some(4.0)
        );
        assert_eq!(metrics.value("queue_depth", &[]), Some(7.0));
        assert_eq!(metrics.value("queue_depth", &[("queue", "C")]), None);
        assert_eq!(metrics.count("up", &[]), 1);
        assert_eq!(metrics.label_values("commit_seconds_bucket", "le"), ["+Inf"]);
        let names: Vec<&str> = metrics.series().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "rsmev_queue_depth",
                "rsmev_queue_depth",
                "rsmev_up",
                "rsmev_commit_seconds_bucket"
            ]
        );
    }
}
