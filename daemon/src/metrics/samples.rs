//! The samples of one scrape, and the families that they belong to.

use std::collections::BTreeMap;
use std::fmt;

use causeway_net::{Backend, Reading, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows; its name ends with `_total`.
    Counter,
    /// A value that goes up and down.
    Gauge,
}

/// A unit, which becomes part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes; the name ends with `_bytes`.
    Bytes,
    /// Seconds; the name ends with `_seconds`.
    Seconds,
}

/// One metric: its name without the service's prefix, the unit and `_total`; and its help text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
}

impl Family {
    /// A metric whose value only grows.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Counter, unit: None }
    }

    /// A metric whose value goes up and down.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Gauge, unit: None }
    }

    /// Sets the unit.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }
}

impl Family {
    fn encode_value(&self, encoder: &mut MetricEncoder<'_>, value: u64) -> Result<(), fmt::Error> {
        match self.kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            Kind::Gauge => encoder.encode_gauge(&value),
        }
    }
}

/// A label: its name and value.
pub type Label = (&'static str, LabelValue);

/// The value of a label: a constant of the program, or a number such as an error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelValue {
    /// A constant of the program.
    Word(&'static str),
    /// A number, such as an error code.
    Number(u16),
}

impl From<&'static str> for LabelValue {
    fn from(word: &'static str) -> Self {
        LabelValue::Word(word)
    }
}

impl From<u16> for LabelValue {
    fn from(number: u16) -> Self {
        LabelValue::Number(number)
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelValue::Word(word) => f.write_str(word),
            LabelValue::Number(number) => write!(f, "{number}"),
        }
    }
}

/// The sums of one scrape.
#[derive(Debug, Default)]
pub struct Samples {
    pub(super) families: BTreeMap<&'static str, (Family, BTreeMap<Vec<Label>, u64>)>,
}

impl Samples {
    /// Adds `value` to the sum of `family` under `labels`. The order of labels is part of their
    /// identity.
    pub fn add(&mut self, family: &Family, labels: &[Label], value: u64) {
        let (_, series) =
            self.families.entry(family.name).or_insert_with(|| (*family, BTreeMap::new()));
        let sum = series.entry(labels.to_vec()).or_insert(0);
        *sum = sum.saturating_add(value);
    }

    /// Adds the number of workers with their packet backend.
    pub fn add_workers(&mut self, backend: Backend, count: usize) {
        self.add(
            &Family::gauge("workers", "Worker threads, by backend"),
            &[("backend", backend.name().into())],
            count as u64,
        );
    }

    /// Adds the counters of a worker's event loop, under the same names for every service.
    pub fn add_loop(&mut self, stats: &Stats) {
        self.add_readings(stats.readings());
    }

    /// Adds counters of `net`, under the same names for every service.
    pub fn add_readings(&mut self, readings: impl Iterator<Item = Reading>) {
        for Reading { family, cause, help, gauge, value } in readings {
            let family =
                if gauge { Family::gauge(family, help) } else { Family::counter(family, help) };
            match cause {
                Some(cause) => self.add(&family, &[("cause", cause.into())], value),
                None => self.add(&family, &[], value),
            }
        }
    }

    fn encode_open_metrics(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (family, series) in self.families.values() {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let unit = family.unit.map(|unit| match unit {
                Unit::Bytes => registry::Unit::Bytes,
                Unit::Seconds => registry::Unit::Seconds,
            });
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            for (labels, value) in series {
                let labels: Vec<(&str, String)> =
                    labels.iter().map(|(name, value)| (*name, value.to_string())).collect();
                // Without labels the family itself is encoded: a metric of it would show empty braces.
                match labels.is_empty() {
                    true => family.encode_value(&mut metric, *value)?,
                    false => family.encode_value(&mut metric.encode_family(&labels)?, *value)?,
                }
            }
        }
        Ok(())
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.encode_open_metrics(&mut encoder)
    }
}
