//! Connecting namespaces: a veth cable, addresses and routes.

use std::net::IpAddr;
use std::process::Command;

use ipnet::IpNet;

use crate::namespace::run;
use crate::plan::{gateway, network};
use crate::{LabError, LabName, Namespace};

/// A namespace that forwards.
pub(crate) fn router(lab: &LabName, role: &str) -> Result<Namespace, LabError> {
    let namespace = Namespace::create(lab, role)?;
    namespace.sysctl(&[("net/ipv4/ip_forward", "1")])?;
    Ok(namespace)
}

/// Lets a router forward IPv6, too.
pub(crate) fn forward_ipv6(router: &Namespace) -> Result<(), LabError> {
    router.enable_ipv6()?;
    router.sysctl(&[("net/ipv6/conf/all/forwarding", "1")])
}

/// Connects `node` below `above`: a cable, the networks of the addresses, and for each family the
/// default route to the gateway.
pub(crate) fn attach(
    above: &Namespace,
    port: &str,
    node: &Namespace,
    device: &str,
    addresses: &[IpAddr],
) -> Result<(), LabError> {
    let own: Vec<IpNet> = addresses.iter().copied().map(network).collect();
    let mut gateways: Vec<IpAddr> = addresses.iter().copied().map(gateway).collect();
    gateways.dedup();
    let above_own: Vec<IpNet> = gateways.iter().copied().map(network).collect();
    connect(
        &End { namespace: above, device: port, addresses: &above_own },
        &End { namespace: node, device, addresses: &own },
    )?;
    let routes: String =
        gateways.iter().map(|gateway| format!("route add default via {gateway}\n")).collect();
    node.ip(&routes)
}

/// One end of a cable: the device's name inside its namespace and the addresses it gets.
struct End<'a> {
    namespace: &'a Namespace,
    device: &'a str,
    addresses: &'a [IpNet],
}

/// Lays a cable and brings both ends up. The devices are born inside the namespaces and die with
/// them.
fn connect(left: &End<'_>, right: &End<'_>) -> Result<(), LabError> {
    run(
        Command::new("ip")
            .args(["link", "add", left.device, "netns", left.namespace.name(), "type", "veth"])
            .args(["peer", "name", right.device, "netns", right.namespace.name()]),
        "",
    )?;
    left.raise()?;
    right.raise()
}

impl End<'_> {
    fn raise(&self) -> Result<(), LabError> {
        // Without `nodad` an IPv6 address could not be used for a second or two.
        let flags = |address: &IpNet| if matches!(address, IpNet::V6(_)) { " nodad" } else { "" };
        let add =
            |address: &IpNet| format!("addr add {address} dev {}{}\n", self.device, flags(address));
        let mut lines: String = self.addresses.iter().map(add).collect();
        lines.push_str(&format!("link set {} up\n", self.device));
        self.namespace.ip(&lines)
    }
}
