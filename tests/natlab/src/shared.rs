//! Two clients behind one NAT, in two of its networks.

use std::net::Ipv4Addr;

use crate::rules::OUTSIDE;

/// How the box treats packets between its two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// It forwards them: the clients can reach each other's own addresses.
    Open,
    /// It keeps the networks apart, but turns packets around that are meant for its outside
    /// (hairpin, RFC 4787 §6).
    Hairpin,
    /// It keeps the networks apart, and drops what they send to its outside.
    NoHairpin,
    /// It is what a Linux router is without further thought: `masquerade`, and only answers come
    /// in.
    Masquerade,
}

impl std::fmt::Display for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Open => "same NAT, joined",
            Self::Hairpin => "same NAT, apart, hairpin",
            Self::NoHairpin => "same NAT, apart, no hairpin",
            Self::Masquerade => "same NAT, masquerade",
        })
    }
}

/// The rules of the box: endpoint-independent mapping and filtering towards the outside, or Linux
/// as it is.
pub(crate) fn ruleset(inside: Inside, external: Ipv4Addr) -> String {
    let (apart, own_outside) = match inside {
        Inside::Masquerade => return masquerade(external),
        Inside::Open => ("", format!("ip daddr {external} drop")),
        Inside::Hairpin => ("ip daddr 10.0.0.0/8 drop", String::new()),
        Inside::NoHairpin => ("ip daddr 10.0.0.0/8 drop", format!("ip daddr {external} drop")),
    };
    // The receiver of a packet that was turned around sees the sender's external address and port
    // (RFC 4787 §6).
    format!(
        r#"table ip causeway_nat {{
  map owners {{ type inet_service : ipv4_addr; flags dynamic,timeout; timeout 10m; size 65536; }}
  set open {{ type inet_service; flags dynamic,timeout; timeout 10m; size 65536; }}
  chain mapping {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{OUTSIDE}" snat to {external}
    oifname "lan*" ip saddr 10.0.0.0/8 ct status dnat snat to {external}
  }}
  chain delivery {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {external} meta l4proto udp dnat to udp dport map @owners
  }}
  chain to_outside {{
    type filter hook forward priority filter; policy accept;
    iifname "{OUTSIDE}" accept
    oifname "{OUTSIDE}" meta l4proto udp update @owners {{ udp sport : ip saddr }}
    oifname "{OUTSIDE}" meta l4proto udp update @open {{ udp sport }}
  }}
  chain from_inside {{
    type filter hook prerouting priority mangle; policy accept;
    iifname "{OUTSIDE}" accept
    ct state established,related accept
    {apart}
    {own_outside}
  }}
  chain from_outside {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != "{OUTSIDE}" accept
    ct state established,related accept
    meta l4proto udp udp dport @open accept
    drop
  }}
}}
"#
    )
}

/// A mapping keeps its port if no other mapping has it; `tests/natlab/tests/collision.rs` shows what
/// that means for two clients with one port.
fn masquerade(external: Ipv4Addr) -> String {
    format!(
        r#"table ip causeway_nat {{
  chain mapping {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{OUTSIDE}" masquerade
  }}
  chain to_self {{
    type filter hook prerouting priority mangle; policy accept;
    ct state established,related accept
    iifname "{OUTSIDE}" drop
    ip daddr {external} drop
  }}
}}
"#
    )
}
