//! How to find a server if the user named none (RFC 8155).

use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;

use super::resolution::ANYCAST;
use crate::uri::{Host, Scheme, ServerUri};

/// The DNS domain of this host by the system's configuration: the one from DHCP (RFC 8155 §4.1.1),
/// if the system passes it on.
#[must_use]
pub fn local_domain() -> Option<String> {
    let (config, _) = read_system_conf().ok()?;
    let named = config.domain().into_iter().chain(config.search());
    let mut names =
        named.filter(|name| !name.is_root() && !name.is_localhost()).map(Name::to_ascii);
    names.next()
}

/// The URI that stands for "the TURN servers of this network": its domain, or the anycast address.
#[must_use]
pub fn local_uri(domain: Option<&str>) -> ServerUri {
    let [anycast, _]: [IpAddr; 2] = ANYCAST;
    let host = domain.and_then(|domain| domain.parse().ok()).unwrap_or(Host::Ip(anycast));
    ServerUri { scheme: Scheme::Turn, secure: false, host, port: None, protocol: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8155_4_and_6_the_domain_or_the_anycast_address() {
        assert_eq!(local_uri(Some("Example.org")).to_string(), "turn:example.org");
        assert_eq!(local_uri(None).to_string(), "turn:192.0.0.10");
    }
}
