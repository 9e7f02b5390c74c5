//! turnd's configuration: the keys, and the checked values.
//!
//! [`Schema`] has the keys; [`Config`] has final types. A configuration that would let strangers
//! in, or relay where the operator does not want it, is refused here with the key and the remedy,
//! before a socket is opened (H44).

mod accounting;
mod auth;
mod flags;
mod fleet_key;
mod known_clients;
mod limits;
mod peers;
mod protocol;
mod relay;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod timestamp;

use std::net::SocketAddr;
use std::process::ExitCode;

use causeway_daemon::addresses::Named;
use causeway_daemon::admin::AdminSettings;
use causeway_daemon::config::{self, Listen, Problem, Service};
use causeway_daemon::log::Log;
use causeway_daemon::tls::Tls;
use causeway_daemon::workers::Net;
use causeway_relay::DeniedPeers;

pub(crate) use accounting::Accounting;
pub(crate) use auth::Auth;
pub(crate) use causeway_daemon::config::Advertised as RelayAddress;
pub(crate) use flags::{Flags, Insecure};
pub(crate) use limits::Limits;
pub(crate) use peers::{Peers, Verdict};
pub(crate) use protocol::Protocol;
pub(crate) use relay::Relay;
pub(crate) use schema::Schema;
pub(crate) use store::Store;
#[cfg(test)]
pub(crate) use tests::with as configured;

/// STUN's and TURN's port.
const PORT: u16 = 3478;

/// The port of both over TLS and DTLS.
const SECURE_PORT: u16 = 5349;

/// The parameters of the loader.
pub(crate) const SERVICE: Service =
    Service { name: "turnd", env_prefix: "TURND", default_config: include_str!("default.toml") };

/// A valid configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The realm that users belong to.
    pub(crate) realm: String,
    /// The listeners; never empty, none twice.
    pub(crate) listen: Vec<Listen>,
    /// The addresses and ports to relay from.
    pub(crate) relay: Relay,
    /// The users and secrets that may relay.
    pub(crate) auth: Auth,
    /// The peers that they may reach.
    pub(crate) peers: Peers,
    pub(crate) limits: Limits,
    /// Choices that the protocol leaves to the server.
    pub(crate) protocol: Protocol,
    /// The certificates for TLS and DTLS, if there are any.
    pub(crate) tls: Option<Tls>,
    pub(crate) admin: AdminSettings,
    pub(crate) log: Log,
    /// Workers, buffers and addresses.
    pub(crate) net: Net,
    /// Records of what allocations have used.
    pub(crate) accounting: Accounting,
    /// The store that keeps allocations over a restart, if there is one.
    pub(crate) store: Option<Store>,
    /// The protections that the command line turns off.
    pub(crate) insecure: Insecure,
}

/// Reads the command line and the configuration that it names, and answers `--help`, `--version`,
/// `--check-config` and `--print-default-config`.
///
/// # Errors
/// The exit code, where there is nothing to run.
pub(crate) fn load() -> Result<Config, ExitCode> {
    let flags: Flags = causeway_cli::parse()?;
    let resolve = |schema: Schema| {
        let mut config = schema.resolve(flags.insecure)?;
        match &mut config.store {
            Some(store) => store.take_over = flags.take_over,
            None if flags.take_over => {
                return Err(vec![
                    Problem::new("--take-over", "there is no store, and so no name to take")
                        .hint("set store.url, or leave --take-over out"),
                ]);
            }
            None => {}
        }
        Ok(config)
    };
    config::start(&SERVICE, &flags.common, flags.settings(), resolve, Config::describe)
}

impl Config {
    /// The addresses that this host must have.
    pub(crate) fn addresses(&self) -> Vec<Named> {
        let relays = self
            .relay
            .addresses
            .iter()
            .map(|relay| Named::new("relay.addresses", SocketAddr::new(relay.bound, 0)));
        let admin = self.admin.listen.map(|admin| Named::new("admin.listen", admin));
        Listen::named(&self.listen).chain(relays).chain(admin).collect()
    }

    /// Describes the configuration in a few lines, for `--check-config`.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!("realm {:?}: {}", self.realm, self.auth)];
        lines.extend(self.listen.iter().map(|listen| {
            let transports: Vec<String> =
                listen.transports.iter().map(ToString::to_string).collect();
            format!("listens on {} ({})", listen.address, transports.join(", "))
        }));
        lines.extend(Listen::describe_families(&self.listen));
        lines.extend(self.net.describe_addresses());
        lines.extend(self.tls.iter().flat_map(|tls| tls.describe(&self.listen)));
        lines.extend(self.relay.describe());
        lines.extend(self.auth.describe());
        let denied = match self.peers.denied {
            DeniedPeers::Refuse => "",
            DeniedPeers::Ignore => {
                "; denied peers are ignored: requests for them succeed, and their data is dropped"
            }
        };
        lines.push(format!(
            "peers: {} rules, then the built-in deny list{denied}",
            self.peers.rules.len()
        ));
        lines.push(self.admin.describe());
        lines.push(match &self.store {
            None => "allocations end with the process: no store".into(),
            Some(store) => format!("allocations outlive the process, as node {}", store.node),
        });
        lines.push(format!("{} workers", self.net.workers));
        lines.extend(self.warnings().into_iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    /// Warnings about a valid configuration, for the log at the start and for `--check-config`.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let store = self.store.iter().filter_map(|store| store.warning.clone());
        self.auth
            .warnings()
            .into_iter()
            .chain(store)
            .chain(known_clients::warnings(&self.limits, self.protocol.nonce_lifetime))
            .collect()
    }

    /// The endpoints of this process, which no client may reach through the relay (H5). A wildcard
    /// stands for every address.
    pub(crate) fn own_endpoints(&self) -> Vec<SocketAddr> {
        self.listen.iter().map(|listen| listen.address).chain(self.admin.listen).collect()
    }
}

/// Problems between several sections.
fn across(listen: &[Listen], relay: Option<&Relay>, admin: Option<&AdminSettings>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, one) in listen.iter().enumerate() {
        let address = one.address;
        let key = format!("listen[{index}].address");
        if relay.is_some_and(|relay| relay.ports.contains(&address.port())) {
            let what = format!("port {} is among the relayed ports", address.port());
            problems.push(
                Problem::new(key.clone(), what)
                    .hint("remove it from relay.ports, or use another port"),
            );
        }
        if let Some(admin) = admin.and_then(|admin| admin.clash(one)) {
            let what = format!("{address} conflicts with admin.listen ({admin})");
            problems.push(Problem::new(key, what).hint("give each a port of its own"));
        }
    }
    problems
}
