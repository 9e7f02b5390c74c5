//! `[nat_discovery]`: the second address and port of RFC 5780, and the external addresses of this
//! host.

use std::net::{IpAddr, SocketAddr};

use causeway_daemon::config::values::List;
use causeway_daemon::config::{
    Advertised, External, Listen, Problem, Scope, Transport, mapped_problem,
};
use serde::Deserialize;

/// Default of `alternate_port`. It applies only with an `alternate_address`: without one, a port
/// that is set is a mistake. So it stands here, and a test compares it with `default.toml`.
const ALTERNATE_PORT: u16 = 3479;

/// Default of `alternate_tls_port`, alike.
const ALTERNATE_TLS_PORT: u16 = 5350;

/// The keys of `[nat_discovery]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NatDiscoverySchema {
    alternate_address: List<IpAddr>,
    alternate_port: Option<u16>,
    alternate_tls_port: Option<u16>,
    external: External,
    scope: Option<Scope>,
}

/// Two addresses of one family and two ports: the four endpoints between which RFC 5780 §6.1
/// chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NatDiscovery {
    /// The address and port of the listener: A1 and P1.
    pub(crate) primary: SocketAddr,
    /// The other address and port: A2 and P2. Both differ from the primary ones.
    pub(crate) alternate: SocketAddr,
    /// The transports of each of the four: those of the primary listener.
    pub(crate) transports: Vec<Transport>,
}

/// The external addresses of this host; an address without one is its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outside(Vec<Advertised>);

impl Outside {
    /// The address that clients are told instead of `local`.
    pub(crate) fn of(&self, local: SocketAddr) -> SocketAddr {
        let named = self.0.iter().find(|one| one.bound == local.ip());
        named.map_or(local, |one| SocketAddr::new(one.advertised, local.port()))
    }

    /// A line for each address, for `--check-config`.
    pub(super) fn describe(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|one| format!("{} is seen as {}", one.bound, one.advertised))
    }
}

impl NatDiscovery {
    /// The four endpoints in RFC 5780's order: A1 P1, A1 P2, A2 P1, A2 P2.
    pub(crate) fn endpoints(&self) -> [SocketAddr; 4] {
        let (primary, alternate) = (self.primary, self.alternate);
        let cross = |ip: SocketAddr, port: SocketAddr| SocketAddr::new(ip.ip(), port.port());
        [primary, cross(primary, alternate), cross(alternate, primary), alternate]
    }
}

impl NatDiscoverySchema {
    /// Pairs each alternate address with the listener of its family, and with that of TLS and DTLS
    /// if they have one of their own; and every address with its external one.
    pub(super) fn resolve(
        mut self,
        listen: &[Listen],
    ) -> Result<(Vec<NatDiscovery>, Outside), Vec<Problem>> {
        let (external, scope) = (std::mem::take(&mut self.external), self.scope);
        if self.alternate_address.0.is_empty() && scope.is_some() {
            let what = "there is no second address, so clients are told no addresses";
            return Err(vec![
                Problem::new("nat_discovery.scope", what)
                    .hint("set nat_discovery.alternate_address, or leave the scope out"),
            ]);
        }
        let pairs = self.pairs(listen)?;
        let outside = outside(external, listen, &pairs)?;
        let problems: Vec<Problem> = match scope.unwrap_or(Scope::Public) {
            Scope::Public => told(&pairs).filter_map(|ip| private_problem(ip, &outside)).collect(),
            Scope::Private => Vec::new(),
        };
        if problems.is_empty() { Ok((pairs, outside)) } else { Err(problems) }
    }

    fn pairs(self, listen: &[Listen]) -> Result<Vec<NatDiscovery>, Vec<Problem>> {
        let addresses = &self.alternate_address.0;
        let ports = [(Group::Plain, self.alternate_port), (Group::Secure, self.alternate_tls_port)];
        if addresses.is_empty()
            && let Some((group, _)) = ports.iter().find(|(_, port)| port.is_some())
        {
            let what = "there is a second port but no second address, and RFC 5780 §6 needs both";
            let hint = "set nat_discovery.alternate_address, or leave the port out";
            return Err(vec![Problem::new(group.port_key(), what).hint(hint)]);
        }
        let mut pairs: Vec<NatDiscovery> = Vec::new();
        let mut problems = Vec::new();
        for (index, &ip) in addresses.iter().enumerate() {
            if addresses[..index].iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
                let what = format!("{ip} is the second address of its family");
                problems.push(
                    Problem::new("nat_discovery.alternate_address", what)
                        .hint("name one per family"),
                );
                continue;
            }
            match of_family(ip, ports, listen) {
                Ok(found) => pairs.extend(found),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(pairs) } else { Err(problems) }
    }
}

/// The addresses of this host that NAT discovery tells clients, each once.
fn told(pairs: &[NatDiscovery]) -> impl Iterator<Item = IpAddr> {
    let mut all: Vec<IpAddr> =
        pairs.iter().flat_map(|pair| [pair.primary.ip(), pair.alternate.ip()]).collect();
    all.sort();
    all.dedup();
    all.into_iter()
}

/// Pairs the addresses of listeners and pairs with their external ones. A wildcard listener may
/// have any address of its family.
fn outside(
    external: External,
    listen: &[Listen],
    pairs: &[NatDiscovery],
) -> Result<Outside, Vec<Problem>> {
    let mut bound: Vec<IpAddr> = listen
        .iter()
        .map(|listen| listen.address.ip())
        .filter(|ip| !ip.is_unspecified())
        .chain(told(pairs))
        .collect();
    if let External::Each(outer) = &external {
        let everywhere = |ip: &IpAddr| {
            listen.iter().any(|listen| {
                listen.address.ip().is_unspecified() && listen.address.is_ipv4() == ip.is_ipv4()
            })
        };
        bound.extend(outer.keys().copied().filter(everywhere));
    }
    bound.sort();
    bound.dedup();
    let all = external.pair("nat_discovery.external", "the addresses of listen", &bound)?;
    Ok(Outside(all.into_iter().filter(|one| one.bound != one.advertised).collect()))
}

/// The problem of an address that the Internet cannot reach, but that clients are told (H44).
fn private_problem(bound: IpAddr, outside: &Outside) -> Option<Problem> {
    let advertised = outside.of(SocketAddr::new(bound, 0)).ip();
    let one = Advertised { bound, advertised };
    let what = format!(
        "{advertised} ({}) cannot be reached from the Internet, but clients would be told it",
        one.private_range()?
    );
    Some(match bound == advertised {
        true => {
            let hint = "behind 1:1 NAT name the external addresses (--external-address 10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.8); \
                        in a private network set nat_discovery.scope = \"private\"";
            Problem::new("nat_discovery.alternate_address", what).hint(hint)
        }
        false => Problem::new("nat_discovery.external", what)
            .hint("name the external address, or set nat_discovery.scope = \"private\""),
    })
}

/// Listeners by their transports. "TCP and TCP/TLS MUST use different ports" (RFC 5780 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// UDP or TCP, possibly with TLS or DTLS.
    Plain,
    /// Only TLS and DTLS.
    Secure,
}

impl Group {
    fn of(listen: &Listen) -> Self {
        if listen.transports.iter().all(|transport| transport.is_secure()) {
            Group::Secure
        } else {
            Group::Plain
        }
    }

    fn port_key(self) -> &'static str {
        match self {
            Group::Plain => "nat_discovery.alternate_port",
            Group::Secure => "nat_discovery.alternate_tls_port",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Group::Plain => ALTERNATE_PORT,
            Group::Secure => ALTERNATE_TLS_PORT,
        }
    }
}

/// The pairs of one alternate address.
fn of_family(
    ip: IpAddr,
    ports: [(Group, Option<u16>); 2],
    listen: &[Listen],
) -> Result<Vec<NatDiscovery>, Problem> {
    let problem = |what: String| Problem::new("nat_discovery.alternate_address", what);
    if let Some(mapped) = mapped_problem("nat_discovery.alternate_address", ip) {
        return Err(mapped);
    }
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(problem(format!("{ip} is not an address of a host"))
            .hint("name a second address of this host"));
    }
    let family = || listen.iter().filter(|listen| listen.address.is_ipv4() == ip.is_ipv4());
    let mut pairs: Vec<NatDiscovery> = Vec::new();
    for (group, port) in ports {
        let mut listeners = family().filter(|listen| Group::of(listen) == group);
        match (listeners.next(), listeners.next()) {
            (None, _) => {}
            (Some(primary), None) => pairs.push(pair(ip, group, port, primary)?),
            (Some(_), Some(_)) => {
                let what = format!(
                    "there are several addresses of listen of the family of {ip}, and one must be the \
                     primary address"
                );
                return Err(problem(what)
                    .hint("keep one [[listen]] of that family, and one for TLS and DTLS"));
            }
        }
    }
    match &pairs[..] {
        [] => {
            let what = format!("there is no listener of the family of {ip}");
            Err(problem(what).hint("listen on the primary address: --listen ADDRESS:3478"))
        }
        [one, other]
            if one.endpoints().iter().any(|endpoint| other.endpoints().contains(endpoint)) =>
        {
            let what = format!("{} and {} would share a port", one.alternate, other.alternate);
            Err(Problem::new(Group::Secure.port_key(), what)
                .hint("give each of the four a port of its own"))
        }
        _ => Ok(pairs),
    }
}

/// Pairs one listener with its alternate.
fn pair(
    ip: IpAddr,
    group: Group,
    port: Option<u16>,
    primary: &Listen,
) -> Result<NatDiscovery, Problem> {
    let problem = |what: String| Problem::new("nat_discovery.alternate_address", what);
    let address = primary.address;
    let port = port.unwrap_or(group.default_port());
    if address.ip().is_unspecified() {
        let what = format!(
            "it needs a primary address, and {} is every address of the host",
            address.ip()
        );
        return Err(problem(what).hint("listen on the primary address: --listen ADDRESS:3478"));
    }
    if address.ip() == ip {
        return Err(problem(format!("{ip} is the primary address"))
            .hint("name a second address of this host"));
    }
    if primary.has(Transport::Tcp) && primary.has(Transport::Tls) {
        let what = format!("TCP and TLS share {address}, and RFC 5780 §6 wants different ports");
        return Err(problem(what).hint("give TLS and DTLS a [[listen]] of their own: port 5349"));
    }
    if !primary.proxy_protocol.trusted.is_empty() {
        let what = format!(
            "{address} is reached through proxies, and responses from other addresses would bypass them"
        );
        return Err(problem(what).hint("leave proxy_protocol or the alternate address out"));
    }
    if port == 0 || port == address.port() {
        let what = format!("{port} must differ from 0 and from the primary port");
        return Err(Problem::new(group.port_key(), what)
            .hint(format!("write another port, such as {}", group.default_port())));
    }
    Ok(NatDiscovery {
        primary: address,
        alternate: SocketAddr::new(ip, port),
        transports: primary.transports.clone(),
    })
}
