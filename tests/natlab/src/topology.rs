//! The lab: a router that plays the internet, a public server with two addresses, and sites behind NATs.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Once;

use ipnet::{IpNet, Ipv4Net};

use crate::link::{End, connect};
use crate::rules::{INSIDE, OUTSIDE, Translation, ruleset};
use crate::{LabError, LabName, Namespace, NatKind, requirements, sweep_leftovers};

/// Never answered for by the internet: packets to them vanish in the router, as they do at a provider.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"];
const SITES: usize = 200;

/// In the router: counts what goes from site to site and is as long as data of a call, past the IP and UDP headers.
const COUNT_DATA: &str = r#"table ip causeway_internet {
  counter between_sites { }
  chain pass {
    type filter hook forward priority filter; policy accept;
    iifname "to-site-*" oifname "to-site-*" meta l4proto udp meta length >= LENGTH counter name between_sites
  }
}
"#;
const HEADERS: u32 = 28;

/// A machine with programs: the server, or a client at a site.
#[derive(Debug)]
pub struct Host {
    /// Where its programs run.
    pub namespace: Namespace,
    /// Its own addresses, as it sees them; the first is what it sends from.
    pub addresses: Vec<IpAddr>,
}

impl Host {
    /// The address that this host sends from.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.addresses[0]
    }
}

/// A box that translates.
#[derive(Debug)]
pub struct NatBox {
    /// Where its rules are.
    pub namespace: Namespace,
    /// What it is meant to be.
    pub kind: NatKind,
    /// The address that it shows on its outer side.
    pub external: IpAddr,
}

/// A place that is connected to the internet: a client and the boxes between it and the router.
#[derive(Debug)]
pub struct Site {
    /// The client.
    pub client: Host,
    /// The boxes in front of it, the outermost first; empty for a public host. One of them for now: a second one is
    /// a provider's NAT around a home router's.
    pub boxes: Vec<NatBox>,
}

impl Site {
    /// The address that the internet knows this site by.
    #[must_use]
    pub fn public_address(&self) -> IpAddr {
        self.boxes.first().map_or(self.client.address(), |outermost| outermost.external)
    }
}

/// A whole lab. Dropping it removes every namespace, and with them the devices, rules and processes.
#[derive(Debug)]
pub struct Lab {
    /// The public host for the servers, with two addresses (RFC 5780 needs them).
    pub server: Host,
    /// The sites, in the order of the kinds given.
    pub sites: Vec<Site>,
    /// Declared last, so that it is removed last.
    internet: Namespace,
}

impl Lab {
    /// A payload of this many bytes is counted as data by [`Lab::data_between_sites`]; no connectivity check is so long.
    pub const DATA_LENGTH: u32 = 600;

    /// Builds a lab with one site for each kind.
    ///
    /// # Errors
    /// [`LabError::Missing`] when this machine cannot run it; [`LabError::Command`] when a step is refused. What was
    /// built so far is removed.
    pub fn new(kinds: &[NatKind]) -> Result<Self, LabError> {
        static SWEEP: Once = Once::new();
        requirements()?;
        SWEEP.call_once(sweep_leftovers);
        assert!(kinds.len() <= SITES, "the address plan holds {SITES} sites");

        let name = LabName::unique();
        let internet = router(&name, "internet")?;
        let vanish: String = PRIVATE.iter().map(|net| format!("route add blackhole {net}\n")).collect();
        internet.ip(&vanish)?;
        let count_data = COUNT_DATA.replace("LENGTH", &(Self::DATA_LENGTH + HEADERS).to_string());
        internet.run("nft", &["-f", "-"], &count_data)?;

        let server = Namespace::create(&name, "server")?;
        let addresses = [Ipv4Addr::new(80, 80, 80, 2), Ipv4Addr::new(80, 80, 80, 3)];
        attach(&internet, "to-server", &server, "eth0", &addresses)?;
        let server = Host { namespace: server, addresses: addresses.map(IpAddr::V4).to_vec() };

        let mut lab = Self { server, sites: Vec::with_capacity(kinds.len()), internet };
        for (index, &kind) in kinds.iter().enumerate() {
            lab.sites.push(lab.site(&name, u8::try_from(index).expect("SITES fits"), kind)?);
        }
        Ok(lab)
    }

    /// The router that all public addresses are attached to.
    #[must_use]
    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// How many UDP datagrams with at least [`Lab::DATA_LENGTH`] bytes went from one site towards another so far. What
    /// goes through the server is not among them: this tells a direct call from a relayed one without asking an agent.
    ///
    /// # Errors
    /// [`LabError`] when the counter cannot be read.
    pub fn data_between_sites(&self) -> Result<u64, LabError> {
        let listed = self.internet.run("nft", &["list", "counter", "ip", "causeway_internet", "between_sites"], "")?;
        counted_packets(&listed).ok_or_else(|| LabError::Unexpected(format!("no counter in {listed:?}")))
    }

    fn site(&self, lab: &LabName, index: u8, kind: NatKind) -> Result<Site, LabError> {
        let client = Namespace::create(lab, &format!("client-{index}"))?;
        let public = Ipv4Addr::new(45, 11 + index, 0, 2);
        let port = format!("to-site-{index}");
        // Private networks differ, so that no host candidate is by chance also an address of the other side.
        let private = if index == 0 { Ipv4Addr::new(10, 0, 0, 2) } else { Ipv4Addr::new(192, 168, index, 2) };

        let Some(rules) = ruleset(kind, Translation { external: public, internal: private }) else {
            attach(&self.internet, &port, &client, "eth0", &[public])?;
            return Ok(Site { client: Host { namespace: client, addresses: vec![public.into()] }, boxes: Vec::new() });
        };
        let nat = router(lab, &format!("nat-{index}"))?;
        nat.run("nft", &["-f", "-"], &rules)?;
        // RFC 4787 §4.3: a UDP mapping lives for two minutes at least; Linux gives an unanswered one 30 seconds.
        nat.sysctl(&[("net/netfilter/nf_conntrack_udp_timeout", "300"), ("net/netfilter/nf_conntrack_udp_timeout_stream", "300")])?;
        attach(&self.internet, &port, &nat, OUTSIDE, &[public])?;
        attach(&nat, INSIDE, &client, "eth0", &[private])?;
        Ok(Site {
            client: Host { namespace: client, addresses: vec![private.into()] },
            boxes: vec![NatBox { namespace: nat, kind, external: public.into() }],
        })
    }
}

/// A namespace that forwards.
fn router(lab: &LabName, role: &str) -> Result<Namespace, LabError> {
    let namespace = Namespace::create(lab, role)?;
    namespace.sysctl(&[("net/ipv4/ip_forward", "1")])?;
    Ok(namespace)
}

/// Connects `node` below `gateway`: a cable, a /24 of its own whose .1 is the gateway, and the default route to it.
fn attach(gateway: &Namespace, port: &str, node: &Namespace, device: &str, addresses: &[Ipv4Addr]) -> Result<(), LabError> {
    let net = |ip: Ipv4Addr| IpNet::V4(Ipv4Net::new_assert(ip, 24));
    let [a, b, c, _] = addresses[0].octets();
    let first = Ipv4Addr::new(a, b, c, 1);
    let own: Vec<IpNet> = addresses.iter().map(|&ip| net(ip)).collect();
    connect(&End { namespace: gateway, device: port, addresses: &[net(first)] }, &End { namespace: node, device, addresses: &own })?;
    node.ip(&format!("route add default via {first}\n"))
}

/// The number after `packets` in what `nft list counter` writes.
fn counted_packets(listed: &str) -> Option<u64> {
    let mut words = listed.split_whitespace();
    words.find(|&word| word == "packets")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read() {
        let listed = "table ip causeway_internet {\n\tcounter between_sites {\n\t\tpackets 12 bytes 3456\n\t}\n}\n";
        assert_eq!(counted_packets(listed), Some(12));
        assert_eq!(counted_packets("table ip causeway_internet {}"), None);
    }
}
