//! stund's configuration: the keys, and the checked values.

mod flags;
mod limits;
mod nat_discovery;
mod schema;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use causeway_daemon::addresses::Named;
use causeway_daemon::admin::AdminSettings;
use causeway_daemon::config::{self, Listen, Service};
use causeway_daemon::log::Log;
use causeway_daemon::tls::Tls;
use causeway_daemon::workers::Net;

pub(crate) use limits::Limits;
pub(crate) use nat_discovery::{NatDiscovery, Outside};

use flags::Flags;
use schema::Schema;

/// STUN's port.
const PORT: u16 = 3478;

/// STUN's port over TLS and DTLS.
const SECURE_PORT: u16 = 5349;

/// The parameters of the loader.
const SERVICE: Service =
    Service { name: "stund", env_prefix: "STUND", default_config: include_str!("default.toml") };

/// A valid configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The listeners; never empty, none twice.
    pub(crate) listen: Vec<Listen>,
    /// NAT discovery (RFC 5780): an entry for each listener of a family that has an alternate
    /// address. Its [`NatDiscovery::primary`] is one of `listen`; the server also binds its other
    /// three endpoints.
    pub(crate) nat_discovery: Vec<NatDiscovery>,
    /// The external addresses that clients are told instead of this host's own ones.
    pub(crate) outside: Outside,
    pub(crate) limits: Limits,
    /// The certificates for TLS and DTLS, if there are any.
    pub(crate) tls: Option<Tls>,
    pub(crate) admin: AdminSettings,
    pub(crate) log: Log,
    /// Workers, buffers and addresses.
    pub(crate) net: Net,
}

/// Reads the command line and the configuration that it names, and answers `--help`, `--version`,
/// `--check-config` and `--print-default-config`.
///
/// # Errors
/// The exit code, where there is nothing to run.
pub(crate) fn load() -> Result<Config, ExitCode> {
    let flags: Flags = causeway_cli::parse()?;
    config::start(&SERVICE, &flags.common, flags.settings(), Schema::resolve, Config::describe)
}

impl Config {
    /// The addresses that this host must have.
    pub(crate) fn addresses(&self) -> Vec<Named> {
        let admin = self.admin.listen.map(|admin| Named::new("admin.listen", admin));
        let alternates = self
            .nat_discovery
            .iter()
            .map(|pair| Named::new("nat_discovery.alternate_address", pair.alternate));
        Listen::named(&self.listen).chain(alternates).chain(admin).collect()
    }

    /// Describes the configuration in a few lines, for `--check-config`.
    fn describe(&self) -> Vec<String> {
        let transports = |listen: &Listen| {
            listen.transports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let mut lines: Vec<String> = self
            .listen
            .iter()
            .map(|listen| format!("listens on {} ({})", listen.address, transports(listen)))
            .collect();
        lines.extend(Listen::describe_families(&self.listen));
        lines.extend(self.net.describe_addresses());
        lines.extend(
            self.nat_discovery.iter().map(|pair| {
                format!("NAT discovery between {} and {}", pair.primary, pair.alternate)
            }),
        );
        lines.extend(self.outside.describe());
        lines.extend(self.tls.iter().flat_map(|tls| tls.describe(&self.listen)));
        lines.push(self.admin.describe());
        lines.push(format!("{} workers", self.net.workers));
        lines
    }
}
