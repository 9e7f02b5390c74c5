//! How servers are found and reached: the options of every subcommand that talks to servers, and
//! what they lead to.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use causeway_client::{Failure, Timing};
use causeway_wire::Transport;

use crate::arguments::name_server;
use crate::discovery::{
    Choice, Discovered, DiscoveryError, Dns, Endpoint, Families, discover, discover_local, race,
};
use crate::output::{self, complain};
use crate::probe::{ProbeError, binding};
use crate::redact::Kind;
use crate::transport::connection::Connection;
use crate::transport::http::BaseUrl;
use crate::transport::proxies::Proxies;
use crate::transport::proxy::HttpProxy;
use crate::transport::target::Target;
use crate::transport::{OpenError, Trust, TrustArgs, Usage};
use crate::uri::ServerUri;

/// Stands for the address of a server whose name only the proxy can resolve.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The command-line options of every subcommand that speaks with servers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReachArgs {
    /// Which certificates are trusted over TLS and DTLS.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Use this transport only: `udp` or `tcp`, or `tls` or `dtls` with stuns: and turns: URIs.
    #[arg(long, value_name = "TRANSPORT")]
    pub transport: Option<Transport>,
    /// Use IPv4 addresses of servers only.
    #[arg(short = '4', long = "ipv4", conflicts_with = "v6")]
    pub v4: bool,
    /// Use IPv6 addresses of servers only.
    #[arg(short = '6', long = "ipv6")]
    pub v6: bool,
    /// Use this name server instead of the system's.
    #[arg(long, value_name = "IP[:PORT]", value_parser = name_server)]
    pub nameserver: Option<SocketAddr>,
    /// HTTP proxy for TCP and TLS, `http://[USER:PASSWORD@]HOST:PORT`. The default is $https_proxy
    /// or $all_proxy, except for hosts in $no_proxy. Set a proxy with a password in the
    /// environment, where other users cannot read it.
    // Parsed in `load`, since clap's errors would repeat the value.
    #[arg(long, value_name = "URL", env = "ICE_AGENT_PROXY", hide_env_values = true)]
    pub proxy: Option<String>,
    /// Use no proxy, even if the environment names one.
    // Does not conflict with `--proxy`, which clap takes as given when its variable is set.
    #[arg(long)]
    pub no_proxy: bool,
    /// Replace addresses, names of hosts and users, and file paths in all output by placeholders,
    /// so that the report can be shared. The link that `connect` prints for the other side stays
    /// unchanged.
    #[arg(long)]
    pub redact: bool,
}

impl ReachArgs {
    /// Turns redaction on if `--redact` was given, and registers the names in these options.
    pub fn learn(&self) {
        if !self.redact {
            return;
        }
        output::redact();
        if let Some(name) = &self.trust.server_name {
            output::learn(Kind::Host, name);
        }
        for file in &self.trust.ca {
            output::learn(Kind::File, &file.display().to_string());
        }
        if let Some(proxy) = self.proxy.as_ref().and_then(|proxy| proxy.parse::<HttpProxy>().ok()) {
            output::learn(Kind::Host, &proxy.host);
        }
    }

    /// Reads the files and variables that the options name.
    ///
    /// # Errors
    /// A file cannot be read, or the environment names an invalid proxy.
    pub fn load(&self) -> anyhow::Result<Reach> {
        let families = match (self.v4, self.v6) {
            (true, _) => Families::V4,
            (_, true) => Families::V6,
            _ => Families::Both,
        };
        // An empty option counts as none.
        let proxies = match self.proxy.as_deref().map(str::trim).filter(|proxy| !proxy.is_empty()) {
            _ if self.no_proxy => Proxies::never(),
            Some(proxy) => Proxies::always(
                proxy.parse::<HttpProxy>().context("--proxy (or $ICE_AGENT_PROXY)")?,
            ),
            // A server on this host is not behind the environment's proxy, only behind `--proxy`.
            None => Proxies::from_environment()?.except_loopback(),
        };
        if let Some(note) = proxies.note() {
            complain(note);
        }
        Ok(Reach {
            dns: self.nameserver.map_or_else(Dns::system, Dns::at),
            choice: Choice {
                transport: self.transport,
                families,
                names_server: self.trust.server_name.is_some(),
                nat_behaviour: false,
            },
            proxies,
            trust: self.trust.load()?,
        })
    }
}

/// How servers are found and reached.
#[derive(Debug)]
pub struct Reach {
    dns: Dns,
    choice: Choice,
    proxies: Proxies,
    trust: Trust,
}

impl Reach {
    /// Which certificates are trusted.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The transports and families that the options allow.
    #[must_use]
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Finds the server's addresses. A network whose only way out is a proxy often cannot resolve
    /// outside names; then the proxy resolves the host, with the default port if the URI names
    /// none.
    ///
    /// # Errors
    /// No address to try.
    pub async fn discover(&self, uri: &ServerUri) -> Result<Discovered, DiscoveryError> {
        let found = discover(uri, &self.choice, &self.dns).await;
        let is_unknown_here =
            matches!(found, Err(DiscoveryError::NoAddress(_) | DiscoveryError::Dns(_)));
        match self.behind_proxy(uri) {
            Some(behind) if is_unknown_here => Ok(behind),
            _ => found,
        }
    }

    /// The endpoint whose name the proxy resolves; `None` without a proxy for that name, and for
    /// UDP and DTLS.
    fn behind_proxy(&self, uri: &ServerUri) -> Option<Discovered> {
        let name = uri.host.name()?;
        let transport = if uri.secure { Transport::Tls } else { Transport::Tcp };
        let is_chosen = |choice: Option<Transport>| choice.is_none_or(|choice| choice == transport);
        if !is_chosen(self.choice.transport) || !is_chosen(uri.transport()) {
            return None;
        }
        let port = uri.port.unwrap_or(ServerUri::default_port(transport));
        self.proxies.to(SocketAddr::new(ELSEWHERE, port), Some(name))?;
        let via = Some(format!("{name}, resolved by the proxy"));
        Some(Discovered {
            endpoints: vec![Endpoint {
                transport,
                addresses: vec![SocketAddr::new(ELSEWHERE, port)],
                via,
            }],
            notes: Vec::new(),
            late: None,
        })
    }

    /// The proxy for a web server. Plain HTTP does not use one: proxies open tunnels for `https`
    /// only.
    #[must_use]
    pub fn proxy_to_web(&self, base: &BaseUrl) -> Option<HttpProxy> {
        let host = base.host();
        if !base.is_secure() || host.eq_ignore_ascii_case("localhost") {
            return None;
        }
        let ip = host.parse::<IpAddr>();
        let name = ip.is_err().then_some(host);
        self.proxies.to(SocketAddr::new(ip.unwrap_or(ELSEWHERE), base.port()), name).cloned()
    }

    /// Finds the TURN servers of this network; `domain` is the one that this host is in.
    ///
    /// # Errors
    /// No address to try.
    pub async fn discover_local(&self, domain: Option<&str>) -> Result<Discovered, DiscoveryError> {
        discover_local(domain, &self.choice, &self.dns).await
    }

    /// Like [`discover`](Self::discover), with other transports and families, and without a proxy.
    ///
    /// # Errors
    /// No address to try.
    pub async fn discover_choosing(
        &self,
        uri: &ServerUri,
        choice: &Choice,
    ) -> Result<Discovered, DiscoveryError> {
        discover(uri, choice, &self.dns).await
    }

    /// The addresses of the family whose DNS answer came late, to try when the others failed;
    /// `None` if there are none.
    pub async fn discover_late(
        &self,
        uri: &ServerUri,
        discovered: &Discovered,
    ) -> Option<Discovered> {
        self.discover_choosing(uri, &self.choice.only(discovered.late?)).await.ok()
    }

    /// The target for one address of the server. Its certificate must have the name in the URI,
    /// wherever SRV records lead: "using the value of the `<host>` parameter as the identity of the
    /// server to be verified" (RFC 5928 §5). `--server-name` overrides that name.
    #[must_use]
    pub fn target(&self, uri: &ServerUri, transport: Transport, address: SocketAddr) -> Target {
        let name = uri.host.name().map(|name| name.trim_end_matches('.'));
        let mut proxy = match transport {
            Transport::Tcp | Transport::Tls => self.proxies.to(address, name).cloned(),
            Transport::Udp | Transport::Dtls => None,
        };
        if let Some(proxy) = proxy.as_mut().filter(|_| address.ip() == ELSEWHERE) {
            proxy.resolves = name.map(str::to_owned);
        }
        Target {
            transport,
            address,
            server_name: self.trust.server_name().or(name).map(str::to_owned),
            proxy,
        }
    }

    /// Orders the endpoint's addresses, the one that answers first in front, and returns those that
    /// failed with their errors. Several addresses are tried with staggered starts (RFC 8305 §5):
    /// over TCP, TLS and DTLS the first connection wins, over UDP the first answer to a Binding
    /// request, "try the requests with all the IP addresses received" (RFC 8489 §8.1).
    pub async fn nearest(
        &self,
        uri: &ServerUri,
        endpoint: &Endpoint,
        usage: Usage,
        timing: Timing,
    ) -> (Vec<Target>, Vec<(Target, OpenError)>) {
        let mut targets: Vec<Target> = endpoint
            .addresses
            .iter()
            .map(|address| self.target(uri, endpoint.transport, *address))
            .collect();
        if targets.len() < 2 {
            return (targets, Vec::new());
        }
        let raced = race(&targets, |target: Target| async move {
            let mut connection = Connection::open(&target, usage, &self.trust).await?;
            if target.transport == Transport::Udp {
                answers(&mut connection, &target, timing).await?;
            }
            Ok(())
        });
        match raced.await {
            Ok(won) => {
                targets.retain(|target| {
                    *target != won.with && won.failed.iter().all(|(failed, _)| failed != target)
                });
                targets.insert(0, won.with);
                (targets, won.failed)
            }
            // Some TURN servers do not answer Binding requests, so silence over UDP excludes no
            // address.
            Err(_) if endpoint.transport == Transport::Udp => (targets, Vec::new()),
            // Keep one, so that the step which uses it reports the error.
            Err(mut failed) => {
                targets.truncate(1);
                failed.retain(|(target, _)| !targets.contains(target));
                (targets, failed)
            }
        }
    }
}

/// Succeeds if a STUN server answers at the target, even with an error response.
async fn answers(
    connection: &mut Connection,
    target: &Target,
    timing: Timing,
) -> Result<(), OpenError> {
    match binding(connection, target.address, target.transport, timing).await {
        Ok(_) | Err(ProbeError::Failed(Failure::Refused(_))) => Ok(()),
        Err(ProbeError::Socket(error)) => Err(error.into()),
        Err(ProbeError::Failed(Failure::TimedOut)) => {
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, Failure::TimedOut.to_string())
                .into())
        }
        Err(error) => Err(std::io::Error::other(error.to_string()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_has_the_name_of_the_uri() {
        let reach = ReachArgs { no_proxy: true, ..ReachArgs::default() }.load().unwrap();
        let address = "192.0.2.1:5349".parse().unwrap();
        let target = reach.target(&"turns:Example.org.".parse().unwrap(), Transport::Tls, address);
        assert_eq!((target.server_name.as_deref(), target.proxy), (Some("example.org"), None));
        assert_eq!(
            reach.target(&"turns:192.0.2.1".parse().unwrap(), Transport::Tls, address).server_name,
            None
        );
    }

    #[test]
    fn a_proxy_that_is_none_is_refused_without_its_password() {
        let args =
            ReachArgs { proxy: Some("http://anna:s3cret@h:port".into()), ..ReachArgs::default() };
        let error = format!("{:#}", args.load().unwrap_err());
        assert!(error.contains("--proxy") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_web_server_is_behind_the_proxy_if_it_is_secure() {
        let reach =
            ReachArgs { proxy: Some("http://p:1".into()), ..ReachArgs::default() }.load().unwrap();
        let through = |url: &str| reach.proxy_to_web(&url.parse().unwrap()).is_some();
        assert!(through("https://example.org/meet") && through("https://192.0.2.1"));
        assert!(!through("http://example.org") && !through("https://localhost:8443"));
    }

    #[test]
    fn a_proxy_is_for_connections_only() {
        let args = ReachArgs { proxy: Some("http://p:1".into()), ..ReachArgs::default() };
        let reach = args.load().unwrap();
        let uri: ServerUri = "turn:example.org".parse().unwrap();
        for (transport, through) in [
            (Transport::Udp, false),
            (Transport::Dtls, false),
            (Transport::Tcp, true),
            (Transport::Tls, true),
        ] {
            let target = reach.target(&uri, transport, "192.0.2.1:3478".parse().unwrap());
            assert_eq!(target.proxy.is_some(), through, "{transport}");
        }
    }
}
