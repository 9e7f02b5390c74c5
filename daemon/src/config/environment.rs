//! Environment variables into the tree: `TURND_RELAY__PORTS` is `relay.ports`.

use std::ffi::OsString;

use zeroize::Zeroizing;

use super::error::Problem;
use super::tree::{Node, Origin, Value};

/// Lays the variables of the service's prefix over `tree`. The others are no concern of ours.
///
/// `is_key` tells whether a top-level key exists, so that a real key is never mistaken for one of Kubernetes' variables.
pub(super) fn overlay(
    tree: &mut Node,
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    is_key: impl Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    // Sorted, so that LISTEN__0 comes before LISTEN__1 whatever the order of the environment.
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_')))
        .collect();
    ours.sort();
    for (name, value) in ours {
        let key = name[prefix.len() + 1..].to_lowercase();
        if key == "config" || (!is_key(&key) && is_kubernetes_link(&key)) {
            continue;
        }
        let path: Vec<String> = key.split("__").map(str::to_owned).collect();
        let dotted = path.join(".");
        let origin = Origin::Environment(name);
        let Ok(value) = value.into_string() else {
            problems.push(Problem::new(dotted, "the value is no UTF-8 text").at(origin));
            continue;
        };
        if path.iter().any(String::is_empty) {
            problems.push(Problem::new(dotted, "segments of a key are joined by two underscores").at(origin));
            continue;
        }
        let node = Node { value: Value::Raw(Zeroizing::new(value)), origin: origin.clone() };
        if let Err(blocked) = tree.insert(&path, node) {
            problems.push(Problem::new(dotted, format!("there is nothing at {blocked} to set")).at(origin));
        }
    }
}

/// Kubernetes describes each Service to each container in variables that start with the Service's name: a Service called
/// `turnd` yields `TURND_SERVICE_HOST`, `TURND_PORT`, `TURND_PORT_3478_UDP_ADDR`. They are not ours to refuse.
fn is_kubernetes_link(key: &str) -> bool {
    if key.contains("__") {
        return false;
    }
    let key = format!("_{key}");
    let numbered =
        key.split_once("_port_").is_some_and(|(_, rest)| rest.split('_').next().is_some_and(|number| number.parse::<u16>().is_ok()));
    key.ends_with("_service_host") || key.contains("_service_port") || key.ends_with("_port") || numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_service_links_are_told_from_keys() {
        for key in ["service_host", "service_port", "service_port_turn", "port", "port_3478_udp", "udp_port_3478_udp_addr"] {
            assert!(is_kubernetes_link(key), "{key}");
        }
        for key in ["realm", "relay_ports", "relay__ports", "nat_discovery__alternate_port", "port_range"] {
            assert!(!is_kubernetes_link(key), "{key}");
        }
    }
}
