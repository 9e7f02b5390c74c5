//! The policy that says which peers may be reached: rules of the operator, built-in denials, and
//! the addresses and ports of this server itself.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use causeway_wire::SPECIAL_PURPOSE;
use ipnet::IpNet;

use crate::address::PeerAddress;
use crate::peers::special::{carried_ipv4, is_never_a_peer, is_tunnel, is_within_never_a_peer};

/// A rule of the operator. The first rule that matches decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether to allow or to deny.
    pub allow: bool,
    /// The addresses that the rule applies to.
    pub net: IpNet,
}

/// The current addresses of this host (H55). A host gains and loses addresses while a server runs,
/// so the policy asks each time that a peer has the port of a listener on a wildcard address, and
/// only then.
pub trait OwnAddresses: fmt::Debug + Send + Sync {
    /// Whether `ip` is an address of this host now, so that it reaches the wildcard listeners.
    /// `true` if that is unknown.
    fn contains(&self, ip: IpAddr) -> bool;

    /// As [`contains`](Self::contains), for a datagram of a client that has a permission: the
    /// answer may be a moment old if asking is expensive.
    fn contained_lately(&self, ip: IpAddr) -> bool {
        self.contains(ip)
    }
}

/// The addresses of a host that are not known: each may be one.
#[derive(Debug)]
struct AnyAddress;

impl OwnAddresses for AnyAddress {
    fn contains(&self, _: IpAddr) -> bool {
        true
    }
}

/// The response to a request for a peer that the policy denies (`peers.denied`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeniedPeers {
    /// 403 (RFC 8656 §10.2, RFC 8656 §12.2).
    #[default]
    Refuse,
    /// Success, and silence in both directions: old SIP clients end a call when they get a 403 for
    /// one of the other side's candidates.
    Ignore,
}

/// The peers that may be reached (RFC 8656 §21.3, rows H1 to H8). CreatePermission, ChannelBind and
/// Send all check it (H3).
#[derive(Clone, Debug)]
pub struct PeerPolicy {
    /// The operator's rules, followed by the built-in denials.
    ipv4: Box<[Range<u32>]>,
    ipv6: Box<[Range<u128>]>,
    listeners: Vec<SocketAddr>,
    /// The listeners on every address of a family.
    wildcards: Box<[SocketAddr]>,
    /// Their ports, each once: every datagram is compared with these.
    wildcard_ports: Box<[u16]>,
    own: Arc<dyn OwnAddresses>,
    relays: Vec<IpAddr>,
    relay_ports: RangeInclusive<u16>,
    /// The addresses of `relays` that a rule of the operator allows.
    opened: Vec<IpAddr>,
}

/// A rule as each Send indication checks it: it matches addresses whose masked bits are these.
#[derive(Clone, Copy, Debug)]
struct Range<T> {
    bits: T,
    mask: T,
    decision: Decision,
}

/// The decision of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Deny,
    /// Allows all but the addresses that only a rule within them can allow (H2).
    Allow,
    /// Allows those, too: the rule lies within them.
    AllowLocal,
}

/// Why a peer is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is a 6to4 or Teredo address, whatever it carries (H1).
    Tunnel,
    /// It is "this network" or loopback (H2).
    Local,
    /// It is a listener of this server (H5).
    Listener,
    /// A rule of the operator, or a built-in one, denies it.
    Rule,
    /// It is this server's relay address, at a port that relays nothing (H8).
    NotRelayed,
    /// Its port is 0 (H7).
    PortZero,
}

impl PeerPolicy {
    /// `rules` come before the built-in denials. `listeners` are all addresses at which this
    /// server, or a service that it depends on, listens; an unspecified one means every address of
    /// its family, unless [`asking`](Self::asking) gives the addresses of the host. `relays` are
    /// the relay addresses, bound and advertised, with the range of their ports.
    #[must_use]
    pub fn new(
        rules: &[Rule],
        listeners: Vec<SocketAddr>,
        relays: Vec<IpAddr>,
        relay_ports: RangeInclusive<u16>,
    ) -> Self {
        let built_in = SPECIAL_PURPOSE.iter().map(|range| Rule {
            allow: false,
            net: range.network.parse().expect("the list is tested"),
        });
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for rule in rules.iter().copied().chain(built_in) {
            let decision = match rule.allow {
                false => Decision::Deny,
                true if is_within_never_a_peer(&rule.net) => Decision::AllowLocal,
                true => Decision::Allow,
            };
            match rule.net {
                IpNet::V4(net) => ipv4.push(Range {
                    bits: net.network().to_bits(),
                    mask: net.netmask().to_bits(),
                    decision,
                }),
                IpNet::V6(net) => ipv6.push(Range {
                    bits: net.network().to_bits(),
                    mask: net.netmask().to_bits(),
                    decision,
                }),
            }
        }
        let (ipv4, ipv6) = (ipv4.into(), ipv6.into());
        // The remaining `listeners` are compared with the peer of each Send indication; a wildcard
        // is never the address of a peer.
        let (wildcards, listeners): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|listener| listener.ip().is_unspecified());
        let wildcard_ports: BTreeSet<u16> = wildcards.iter().map(SocketAddr::port).collect();
        let (wildcards, wildcard_ports) = (wildcards.into(), wildcard_ports.into_iter().collect());
        let mut policy = Self {
            ipv4,
            ipv6,
            listeners,
            wildcards,
            wildcard_ports,
            own: Arc::new(AnyAddress),
            relays,
            relay_ports,
            opened: Vec::new(),
        };
        policy.opened = policy
            .relays
            .iter()
            .copied()
            .filter(|relay| policy.check_rules(*relay) == Ok(Allowed::ByRule))
            .collect();
        policy
    }

    /// The policy, asking `own` whether a peer with the port of a wildcard listener is this host.
    #[must_use]
    pub fn asking(self, own: Arc<dyn OwnAddresses>) -> Self {
        Self { own, ..self }
    }

    /// Whether a rule of the operator allows this relay address: then its ports that relay nothing
    /// may be peers, too (H8). Datagrams ask this, so it looks at the few relay addresses only.
    #[must_use]
    pub fn opens_relay(&self, relay: IpAddr) -> bool {
        self.opened.contains(&relay)
    }

    /// Whether a peer at this port must be checked for each datagram, on a channel, too: a listener
    /// on a wildcard address has the port, and the peer's address may have become one of this host
    /// since (H55).
    #[inline]
    pub(crate) fn has_wildcard_listener(&self, port: u16) -> bool {
        self.wildcard_ports.contains(&port)
    }

    /// Checks an address regardless of its port, for a permission.
    ///
    /// # Errors
    /// [`Denied`]: the first reason found.
    pub fn check_address(&self, peer: IpAddr) -> Result<(), Denied> {
        if self.is_relay(peer) { Ok(()) } else { self.check_rules(peer).map(drop) }
    }

    /// Checks an address for a channel.
    ///
    /// # Errors
    /// [`Denied`]: the first reason found.
    pub fn check_transport(&self, peer: PeerAddress) -> Result<(), Denied> {
        self.check(peer, |ip| self.own.contains(ip))
    }

    /// Checks the address to which this datagram goes.
    ///
    /// # Errors
    /// [`Denied`]: the first reason found.
    pub(crate) fn check_datagram(&self, peer: PeerAddress) -> Result<(), Denied> {
        self.check(peer, |ip| self.own.contained_lately(ip))
    }

    #[inline]
    fn check(&self, peer: PeerAddress, is_own: impl Fn(IpAddr) -> bool) -> Result<(), Denied> {
        if peer.port() == 0 {
            return Err(Denied::PortZero);
        }
        self.check_port(peer, &is_own)?;
        // Through NAT64, for example, a listener of this server has a second address (H1, H5).
        carried_ipv4(peer.ip()).map_or(Ok(()), |inner| {
            self.check_port(PeerAddress(SocketAddr::new(inner, peer.port())), &is_own)
        })
    }

    /// Checks one address as written, against the rules and the ports of this server.
    fn check_port(&self, peer: PeerAddress, is_own: impl Fn(IpAddr) -> bool) -> Result<(), Denied> {
        if self.listeners.contains(&peer.0) || self.reaches_wildcard(peer, is_own) {
            return Err(Denied::Listener);
        }
        if !self.is_relay(peer.ip()) {
            return self.check_rules(peer.ip()).map(drop);
        }
        // At the server's own address there are relayed ports, and services that are not meant for
        // clients: the latter need an explicit rule.
        if self.relay_ports.contains(&peer.port()) || self.opens_relay(peer.ip()) {
            Ok(())
        } else {
            Err(Denied::NotRelayed)
        }
    }

    fn reaches_wildcard(&self, peer: PeerAddress, is_own: impl Fn(IpAddr) -> bool) -> bool {
        let reaches = |listener: &SocketAddr| {
            listener.port() == peer.port() && listener.is_ipv4() == peer.is_ipv4()
        };
        self.has_wildcard_listener(peer.port())
            && self.wildcards.iter().any(reaches)
            && is_own(peer.ip())
    }

    /// Whether the address is a relay address of this server: in the classic call, both clients
    /// have one (H8). A relay on loopback does not make loopback a peer (H2).
    fn is_relay(&self, ip: IpAddr) -> bool {
        self.relays.contains(&ip) && !is_never_a_peer(ip)
    }

    /// Whether a client at this address may allocate and bind channels (RFC 8656 §21.4).
    #[must_use]
    pub fn accepts_client(&self, client: IpAddr) -> bool {
        !is_tunnel(client)
    }

    /// Checks the address as written, and the IPv4 address that it carries. Any denial denies (H1).
    fn check_rules(&self, peer: IpAddr) -> Result<Allowed, Denied> {
        if is_tunnel(peer) {
            return Err(Denied::Tunnel);
        }
        let allowed = self.check_one(peer)?;
        carried_ipv4(peer).map_or(Ok(allowed), |inner| self.check_one(inner).map(|_| allowed))
    }

    fn check_one(&self, ip: IpAddr) -> Result<Allowed, Denied> {
        // A wide rule does not allow loopback: only a rule within it does (H2).
        let local = is_never_a_peer(ip);
        let matching = match ip {
            IpAddr::V4(ip) => {
                first(&self.ipv4, local, |range| ip.to_bits() & range.mask == range.bits)
            }
            IpAddr::V6(ip) => {
                first(&self.ipv6, local, |range| ip.to_bits() & range.mask == range.bits)
            }
        };
        match matching {
            Some(Decision::Allow | Decision::AllowLocal) => Ok(Allowed::ByRule),
            None => Ok(Allowed::ByDefault),
            Some(Decision::Deny) if local => Err(Denied::Local),
            Some(Decision::Deny) => Err(Denied::Rule),
        }
    }
}

/// The decision of the first rule that matches an address.
#[inline]
fn first<T>(
    rules: &[Range<T>],
    local: bool,
    holds: impl Fn(&Range<T>) -> bool,
) -> Option<Decision> {
    let matches = |rule: &&Range<T>| holds(rule) && !(local && rule.decision == Decision::Allow);
    rules.iter().find(matches).map(|rule| rule.decision)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    ByRule,
    ByDefault,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[(bool, &str)]) -> PeerPolicy {
        let rules: Vec<_> = rules
            .iter()
            .map(|(allow, net)| Rule { allow: *allow, net: net.parse().unwrap() })
            .collect();
        let listeners = vec!["9.9.9.9:3478".parse().unwrap(), "127.0.0.1:9641".parse().unwrap()];
        PeerPolicy::new(
            &rules,
            listeners,
            vec!["10.0.0.9".parse().unwrap(), "9.9.9.9".parse().unwrap()],
            49152..=65535,
        )
    }

    fn address(policy: &PeerPolicy, peer: &str) -> Result<(), Denied> {
        policy.check_address(peer.parse().unwrap())
    }

    fn transport(policy: &PeerPolicy, peer: &str) -> Result<(), Denied> {
        policy.check_transport(PeerAddress(peer.parse().unwrap()))
    }

    #[test]
    fn h1_an_address_is_checked_as_written_and_as_what_it_carries() {
        let policy = policy(&[(false, "8.8.8.8/32"), (true, "2002::/16"), (true, "2001::/32")]);
        for carrier in [
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::8.8.8.8",
            "::ffff:10.1.2.3",
            "64:ff9b::7f00:1",
            "::ffff:127.0.0.1",
        ] {
            assert!(address(&policy, carrier).is_err(), "{carrier}");
        }
        assert_eq!(address(&policy, "64:ff9b::8.8.4.4"), Ok(()));
        for tunnel in ["2002:808:808::1", "2001:0:1::1"] {
            assert_eq!(
                address(&policy, tunnel),
                Err(Denied::Tunnel),
                "even where a rule allows it"
            );
            assert!(!policy.accepts_client(tunnel.parse().unwrap()));
        }
    }

    #[test]
    fn h2_loopback_is_never_a_peer_unless_a_rule_names_it() {
        for wide in
            ["0.0.0.0/0", "0.0.0.0/1", "64.0.0.0/2", "126.0.0.0/7", "::/0", "::/64", "::/126"]
        {
            let policy = policy(&[(true, wide)]);
            for local in ["127.0.0.1", "0.0.0.0", "0.1.2.3", "::", "::1", "::ffff:127.0.0.1"] {
                assert!(address(&policy, local).is_err(), "{local} under {wide}");
            }
        }
        assert_eq!(address(&policy(&[(true, "127.0.0.0/8")]), "127.0.0.1"), Ok(()));
        assert_eq!(address(&policy(&[(true, "127.0.0.1/32")]), "127.0.0.1"), Ok(()));
        assert_eq!(address(&policy(&[(true, "::1/128")]), "::1"), Ok(()));
    }

    #[test]
    fn h2_a_relay_on_loopback_makes_no_peer_of_it() {
        let relays = vec!["127.0.0.1".parse().unwrap()];
        let policy =
            |rules: &[Rule]| PeerPolicy::new(rules, Vec::new(), relays.clone(), 49152..=65535);
        let closed = policy(&[]);
        assert_eq!(
            (address(&closed, "127.0.0.1"), transport(&closed, "127.0.0.1:50000")),
            (Err(Denied::Local), Err(Denied::Local))
        );
        let open = policy(&[Rule { allow: true, net: "127.0.0.0/8".parse().unwrap() }]);
        assert_eq!(
            (address(&open, "127.0.0.1"), transport(&open, "127.0.0.1:50000")),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn h4_ranges_are_compared_as_numbers() {
        let policy = policy(&[(false, "20.0.255.0/23"), (true, "10.0.0.0/9")]);
        for (peer, allowed) in [
            ("20.0.254.0", false),
            ("20.0.255.255", false),
            ("20.1.0.0", true),
            ("20.0.253.255", true),
            ("10.127.255.255", true),
            ("10.128.0.0", false),
            ("172.15.255.255", true),
            ("172.16.0.0", false),
            ("172.32.0.0", true),
            ("2001:1ff::1", false),
            ("2001:200::1", true),
        ] {
            assert_eq!(address(&policy, peer).is_ok(), allowed, "{peer}");
        }
    }

    #[test]
    fn h5_the_servers_own_listeners_are_refused() {
        let policy = policy(&[(true, "127.0.0.0/8"), (true, "9.9.9.9/32")]);
        assert_eq!(transport(&policy, "9.9.9.9:3478"), Err(Denied::Listener));
        assert_eq!(
            transport(&policy, "127.0.0.1:9641"),
            Err(Denied::Listener),
            "though a rule allows the address"
        );
        assert_eq!(transport(&policy, "127.0.0.1:9642"), Ok(()));
        assert_eq!(
            transport(&policy, "[64:ff9b::9.9.9.9]:3478"),
            Err(Denied::Listener),
            "through NAT64"
        );
        assert_eq!(transport(&policy, "[::9.9.9.9]:3478"), Err(Denied::Listener));
    }

    #[test]
    fn h5_a_wildcard_listener_takes_its_port_from_every_address_of_this_host_and_from_no_other() {
        #[derive(Debug)]
        struct Own;
        impl OwnAddresses for Own {
            fn contains(&self, ip: IpAddr) -> bool {
                [IpAddr::from([8, 8, 8, 8]), "2600::1".parse().unwrap()].contains(&ip)
            }
        }
        let listeners = vec!["0.0.0.0:3478".parse().unwrap(), "[::]:5349".parse().unwrap()];
        let blind = PeerPolicy::new(&[], listeners, Vec::new(), 49152..=65535);
        assert_eq!(
            transport(&blind, "20.0.0.1:3478"),
            Err(Denied::Listener),
            "without knowledge each address may be one"
        );
        let policy = blind.asking(Arc::new(Own));
        for (peer, allowed) in [
            ("8.8.8.8:3478", false),
            ("[64:ff9b::8.8.8.8]:3478", false),
            ("8.8.8.8:5349", true),
            ("20.0.0.1:3478", true),
            ("[2600::1]:5349", false),
            ("[2600::1]:3478", true),
            ("[2600::2]:5349", true),
        ] {
            assert_eq!(transport(&policy, peer).is_ok(), allowed, "{peer}");
        }
    }

    #[test]
    fn h7_port_zero_is_refused_where_a_port_matters() {
        assert_eq!(transport(&policy(&[]), "8.8.8.8:0"), Err(Denied::PortZero));
        assert_eq!(address(&policy(&[]), "8.8.8.8"), Ok(()));
    }

    #[test]
    fn h8_relayed_addresses_are_allowed_and_nothing_else_at_them() {
        let policy = policy(&[]);
        assert_eq!(
            (address(&policy, "10.0.0.9"), transport(&policy, "10.0.0.9:50000")),
            (Ok(()), Ok(()))
        );
        assert_eq!(transport(&policy, "10.0.0.9:22"), Err(Denied::NotRelayed));
        assert_eq!(
            transport(&policy, "9.9.9.9:53"),
            Err(Denied::NotRelayed),
            "a public relay address too"
        );
        assert_eq!(transport(&policy, "10.0.0.8:50000"), Err(Denied::Rule));
        assert_eq!(
            transport(&policy, "[64:ff9b::9.9.9.9]:53"),
            Err(Denied::NotRelayed),
            "nor through NAT64"
        );
        assert_eq!(transport(&policy, "[64:ff9b::9.9.9.9]:50000"), Ok(()));
    }

    #[test]
    fn h8_a_rule_opens_the_other_ports_of_the_relay_address_that_it_names() {
        let policy = policy(&[(false, "9.9.9.9/32"), (true, "10.0.0.0/24"), (true, "9.9.0.0/16")]);
        let opened =
            ["10.0.0.9", "9.9.9.9", "10.0.0.8"].map(|ip| policy.opens_relay(ip.parse().unwrap()));
        assert_eq!(
            opened,
            [true, false, false],
            "the first rule decides; the last is no relay address"
        );
        assert_eq!(transport(&policy, "10.0.0.9:22"), Ok(()));
        assert_eq!(transport(&policy, "9.9.9.9:53"), Err(Denied::NotRelayed));
    }

    #[test]
    fn the_built_in_list_denies_each_of_its_ranges() {
        let policy = policy(&[]);
        for range in SPECIAL_PURPOSE {
            let net: IpNet = range.network.parse().unwrap();
            assert!(
                policy.check_address(net.network()).is_err()
                    && policy.check_address(net.broadcast()).is_err(),
                "{net}"
            );
        }
    }
}
