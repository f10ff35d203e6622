//! What the catalogue says of a metric. The families of a scrape are made from it, so that names, types and labels of a
//! scrape are those of the catalogue and cannot be others.

use serde::Serialize;

/// A metric with `L` labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<const L: usize = 0> {
    pub(super) name: &'static str,
    pub(super) metric: Metric,
    pub(super) unit: &'static str,
    pub(super) labels: [Label; L],
    pub(super) help: &'static str,
    pub(super) act: &'static str,
    pub(super) contract: bool,
    pub(super) appears: &'static str,
}

/// The type, as Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metric {
    /// Only rises, from 0 at the start of the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// A label and what bounds its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub(super) name: &'static str,
    pub(super) values: Values,
}

/// What can stand in a label: never anything that a caller sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// Words of the program.
    Closed(fn() -> Vec<&'static str>),
    /// What the program does not know beforehand.
    Named {
        /// Who named it.
        by: &'static str,
        /// How many there can be.
        bound: &'static str,
    },
}

/// An entry whose number of labels does not matter.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    #[serde(rename = "type")]
    pub(crate) metric: Metric,
    pub(crate) unit: &'static str,
    pub(crate) labels: Vec<RowLabel>,
    pub(crate) help: &'static str,
    pub(crate) act: &'static str,
    pub(crate) contract: bool,
    /// Empty for what is there from the start.
    pub(crate) appears: &'static str,
}

/// A label of a [`Row`].
#[derive(Debug, Serialize)]
pub(crate) struct RowLabel {
    pub(crate) name: &'static str,
    /// All of them, if the program knows them.
    pub(crate) values: Option<Vec<&'static str>>,
    /// Who chose them.
    pub(crate) named_by: &'static str,
    /// How many there can be.
    pub(crate) bound: String,
}

impl<const L: usize> Entry<L> {
    pub(super) const fn counter(name: &'static str, unit: &'static str, labels: [Label; L]) -> Self {
        Self::new(Metric::Counter, name, unit, labels)
    }

    pub(super) const fn gauge(name: &'static str, unit: &'static str, labels: [Label; L]) -> Self {
        Self::new(Metric::Gauge, name, unit, labels)
    }

    pub(super) const fn histogram(name: &'static str, unit: &'static str, labels: [Label; L]) -> Self {
        Self::new(Metric::Histogram, name, unit, labels)
    }

    const fn new(metric: Metric, name: &'static str, unit: &'static str, labels: [Label; L]) -> Self {
        Self {
            name,
            metric,
            unit,
            labels,
            help: "",
            act: "",
            contract: false,
            appears: "",
        }
    }

    /// What it tells.
    pub(super) const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// What a person does with it.
    pub(super) const fn act(mut self, act: &'static str) -> Self {
        self.act = act;
        self
    }

    /// Its name and labels stay as they are.
    pub(super) const fn contract(mut self) -> Self {
        self.contract = true;
        self
    }

    /// It is not there before this.
    pub(super) const fn appears(mut self, when: &'static str) -> Self {
        self.appears = when;
        self
    }

    pub(super) fn row(&self) -> Row {
        Row {
            name: self.name,
            metric: self.metric,
            unit: self.unit,
            labels: self.labels.iter().map(Label::row).collect(),
            help: self.help,
            act: self.act,
            contract: self.contract,
            appears: self.appears,
        }
    }
}

impl Label {
    fn row(&self) -> RowLabel {
        let (values, named_by, bound) = match self.values {
            Values::Closed(values) => {
                let values = values();
                let bound = values.len().to_string();
                (Some(values), "the program", bound)
            }
            Values::Named { by, bound } => (None, by, bound.to_owned()),
        };
        RowLabel {
            name: self.name,
            values,
            named_by,
            bound,
        }
    }
}
