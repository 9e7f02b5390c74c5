//! The lab: a router that plays the internet, a public server with two addresses of each family,
//! and sites behind NATs and firewalls.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Once};

use crate::link::{attach, forward_ipv6, router};
use crate::plan::{SERVER_IPV4, SERVER_IPV6, public};
use crate::shared::{self, Inside};
use crate::site::{self, Host, NatBox, Site};
use crate::{Access, LabError, LabName, Namespace, NatKind, requirements, sweep_leftovers};

/// Never answered for by the internet: packets to them vanish in the router, as they do at a
/// provider.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"];
const SITES: usize = 200;

/// Counts what goes from site to site and is as long as data of a call, past the IP and UDP
/// headers.
const COUNT_DATA: &str = r#"table inet causeway_internet {
  counter between_sites { }
  chain pass {
    type filter hook forward priority filter; policy accept;
    iifname "PORTS" oifname "PORTS" meta l4proto udp meta nfproto ipv4 meta length >= LENGTH4 counter name between_sites
    iifname "PORTS" oifname "PORTS" meta l4proto udp meta nfproto ipv6 meta length >= LENGTH6 counter name between_sites
  }
}
"#;
const HEADERS_IPV4: u32 = 28;
const HEADERS_IPV6: u32 = 48;

/// A whole lab. Dropping it removes every namespace, and with them the devices, rules and
/// processes.
#[derive(Debug)]
pub struct Lab {
    /// The public host for the servers, with two addresses of each family that the lab has (RFC
    /// 5780 needs them).
    pub server: Host,
    /// The sites, in the order given.
    pub sites: Vec<Site>,
    /// Where packets between the sites pass: the internet, or the one box that both are behind.
    counting: Option<Arc<NatBox>>,
    /// Declared last, so that it is removed last.
    internet: Namespace,
}

impl Lab {
    /// A payload of this many bytes is counted as data by [`Lab::data_between_sites`]; no
    /// connectivity check is so long.
    pub const DATA_LENGTH: u32 = 600;

    /// Builds a lab of IPv4 with one site for each kind.
    ///
    /// # Errors
    /// [`LabError::Missing`] when this machine cannot run it; [`LabError::Command`] when a step is
    /// refused. What was built so far is removed.
    pub fn new(kinds: &[NatKind]) -> Result<Self, LabError> {
        let accesses: Vec<Access> = kinds.iter().copied().map(Access::Ipv4).collect();
        Self::of(&accesses)
    }

    /// Builds a lab with these sites; it has IPv6 if one of them does.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn of(accesses: &[Access]) -> Result<Self, LabError> {
        assert!(accesses.len() <= SITES, "the address plan holds {SITES} sites");
        let name = LabName::unique();
        let mut lab = Self::without_sites(&name, accesses.iter().any(|access| access.has_ipv6()))?;
        count_data(&lab.internet, "to-site-*")?;
        for (index, &access) in accesses.iter().enumerate() {
            let index = u8::try_from(index).expect("SITES fits");
            lab.sites.push(site::build(&lab.internet, &name, index, access)?);
        }
        Ok(lab)
    }

    /// Builds a lab with two clients behind one NAT, which maps and filters without regard to the
    /// endpoint, or is [`Inside::Masquerade`].
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn behind_one_nat(inside: Inside) -> Result<Self, LabError> {
        let name = LabName::unique();
        let mut lab = Self::without_sites(&name, false)?;
        let external = public(0);
        let nat = router(&name, "nat-0")?;
        attach(&lab.internet, "to-site-0", &nat, crate::rules::OUTSIDE, &[external.into()])?;
        nat.run("nft", &["-f", "-"], &shared::ruleset(inside, external))?;
        // As in front of every other site.
        nat.sysctl(&[
            ("net/netfilter/nf_conntrack_udp_timeout", "300"),
            ("net/netfilter/nf_conntrack_udp_timeout_stream", "300"),
        ])?;
        count_data(&nat, "lan*")?;
        let nat = Arc::new(NatBox { namespace: nat, external: external.into() });
        for index in 0..2_u8 {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, index, 2));
            let client = Namespace::create(&name, &format!("client-{index}"))?;
            attach(&nat.namespace, &format!("lan{index}"), &client, "eth0", &[address])?;
            let client = Host { namespace: client, addresses: vec![address] };
            let kind = if inside == Inside::Masquerade {
                NatKind::PortRestricted
            } else {
                NatKind::FullCone
            };
            lab.sites.push(Site {
                access: Access::Ipv4(kind),
                client,
                boxes: vec![Arc::clone(&nat)],
            });
        }
        lab.counting = Some(nat);
        Ok(lab)
    }

    /// The router and the server.
    fn without_sites(name: &LabName, ipv6: bool) -> Result<Self, LabError> {
        static SWEEP: Once = Once::new();
        requirements()?;
        SWEEP.call_once(sweep_leftovers);
        let internet = router(name, "internet")?;
        let vanish: String =
            PRIVATE.iter().map(|net| format!("route add blackhole {net}\n")).collect();
        internet.ip(&vanish)?;
        let server = Namespace::create(name, "server")?;
        let mut addresses = SERVER_IPV4.map(IpAddr::V4).to_vec();
        if ipv6 {
            forward_ipv6(&internet)?;
            server.enable_ipv6()?;
            addresses.extend(SERVER_IPV6.map(IpAddr::V6));
        }
        attach(&internet, "to-server", &server, "eth0", &addresses)?;
        Ok(Self {
            server: Host { namespace: server, addresses },
            sites: Vec::new(),
            counting: None,
            internet,
        })
    }

    /// The router that all public addresses are attached to.
    #[must_use]
    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// How many UDP datagrams with at least [`Lab::DATA_LENGTH`] bytes went from one site towards
    /// another so far. What goes through the server is not among them: this tells a direct call
    /// from a relayed one without asking an agent.
    ///
    /// # Errors
    /// [`LabError`] when the counter cannot be read.
    pub fn data_between_sites(&self) -> Result<u64, LabError> {
        let counting = self.counting.as_ref().map_or(&self.internet, |nat| &nat.namespace);
        let listed = counting.run(
            "nft",
            &["list", "counter", "inet", "causeway_internet", "between_sites"],
            "",
        )?;
        counted_packets(&listed)
            .ok_or_else(|| LabError::Unexpected(format!("no counter in {listed:?}")))
    }
}

/// Begins to count in `namespace` what passes from one of these ports to another.
fn count_data(namespace: &Namespace, ports: &str) -> Result<(), LabError> {
    let rules = COUNT_DATA
        .replace("PORTS", ports)
        .replace("LENGTH4", &(Lab::DATA_LENGTH + HEADERS_IPV4).to_string())
        .replace("LENGTH6", &(Lab::DATA_LENGTH + HEADERS_IPV6).to_string());
    namespace.run("nft", &["-f", "-"], &rules).map(drop)
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
        let listed = "table inet causeway_internet {\n\tcounter between_sites {\n\t\tpackets 12 bytes 3456\n\t}\n}\n";
        assert_eq!(counted_packets(listed), Some(12));
        assert_eq!(counted_packets("table inet causeway_internet {}"), None);
    }
}
