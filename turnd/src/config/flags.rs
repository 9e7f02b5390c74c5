//! The command line: the most used keys have a flag of their own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use causeway_cli::Unshown;
use causeway_daemon::config::{CommonFlags, Secret, Setting};
use clap::Parser;

/// A TURN relay (RFC 8656) with STUN (RFC 8489).
///
/// Every key of the configuration can be set by file, by environment variable (TURND_RELAY__PORTS
/// is relay.ports), by --set and, for the most used ones, by a flag of its own; each of these goes
/// over the ones before it.
///
/// Exit status: 0 ended as asked, 1 failed, 2 started wrongly.
#[derive(Clone, Debug, Parser)]
#[command(name = "turnd", version)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Where clients come in, over UDP and TCP: listen; repeatable. [default: port 3478 of every
    /// address]
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    /// The realm that users belong to: realm.
    #[arg(long)]
    realm: Option<String>,

    /// A user: auth.users; repeatable. Other people on this host can see it in the list of
    /// processes: prefer a file.
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = Unshown::<UserFlag>::new())]
    user: Vec<UserFlag>,

    /// A file with the secret of the REST credentials: auth.rest_secret_file.
    #[arg(long, value_name = "FILE")]
    rest_secret_file: Option<String>,

    /// An address to relay from: relay.addresses; repeatable. [default: the addresses listened on]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    relay_address: Vec<IpAddr>,

    /// What a relayed address is from outside, behind 1:1 NAT: relay.external; repeatable.
    #[arg(long, value_name = "ADDRESS|BOUND=ADVERTISED", value_delimiter = ',')]
    external_address: Vec<String>,

    /// The ports to relay from: relay.ports.
    #[arg(long, value_name = "FIRST-LAST")]
    relay_ports: Option<String>,

    /// The PEM file of the certificate chain for TLS and DTLS: tls.certificate.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,

    /// The PEM file of its key: tls.key.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,

    /// Takes the name store.node_id from another server although its heartbeat is fresh. That one
    /// goes on without its records.
    #[arg(long)]
    pub(super) take_over: bool,

    #[command(flatten)]
    pub(super) insecure: Insecure,
}

/// The holes that are only opened by name, one flag a hole. No file and no variable opens them.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Insecure {
    /// Allows peers.rules that let clients reach every address, this host's and its network's
    /// included.
    #[arg(long = "insecure-allow-all-peers")]
    pub(crate) allow_all_peers: bool,

    /// Allows listeners on all addresses (0.0.0.0, ::) where the system does not tell which
    /// addresses are this host's: clients can then reach them through the relay.
    #[arg(long = "insecure-wildcard-listeners")]
    pub(crate) wildcard_listeners: bool,
}

impl Flags {
    /// The keys that these flags set.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        let texts = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        if !self.listen.is_empty() {
            let addresses = self.listen.iter().map(ToString::to_string);
            settings.push(Setting::tables("--listen", &["listen"], "address", addresses));
        }
        if let Some(realm) = &self.realm {
            settings.push(Setting::text("--realm", &["realm"], realm));
        }
        for user in &self.user {
            let password = [("password".to_owned(), user.password.expose().to_owned())];
            settings.push(Setting::table("--user", &["auth", "users", &user.name], password));
        }
        let files: [(_, [&str; 2], _); 3] = [
            ("--rest-secret-file", ["auth", "rest_secret_file"], &self.rest_secret_file),
            ("--tls-certificate", ["tls", "certificate"], &self.tls_certificate),
            ("--tls-key", ["tls", "key"], &self.tls_key),
        ];
        for (flag, key, file) in files {
            settings.extend(file.as_ref().map(|file| Setting::text(flag, &key, file)));
        }
        if !self.relay_address.is_empty() {
            settings.push(Setting::list(
                "--relay-address",
                &["relay", "addresses"],
                texts(&self.relay_address),
            ));
        }
        settings.extend(Setting::external(
            "--external-address",
            &["relay", "external"],
            &self.external_address,
        ));
        if let Some(ports) = &self.relay_ports {
            settings.push(Setting::text("--relay-ports", &["relay", "ports"], ports));
        }
        settings
    }
}

/// `NAME:PASSWORD`; the password may hold colons, the name may not.
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
