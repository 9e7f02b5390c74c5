//! Metrics as OpenMetrics or classic Prometheus text: a scrape sums the counters that each worker
//! keeps for itself.
//!
//! A worker increments a plain counter in its own shard; workers share nothing on the path of a
//! packet. A scrape calls each registered source, which adds the values of its shards to
//! [`Samples`]; values with equal labels are summed.
//!
//! Names start with the service's name (`turnd_…`, `stund_…`) and end with the unit (`_bytes`,
//! `_seconds`) and, for counters, `_total`. The value of a label is a constant of the program or a
//! number, never a user, an address or a realm, so that the program text bounds the number of
//! series.

mod classic;
mod format;
mod samples;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::registry;

use crate::log::RefusalReason;

pub use format::Format;
pub use samples::{Family, Kind, Label, LabelValue, Samples, Unit};

const BUILD_INFO: Family =
    Family::gauge("build_info", "The running version; the value is always 1");
const START_TIME: Family =
    Family::gauge("start_time", "When the process started, since 1970").unit(Unit::Seconds);
const LOG_DROPPED: Family =
    Family::counter("log_lines_dropped", "Log lines dropped: their reader was too slow");
const AUTH_SUPPRESSED: Family = Family::counter(
    "auth_failure_lines_suppressed",
    "Authentication failures that were counted but not logged",
);
const REFUSALS: Family = Family::counter(
    "refusals",
    "Refusals that an operator may have to act on, by reason; the log names the sources",
);

/// A function that adds samples of a shard, or of something shared, to a scrape. It is called on
/// the control side while the workers run, and so reads atomics.
pub type Source = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// The metrics of one service.
#[derive(Clone)]
pub struct Registry {
    service: &'static str,
    sources: Arc<[Source]>,
}

impl Registry {
    /// A registry of metrics named after `service`. `sources` add their samples at each scrape.
    pub fn new(service: &'static str, version: &'static str, sources: Vec<Source>) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let own = move |samples: &mut Samples| {
            samples.add(&BUILD_INFO, &[("version", version.into())], 1);
            samples.add(&START_TIME, &[], started);
            samples.add(&LOG_DROPPED, &[], crate::log::lines_dropped());
            // Absent until the first one: a service without users has no such lines.
            match crate::log::auth_failures_suppressed() {
                0 => {}
                suppressed => samples.add(&AUTH_SUPPRESSED, &[], suppressed),
            }
            for reason in RefusalReason::ALL.into_iter().filter(|reason| reason.is_of(service)) {
                samples.add(&REFUSALS, &[("reason", reason.name().into())], reason.count());
            }
        };
        let own: Source = Box::new(own);
        Registry { service, sources: std::iter::once(own).chain(sources).collect() }
    }

    /// The text of a scrape.
    ///
    /// # Errors
    /// The text encoder has none today, but its interface allows one.
    pub fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        let mut samples = Samples::default();
        self.sources.iter().for_each(|source| source(&mut samples));
        let mut text = String::new();
        match format {
            Format::Classic => samples.encode_classic(self.service, &mut text)?,
            Format::OpenMetrics => {
                let mut registry = registry::Registry::with_prefix(self.service);
                registry.register_collector(Box::new(samples));
                prometheus_client::encoding::text::encode(&mut text, &registry)?;
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Family = Family::counter("relayed", "Bytes relayed").unit(Unit::Bytes);
    const ALLOCATIONS: Family = Family::gauge("allocations", "Allocations that live");

    #[test]
    fn shards_are_summed_and_names_carry_their_units() {
        let shard = |to_peer: u64| {
            Box::new(move |samples: &mut Samples| {
                samples.add(&BYTES, &[("direction", "to_peer".into())], to_peer);
                samples.add(&BYTES, &[("direction", "to_client".into())], 1);
                samples.add(&ALLOCATIONS, &[("family", 4u16.into())], 2);
            }) as Source
        };
        let text = Registry::new("turnd", "0.1.0", vec![shard(10), shard(32)])
            .encode(Format::OpenMetrics)
            .unwrap();
        for line in [
            "# TYPE turnd_relayed_bytes counter",
            "# UNIT turnd_relayed_bytes bytes",
            "turnd_relayed_bytes_total{direction=\"to_peer\"} 42",
            "turnd_relayed_bytes_total{direction=\"to_client\"} 2",
            "turnd_allocations{family=\"4\"} 4",
            "turnd_build_info{version=\"0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
