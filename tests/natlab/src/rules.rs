//! The nftables rules of each kind of NAT.
//!
//! Mapping is the `mapping` chain: a port-preserving source NAT maps one internal port to one
//! external port for all destinations, as long as no other flow holds that port; `fully-random`
//! picks a new port for each flow.
//!
//! Filtering is the `from_outside` chain. Conntrack alone admits only what answers a flow (address
//! and port-dependent filtering). The more open kinds remember who was contacted in a dynamic set,
//! filled by `to_outside` on the way out and asked on the way in; what it admits is then sent to
//! the client.
//!
//! What is refused is dropped in prerouting, before conntrack confirms an entry for it. Were it
//! dropped later, or delivered to the box itself, the entry of an early packet (the other side of a
//! simultaneous open) would own the tuple that the client's own flow needs, and the kernel would
//! give that flow another port: a port-restricted NAT would turn symmetric just when it matters.

use std::net::Ipv4Addr;

use crate::NatKind;

/// The device towards the internet, in every NAT box.
pub const OUTSIDE: &str = "wan";
/// The device towards the client, in every NAT box.
pub const INSIDE: &str = "lan";

/// The addresses that a NAT box translates between.
#[derive(Debug, Clone, Copy)]
pub struct Translation {
    /// The box's public address.
    pub external: Ipv4Addr,
    /// The one client behind it.
    pub internal: Ipv4Addr,
}

/// The ruleset for `nft -f -`; `None` for a host without NAT, which has no box.
#[must_use]
pub fn ruleset(kind: NatKind, translation: Translation) -> Option<String> {
    Some(match kind {
        NatKind::None => return None,
        NatKind::FullCone => full_cone(translation),
        NatKind::AddressRestricted => address_restricted(translation),
        NatKind::PortRestricted => port_restricted(translation),
        NatKind::Symmetric => symmetric(translation),
        NatKind::TcpOnly => tcp_only(translation),
    })
}

/// A port that the client has sent from is open to all remote endpoints.
fn full_cone(translation: Translation) -> String {
    remembering(translation, "inet_service", "udp sport", "udp dport")
}

/// A port that the client has sent from is open to every port of the addresses it was used towards.
fn address_restricted(translation: Translation) -> String {
    remembering(
        translation,
        "inet_service . ipv4_addr",
        "udp sport . ip daddr",
        "udp dport . ip saddr",
    )
}

/// Only answers come in; the port is kept.
fn port_restricted(Translation { external, .. }: Translation) -> String {
    table(&format!("snat to {external}"), "", "", "")
}

/// Only answers come in, and each flow has a port of its own.
fn symmetric(Translation { external, .. }: Translation) -> String {
    table(&format!("snat to {external} fully-random"), "", "", "")
}

/// UDP is dropped on its way out; TCP is translated.
fn tcp_only(Translation { external, .. }: Translation) -> String {
    table(&format!("snat to {external}"), "", "meta l4proto udp drop", "")
}

/// A NAT that remembers whom the client has sent to, under `key`, and admits what matches.
fn remembering(
    Translation { external, internal }: Translation,
    key: &str,
    sent: &str,
    received: &str,
) -> String {
    // Longer than any lab lives; RFC 4787 §4.3 asks for at least two minutes.
    let contacted =
        format!("set contacted {{ type {key}; flags dynamic,timeout; timeout 10m; size 65536; }}");
    let remember = format!("meta l4proto udp update @contacted {{ {sent} }}");
    let admit = format!("meta l4proto udp {received} @contacted accept");
    let deliver = format!(
        "chain delivery {{\n    type nat hook prerouting priority dstnat; policy accept;\n    \
         iifname \"{OUTSIDE}\" meta l4proto udp dnat to {internal}\n  }}"
    );
    table(&format!("snat to {external}"), &format!("{contacted}\n  {deliver}"), &remember, &admit)
}

/// The skeleton that all kinds share: how ports are mapped, what is done on the way out, what new
/// flows may come in.
fn table(mapping: &str, more: &str, to_outside: &str, admit: &str) -> String {
    format!(
        r#"table ip causeway_nat {{
  {more}
  chain mapping {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{OUTSIDE}" {mapping}
  }}
  chain to_outside {{
    type filter hook forward priority filter; policy accept;
    iifname "{OUTSIDE}" accept
    {to_outside}
  }}
  chain from_outside {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != "{OUTSIDE}" accept
    ct state established,related accept
    {admit}
    drop
  }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSLATION: Translation =
        Translation { external: Ipv4Addr::new(45, 11, 0, 2), internal: Ipv4Addr::new(10, 0, 0, 2) };

    #[test]
    fn a_host_without_nat_has_no_rules() {
        assert_eq!(ruleset(NatKind::None, TRANSLATION), None);
    }

    #[test]
    fn each_kind_has_rules_of_its_own() {
        let all: Vec<_> =
            NatKind::ALL.iter().filter_map(|&kind| ruleset(kind, TRANSLATION)).collect();
        assert_eq!(all.len(), NatKind::ALL.len() - 1);
        for (index, rules) in all.iter().enumerate() {
            assert!(rules.contains("snat to 45.11.0.2"), "{rules}");
            assert!(!all[index + 1..].contains(rules), "{rules}");
        }
    }

    #[test]
    fn only_remembering_kinds_send_unasked_packets_to_the_client() {
        for kind in NatKind::ALL {
            let delivers =
                ruleset(kind, TRANSLATION).is_some_and(|rules| rules.contains("dnat to 10.0.0.2"));
            assert_eq!(
                delivers,
                matches!(kind, NatKind::FullCone | NatKind::AddressRestricted),
                "{kind}"
            );
        }
    }
}
