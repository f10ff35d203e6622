//! `docs/metrics.md`, written from the catalogue.

use std::fmt::Write as _;

use super::entry::{Metric, Row, RowLabel};

const HEAD: &str = "\
<!-- Written by `rsmev reference metrics`; change gateway/rsmev/src/metrics/catalogue.rs instead. -->
# Metrics

`http://ADMIN/metrics` (`admin.listen`, `127.0.0.1:7580` by default) in the text format of Prometheus, version 0.0.4. How to scrape it, with
alert rules and a dashboard, is told in `docs/installation.md`; what to do about an alert in `docs/alerts.md`.
`rsmev reference metrics --output json` gives this table to programs.

- Counters start at 0 with the process, and what is known beforehand is there from the first scrape.
- Nothing that a caller sends becomes a label. The table of labels says how many values each can have; names that go out of the
  registry stay until a restart. Histograms add the label `le`, whose values are fixed.
- *Contract*: name and labels stay as they are. What is not marked so may change with a version, and `CHANGELOG.md` says so.

";

/// The whole document.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("| metric | type, unit | what it tells | what to do with it |\n|---|---|---|---|\n");
    for row in rows {
        let labels: Vec<_> = row.labels.iter().map(|label| label.name).collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let contract = if row.contract { " *Contract*" } else { "" };
        let appears = match row.appears {
            "" => String::new(),
            when => format!("; there {when}"),
        };
        // A String takes everything.
        let _ = writeln!(
            text,
            "| `{}{labels}`{contract} | {}, {} | {}{appears} | {} |",
            row.name,
            type_text(row.metric),
            row.unit,
            row.help,
            row.act
        );
    }
    text.push_str("\n## Labels\n\n| label | of | values | at most |\n|---|---|---|---|\n");
    for row in rows {
        for label in &row.labels {
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {} | {} |",
                label.name,
                row.name,
                values(label),
                label.bound
            );
        }
    }
    text
}

fn type_text(metric: Metric) -> &'static str {
    match metric {
        Metric::Counter => "counter",
        Metric::Gauge => "gauge",
        Metric::Histogram => "histogram",
    }
}

fn values(label: &RowLabel) -> String {
    match &label.values {
        Some(values) => values
            .iter()
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(" "),
        None => format!("named by {}", label.named_by),
    }
}
