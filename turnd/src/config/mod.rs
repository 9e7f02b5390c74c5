//! turnd's configuration: the keys, and what they mean once they are good.
//!
//! [`Schema`] is the text's shape; [`Config`] holds final types. Whatever could let strangers in,
//! or relay where nobody wants it, is refused here with the key and the remedy, before a socket is
//! opened (H44).

mod accounting;
mod auth;
mod flags;
mod fleet_key;
#[cfg(test)]
mod input_tests;
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

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
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
pub(crate) use protocol::{ChannelNumbers, Protocol};
pub(crate) use relay::Relay;
pub(crate) use schema::Schema;
pub(crate) use store::Store;
#[cfg(test)]
pub(crate) use tests::with as configured;

/// STUN's and TURN's port.
const PORT: u16 = 3478;

/// The port of both over TLS and DTLS.
const SECURE_PORT: u16 = 5349;

/// Where the admin listener is unless said otherwise.
const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9641));

/// What the loader needs to know of this service.
pub(crate) const SERVICE: Service =
    Service { name: "turnd", env_prefix: "TURND", default_config: include_str!("default.toml") };

/// A configuration that is good to run with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The realm that users belong to.
    pub(crate) realm: String,
    /// Where clients come in; never empty, none twice.
    pub(crate) listen: Vec<Listen>,
    /// Where relayed addresses come from.
    pub(crate) relay: Relay,
    /// Who may relay.
    pub(crate) auth: Auth,
    /// Whom they may reach.
    pub(crate) peers: Peers,
    /// How much of everything.
    pub(crate) limits: Limits,
    /// Choices that the protocol leaves to the server.
    pub(crate) protocol: Protocol,
    /// The certificates that clients see over TLS and DTLS, if there are any.
    pub(crate) tls: Option<Tls>,
    /// The admin listener.
    pub(crate) admin: AdminSettings,
    /// Logging.
    pub(crate) log: Log,
    /// Workers and buffers.
    pub(crate) net: Net,
    /// Accounts of what allocations have used.
    pub(crate) accounting: Accounting,
    /// What outlives the process, if anything does.
    pub(crate) store: Option<Store>,
    /// The holes that the command line opens.
    pub(crate) insecure: Insecure,
}

/// Reads the command line and all that it names, and answers `--help`, `--version`,
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
                    Problem::new("--take-over", "there is no store that holds a name")
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
    /// The addresses that must be this host's.
    pub(crate) fn addresses(&self) -> Vec<Named> {
        let relays = self
            .relay
            .addresses
            .iter()
            .map(|relay| Named::new("relay.addresses", SocketAddr::new(relay.bound, 0)));
        let admin = self.admin.listen.map(|admin| Named::new("admin.listen", admin));
        Listen::named(&self.listen).chain(relays).chain(admin).collect()
    }

    /// What it means, in a few lines for `--check-config`.
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
                "; denied peers are ignored: requests for them succeed, and nothing is sent to them or taken from them"
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

    /// What the log says at the start, and `--check-config`: the configuration is good, but not
    /// what one wants.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let store = self.store.iter().filter_map(|store| store.warning.clone());
        self.auth
            .warnings()
            .into_iter()
            .chain(store)
            .chain(known_clients::warnings(&self.limits, self.protocol.nonce_lifetime))
            .collect()
    }

    /// The endpoints of this process that no client may reach through it (H5); a wildcard stands
    /// for every address.
    pub(crate) fn own_endpoints(&self) -> Vec<SocketAddr> {
        self.listen.iter().map(|listen| listen.address).chain(self.admin.listen).collect()
    }
}

/// Problems that concern several sections.
fn across(listen: &[Listen], relay: Option<&Relay>, admin: Option<&AdminSettings>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, one) in listen.iter().enumerate() {
        let address = one.address;
        let key = format!("listen[{index}].address");
        if relay.is_some_and(|relay| relay.ports.contains(&address.port())) {
            let what = format!("port {} lies among the relayed ports", address.port());
            problems.push(
                Problem::new(key.clone(), what)
                    .hint("take it out of relay.ports, or listen elsewhere"),
            );
        }
        if let Some(admin) = admin.and_then(|admin| admin.clash(one)) {
            let what = format!("{address} takes the port of admin.listen ({admin}), too");
            problems.push(Problem::new(key, what).hint("give each a port of its own"));
        }
    }
    problems
}
