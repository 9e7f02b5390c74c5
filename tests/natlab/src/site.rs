//! One site: its client and the boxes between it and the internet.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::link::{attach, forward_ipv6, router};
use crate::rules::{INSIDE, OUTSIDE, Translation, ruleset};
use crate::{Access, LabError, LabName, Namespace, firewall, plan};

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

/// A box that translates or filters.
#[derive(Debug)]
pub struct NatBox {
    /// Where its rules are.
    pub namespace: Namespace,
    /// The address that it shows on its outer side.
    pub external: IpAddr,
}

/// A place that is connected to the internet: a client and the boxes between it and the router.
#[derive(Debug)]
pub struct Site {
    /// How it is connected.
    pub access: Access,
    /// The host of the client.
    pub client: Host,
    /// The boxes in front of it, the outermost first; empty for a public host. Another site may be
    /// behind the same.
    pub boxes: Vec<Arc<NatBox>>,
}

impl Site {
    /// The address that the internet knows this site by.
    #[must_use]
    pub fn public_address(&self) -> IpAddr {
        match self.boxes.first() {
            Some(outermost) if self.client.address().is_ipv4() => outermost.external,
            _ => self.client.address(),
        }
    }

    /// The side of the innermost box that the client sees, where there is a box.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        plan::gateway(self.client.address())
    }
}

/// Builds the site with this number below `internet`.
pub(crate) fn build(
    internet: &Namespace,
    lab: &LabName,
    index: u8,
    access: Access,
) -> Result<Site, LabError> {
    let client = Namespace::create(lab, &format!("client-{index}"))?;
    let boxes = boxes(internet, lab, index, access)?;
    let mut addresses = Vec::new();
    if access.has_ipv4() {
        addresses.push(IpAddr::V4(if boxes.is_empty() {
            plan::public(index)
        } else {
            plan::private(index)
        }));
    }
    if access.has_ipv6() {
        client.enable_ipv6()?;
        addresses.push(plan::client_ipv6(index).into());
    }
    match boxes.last() {
        Some(innermost) => attach(&innermost.namespace, INSIDE, &client, "eth0", &addresses)?,
        None => attach(internet, &port(index), &client, "eth0", &addresses)?,
    }
    Ok(Site {
        access,
        client: Host { namespace: client, addresses },
        boxes: boxes.into_iter().map(Arc::new).collect(),
    })
}

/// The device of the internet towards a site.
fn port(index: u8) -> String {
    format!("to-site-{index}")
}

/// The boxes, connected to each other and to the internet, the outermost first.
fn boxes(
    internet: &Namespace,
    lab: &LabName,
    index: u8,
    access: Access,
) -> Result<Vec<NatBox>, LabError> {
    let nats = access.nats();
    // The outer addresses of the boxes, and behind the last the client's.
    let chain: Vec<Ipv4Addr> = match nats.len() {
        2 => vec![plan::public(index), plan::at_provider(index), plan::private(index)],
        _ => vec![plan::public(index), plan::private(index)],
    };
    let mut boxes: Vec<NatBox> = Vec::new();
    for (depth, nat) in nats.iter().enumerate() {
        let node = router(lab, &format!("nat-{index}-{depth}"))?;
        let rules =
            ruleset(*nat, Translation { external: chain[depth], internal: chain[depth + 1] });
        node.run("nft", &["-f", "-"], &rules.unwrap_or_default())?;
        // RFC 4787 §4.3: a UDP mapping lives for two minutes at least; Linux gives an unanswered
        // one 30 seconds.
        node.sysctl(&[
            ("net/netfilter/nf_conntrack_udp_timeout", "300"),
            ("net/netfilter/nf_conntrack_udp_timeout_stream", "300"),
        ])?;
        let mut outside = vec![IpAddr::V4(chain[depth])];
        if access.has_ipv6() {
            forward_ipv6(&node)?;
            outside.push(plan::box_ipv6(index).into());
        }
        match boxes.last() {
            Some(above) => attach(&above.namespace, INSIDE, &node, OUTSIDE, &outside)?,
            None => attach(internet, &port(index), &node, OUTSIDE, &outside)?,
        }
        boxes.push(NatBox { namespace: node, external: chain[depth].into() });
    }
    if !access.has_ipv4() {
        let node = router(lab, &format!("firewall-{index}"))?;
        forward_ipv6(&node)?;
        attach(internet, &port(index), &node, OUTSIDE, &[plan::box_ipv6(index).into()])?;
        boxes.push(NatBox { namespace: node, external: plan::box_ipv6(index).into() });
    }
    if let Some(outermost) = boxes.first() {
        for rules in firewall::rulesets(access) {
            outermost.namespace.run("nft", &["-f", "-"], &rules)?;
        }
    }
    if access.has_ipv6() {
        let inside = plan::network(plan::client_ipv6(index).into()).trunc();
        internet.ip(&format!("route add {inside} via {}\n", plan::box_ipv6(index)))?;
    }
    Ok(boxes)
}
