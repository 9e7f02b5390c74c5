//! `[nat_discovery]`: the second address and port of RFC 5780.

use std::net::{IpAddr, SocketAddr};

use causeway_daemon::config::values::List;
use causeway_daemon::config::{Listen, Problem, Transport};
use serde::Deserialize;

/// The alternate port unless said otherwise.
const ALTERNATE_PORT: u16 = 3479;

/// The keys of `[nat_discovery]`, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NatDiscoverySchema {
    alternate_address: List<IpAddr>,
    alternate_port: Option<u16>,
}

/// Two addresses of one family and two ports: the four endpoints between which RFC 5780 §6.1 chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NatDiscovery {
    /// The address and port listened on by name: A1 and P1.
    pub(crate) primary: SocketAddr,
    /// The other address and port: A2 and P2. Both differ from the primary ones.
    pub(crate) alternate: SocketAddr,
    /// What each of the four is bound for: the primary listener's transports.
    pub(crate) transports: Vec<Transport>,
}

impl NatDiscovery {
    /// A1 P1, A1 P2, A2 P1, A2 P2.
    pub(crate) fn endpoints(&self) -> [SocketAddr; 4] {
        let (primary, alternate) = (self.primary, self.alternate);
        let cross = |ip: SocketAddr, port: SocketAddr| SocketAddr::new(ip.ip(), port.port());
        [primary, cross(primary, alternate), cross(alternate, primary), alternate]
    }
}

impl NatDiscoverySchema {
    /// Pairs each alternate address with the one listener of its family.
    pub(super) fn resolve(self, listen: &[Listen]) -> Result<Vec<NatDiscovery>, Vec<Problem>> {
        let addresses = self.alternate_address.0;
        if addresses.is_empty() && self.alternate_port.is_some() {
            let what = "there is a second port but no second address, and RFC 5780 §6 needs both";
            let hint = "set nat_discovery.alternate_address, or leave the port out";
            return Err(vec![Problem::new("nat_discovery.alternate_port", what).hint(hint)]);
        }
        let port = self.alternate_port.unwrap_or(ALTERNATE_PORT);
        let mut pairs = Vec::new();
        let mut problems = Vec::new();
        for (index, &ip) in addresses.iter().enumerate() {
            if addresses[..index].iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
                let what = format!("{ip} is a second one of its family");
                problems.push(Problem::new("nat_discovery.alternate_address", what).hint("name one a family"));
                continue;
            }
            match pair(SocketAddr::new(ip, port), listen) {
                Ok(pair) => pairs.push(pair),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(pairs) } else { Err(problems) }
    }
}

fn pair(alternate: SocketAddr, listen: &[Listen]) -> Result<NatDiscovery, Problem> {
    let problem = |what: String| Problem::new("nat_discovery.alternate_address", what);
    let ip = alternate.ip();
    if ip.is_unspecified() || ip.is_multicast() || ip != ip.to_canonical() {
        return Err(problem(format!("{ip} is no address of a host")).hint("name a second address of this host"));
    }
    let mut family = listen.iter().filter(|listen| listen.address.is_ipv4() == alternate.is_ipv4());
    let primary = match (family.next(), family.next()) {
        (Some(primary), None) => primary,
        (None, _) => {
            let what = format!("nothing is listened on of the family of {ip}");
            return Err(problem(what).hint("listen on the primary address: --listen ADDRESS:3478"));
        }
        (Some(_), Some(_)) => {
            let what = format!("several addresses of the family of {ip} are listened on, and one must be the primary one");
            return Err(problem(what).hint("keep one [[listen]] of that family"));
        }
    };
    let address = primary.address;
    if address.ip().is_unspecified() {
        let what = format!("it needs a primary address, and {} is every address of the host", address.ip());
        return Err(problem(what).hint("listen on the primary address by name: --listen ADDRESS:3478"));
    }
    if address.ip() == ip {
        return Err(problem(format!("{ip} is the primary address")).hint("name a second address of this host"));
    }
    if alternate.port() == 0 || alternate.port() == address.port() {
        let what = format!("{} must be a port other than the primary one", alternate.port());
        return Err(Problem::new("nat_discovery.alternate_port", what).hint("3479 is the usual one"));
    }
    Ok(NatDiscovery { primary: address, alternate, transports: primary.transports.clone() })
}
