//! The command line. The most used keys have a flag of their own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use causeway_cli::Unshown;
use causeway_daemon::config::{CommonFlags, Secret, Setting};
use clap::Parser;

/// A TURN relay (RFC 8656) with STUN (RFC 8489).
///
/// Every configuration key can be set in the file, by an environment variable (TURND_RELAY__PORTS
/// is relay.ports) and by --set; the most used keys have a flag of their own. Each of these
/// overrides the ones before it.
///
/// Exit status: 0 stopped as requested, 1 failure, 2 invalid configuration or arguments.
#[derive(Clone, Debug, Parser)]
#[command(name = "turnd", version)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Address and port to serve clients on over UDP and TCP. Repeatable. Key: listen. [default:
    /// port 3478 of every address]
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    /// Realm of the users, usually a domain. Key: realm.
    #[arg(long)]
    realm: Option<String>,

    /// User with a password. Repeatable. Key: auth.users. The list of processes shows it to other
    /// users of this host: prefer a file.
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = Unshown::<UserFlag>::new())]
    user: Vec<UserFlag>,

    /// File with the secret of the REST credentials. Key: auth.rest_secret_file.
    #[arg(long, value_name = "FILE")]
    rest_secret_file: Option<String>,

    /// Address to relay from. Repeatable. Key: relay.addresses. [default: the listen addresses]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    relay_address: Vec<IpAddr>,

    /// External address of a relayed address behind 1:1 NAT. Repeatable. Key: relay.external.
    #[arg(long, value_name = "ADDRESS|BOUND=ADVERTISED", value_delimiter = ',')]
    external_address: Vec<String>,

    /// Ports to relay from. Key: relay.ports.
    #[arg(long, value_name = "FIRST-LAST")]
    relay_ports: Option<String>,

    /// PEM file of the certificate chain for TLS and DTLS. Key: tls.certificate.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,

    /// PEM file of the certificate's private key. Key: tls.key.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,

    /// Take the name store.node_id from another server even if its heartbeat is fresh. That server
    /// continues without its records.
    #[arg(long)]
    pub(super) take_over: bool,

    #[command(flatten)]
    pub(super) insecure: Insecure,
}

/// Protections that only a flag of this name turns off. No file and no variable does.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Insecure {
    /// Accept peers.rules that let clients reach every address, including those of this host and
    /// its network.
    #[arg(long = "insecure-allow-all-peers")]
    pub(crate) allow_all_peers: bool,

    /// Accept listeners on all addresses (0.0.0.0, ::) where the system does not tell which
    /// addresses belong to this host: clients can then reach them through the relay.
    #[arg(long = "insecure-wildcard-listeners")]
    pub(crate) wildcard_listeners: bool,
}

impl Flags {
    /// The keys that these flags set.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let table = [
            Setting::tables("--listen", "listen", "address", &self.listen),
            Setting::text("--realm", "realm", self.realm.as_ref()),
            Setting::text(
                "--rest-secret-file",
                "auth.rest_secret_file",
                self.rest_secret_file.as_ref(),
            ),
            Setting::list("--relay-address", "relay.addresses", &self.relay_address),
            Setting::text("--relay-ports", "relay.ports", self.relay_ports.as_ref()),
            Setting::text("--tls-certificate", "tls.certificate", self.tls_certificate.as_ref()),
            Setting::text("--tls-key", "tls.key", self.tls_key.as_ref()),
        ];
        let user = |user: &UserFlag| {
            let password = ("password", user.password.expose().to_owned());
            Setting::named("--user", "auth.users", &user.name, password)
        };
        let external =
            Setting::external("--external-address", "relay.external", &self.external_address);
        table.into_iter().flatten().chain(self.user.iter().map(user)).chain(external).collect()
    }
}

/// `NAME:PASSWORD`. The password may contain colons; the name may not.
#[derive(Clone)]
struct UserFlag {
    name: String,
    password: Secret,
}

impl FromStr for UserFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                Ok(UserFlag { name: name.into(), password: Secret::new(password) })
            }
            _ => Err("expected NAME:PASSWORD".into()),
        }
    }
}

impl fmt::Debug for UserFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.name)
    }
}
