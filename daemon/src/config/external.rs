//! External addresses of a host behind 1:1 NAT: turnd's `relay.external`, stund's
//! `nat_discovery.external`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::error::Problem;
use super::network::mapped_problem;
use super::special_purpose;
use super::values::List;

/// The network that a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The Internet: the addresses that clients are told must be public ones.
    Public,
    /// A private network: they may be private ones.
    Private,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Public => "public",
            Scope::Private => "private",
        })
    }
}

/// A local address and its external one, of one family; both are equal without NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The address that sockets are bound to.
    pub bound: IpAddr,
    /// The address that clients and peers see.
    pub advertised: IpAddr,
}

impl Advertised {
    /// The special-purpose range of the advertised address, if the Internet cannot reach it.
    pub fn private_range(&self) -> Option<&'static str> {
        special_purpose::name(self.advertised)
    }
}

/// External addresses, as written.
#[derive(Debug)]
pub enum External {
    /// One external address for each family that has one local address.
    Families(Vec<IpAddr>),
    /// External addresses by bound address.
    Each(BTreeMap<IpAddr, IpAddr>),
}

impl Default for External {
    fn default() -> Self {
        External::Each(BTreeMap::new())
    }
}

impl<'de> Deserialize<'de> for External {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = External;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an address, a list of addresses, or a table { \"bound\" = \"advertised\" }",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<External, E> {
                let later = ["stun", "interface", "kubernetes-node"].contains(&text)
                    || text.starts_with("dns:")
                    || text.starts_with("file:");
                if later {
                    return Err(E::custom(format!(
                        "{text:?} is not supported yet; write the address"
                    )));
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
    /// Whether there are no external addresses.
    pub fn is_empty(&self) -> bool {
        match self {
            External::Families(outer) => outer.is_empty(),
            External::Each(outer) => outer.is_empty(),
        }
    }

    /// Pairs each of `bound` with its external address. `key` names this key, `among` that of the
    /// bound addresses.
    ///
    /// # Errors
    /// An address that is not bound, that is not a host's, that is of another family, or that two
    /// bound addresses would share.
    pub fn pair(
        self,
        key: &str,
        among: &str,
        bound: &[IpAddr],
    ) -> Result<Vec<Advertised>, Vec<Problem>> {
        let outer = match self {
            External::Each(outer) => outer,
            External::Families(outer) => by_family(&outer, (key, among), bound)?,
        };
        let problem = |what: String| Problem::new(key, what);
        let mut problems = Vec::new();
        for (inner, outer) in &outer {
            if !bound.contains(inner) {
                problems.push(problem(format!("{inner} is not among {among}")));
            }
            if inner.is_ipv4() != outer.is_ipv4() {
                problems.push(problem(format!("{inner} and {outer} are of different families")));
            }
            problems.extend(mapped_problem(key, *outer));
            if outer.is_unspecified() || outer.is_multicast() {
                problems
                    .push(problem(format!("{outer} is not an address that a peer can send to")));
            }
        }
        let advertised = |&bound: &IpAddr| Advertised {
            bound,
            advertised: outer.get(&bound).copied().unwrap_or(bound),
        };
        let all: Vec<_> = bound.iter().map(advertised).collect();
        for (index, one) in all.iter().enumerate() {
            let same = |other: &&Advertised| {
                other.advertised == one.advertised && other.bound != one.bound
            };
            if let Some(other) = all[..index].iter().find(same) {
                let what = format!(
                    "{} and {} have the same external address {}",
                    other.bound, one.bound, one.advertised
                );
                problems.push(problem(what).hint("give each an external address of its own"));
            }
        }
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }
}

/// Assigns each external address to the one bound address of its family.
fn by_family(
    outer: &[IpAddr],
    (key, among): (&str, &str),
    bound: &[IpAddr],
) -> Result<BTreeMap<IpAddr, IpAddr>, Vec<Problem>> {
    let mut pairs = BTreeMap::new();
    let mut problems = Vec::new();
    for &outer in outer {
        let mut inner = bound.iter().filter(|ip| ip.is_ipv4() == outer.is_ipv4());
        match (inner.next(), inner.next()) {
            (Some(&inner), None) if pairs.insert(inner, outer).is_none() => {}
            (None, _) => {
                let what = format!("there is no address of the family of {outer} among {among}");
                let hint = format!(
                    "add one to {among}, or write its bound address: external = {{ \"<bound>\" = \"{outer}\" }}"
                );
                problems.push(Problem::new(key, what).hint(hint));
            }
            _ => {
                let what = format!("it is not clear which of {among} {outer} belongs to");
                let hint = "write a table: external = { \"10.0.0.7\" = \"203.0.113.7\" }";
                problems.push(Problem::new(key, what).hint(hint));
            }
        }
    }
    if problems.is_empty() { Ok(pairs) } else { Err(problems) }
}
