//! A veth cable between two namespaces.

use std::process::Command;

use ipnet::IpNet;

use crate::namespace::run;
use crate::{LabError, Namespace};

/// One end of a cable: the device's name inside its namespace and the addresses it gets.
pub(crate) struct End<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) device: &'a str,
    pub(crate) addresses: &'a [IpNet],
}

/// Lays a cable and brings both ends up. The devices are born inside the namespaces and die with
/// them.
pub(crate) fn connect(left: &End<'_>, right: &End<'_>) -> Result<(), LabError> {
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
