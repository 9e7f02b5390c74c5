//! What `turnd` counts, as its `/metrics` says.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{LabError, Namespace, Process, binary};

const PATIENCE: Duration = Duration::from_secs(10);

/// The text of one scrape.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Asks the service that listens at `address` inside `namespace`.
    ///
    /// # Errors
    /// [`LabError`] when it does not tell.
    pub fn read(namespace: &Namespace, address: SocketAddr) -> Result<Self, LabError> {
        let mut command = namespace.command(binary("lab-probe")?);
        command.args(["metrics", &address.to_string()]);
        Ok(Self(Process::start("lab-probe metrics", command)?.finish(PATIENCE)?.success()?))
    }

    /// The sum of the samples of this name that have all of these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let wanted: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let samples = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']));
        let matching = samples.filter(|rest| wanted.iter().all(|label| rest.contains(label)));
        matching
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .map(|value| value as u64)
            .sum()
    }

    /// Datagrams relayed from clients of this transport to peers, and from peers to them.
    #[must_use]
    pub fn relayed(&self, transport: &str) -> [u64; 2] {
        ["to_peer", "to_client"].map(|direction| {
            self.sum(
                "turnd_relayed_packets_total",
                &[("direction", direction), ("transport", transport)],
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_their_labels() {
        let text = "# TYPE a counter\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"1\",y=\"3\"} 4\n\
                    a_total{x=\"2\"} 5\na_total_more 9\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.sum("a_total", &[("x", "1")]), 7);
        assert_eq!(metrics.sum("a_total", &[]), 12);
    }
}
