//! Firewalls that translate nothing, as nftables rules for a site's box.

use crate::Access;
use crate::rules::OUTSIDE;

/// The rulesets of a site's firewall, beside those of its NATs; each for `nft -f -`.
pub(crate) fn rulesets(access: Access) -> Vec<String> {
    let mut all = Vec::new();
    if access.has_ipv6() {
        // A flow begins inside; what answers it comes in.
        all.push(forward("ip6", "accept", "ct state established,related accept\n    drop"));
    }
    match access {
        Access::TlsOnly => all.push(forward("ip", "tcp dport 443 accept\n    drop", "accept")),
        Access::HttpProxy => all.push(forward("ip", "drop", "accept")),
        Access::Ipv4(_) | Access::Ipv6 | Access::DualStack(_) | Access::DoubleNat { .. } => {}
    }
    all
}

fn forward(family: &str, to_outside: &str, from_outside: &str) -> String {
    format!(
        r#"table {family} causeway_firewall {{
  chain to_outside {{
    type filter hook forward priority filter; policy accept;
    iifname "{OUTSIDE}" accept
    {to_outside}
  }}
  chain from_outside {{
    type filter hook forward priority filter; policy accept;
    iifname != "{OUTSIDE}" accept
    {from_outside}
  }}
}}
"#
    )
}
