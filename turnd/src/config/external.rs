//! `relay.external`: what relay addresses are from outside, behind 1:1 NAT.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use causeway_daemon::config::Problem;
use causeway_daemon::config::values::List;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::relay::RelayAddress;

/// What the relay addresses are from outside.
#[derive(Debug)]
pub(super) enum External {
    /// One for each family that has one relay address.
    Families(Vec<IpAddr>),
    /// By relay address.
    Each(BTreeMap<IpAddr, IpAddr>),
}

impl<'de> Deserialize<'de> for External {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = External;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, a list of addresses, or a table { \"bound\" = \"advertised\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<External, E> {
                let later =
                    ["stun", "interface", "kubernetes-node"].contains(&text) || text.starts_with("dns:") || text.starts_with("file:");
                if later {
                    return Err(E::custom(format!("{text:?} is not built yet in this version; write the address")));
                }
                List::deserialize(text.into_deserializer()).map(|list| External::Families(list.0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<External, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(External::Families)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<External, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(entries)).map(External::Each)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl External {
    /// Each of `bound` with what it is from outside.
    pub(super) fn pair(self, bound: &[IpAddr]) -> Result<Vec<RelayAddress>, Vec<Problem>> {
        let outer = match self {
            External::Each(outer) => outer,
            External::Families(outer) => by_family(&outer, bound)?,
        };
        let problem = |what: String| Problem::new("relay.external", what);
        let mut problems = Vec::new();
        for (inner, outer) in &outer {
            if !bound.contains(inner) {
                problems.push(problem(format!("{inner} is not among relay.addresses")));
            }
            if inner.is_ipv4() != outer.is_ipv4() {
                problems.push(problem(format!("{inner} and {outer} are of different families")));
            }
            if outer.is_unspecified() || outer.is_multicast() || *outer != outer.to_canonical() {
                problems.push(problem(format!("{outer} is no address that a peer could answer to")));
            }
        }
        let advertised = |&bound: &IpAddr| RelayAddress { bound, advertised: outer.get(&bound).copied().unwrap_or(bound) };
        if problems.is_empty() { Ok(bound.iter().map(advertised).collect()) } else { Err(problems) }
    }
}

/// An outer address without an inner one belongs to the one relay address of its family.
fn by_family(outer: &[IpAddr], bound: &[IpAddr]) -> Result<BTreeMap<IpAddr, IpAddr>, Vec<Problem>> {
    let mut pairs = BTreeMap::new();
    let mut problems = Vec::new();
    for &outer in outer {
        let mut inner = bound.iter().filter(|ip| ip.is_ipv4() == outer.is_ipv4());
        match (inner.next(), inner.next()) {
            (Some(&inner), None) if pairs.insert(inner, outer).is_none() => {}
            (None, _) => {
                let what = format!("there is no relay address of the family of {outer}");
                problems.push(Problem::new("relay.external", what).hint("add one to relay.addresses"));
            }
            _ => {
                let what = format!("it is not clear which relay address {outer} belongs to");
                let hint = "write a table: external = { \"10.0.0.7\" = \"203.0.113.7\" }";
                problems.push(Problem::new("relay.external", what).hint(hint));
            }
        }
    }
    if problems.is_empty() { Ok(pairs) } else { Err(problems) }
}
