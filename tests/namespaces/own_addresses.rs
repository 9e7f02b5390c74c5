//! H5 on wildcard addresses while the host's addresses change, with netlink and without.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use causeway_client::Failure;
use causeway_kit::port;
use causeway_tests::daemon::caller::Caller;
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};
use causeway_wire::ErrorCode;
use causeway_wire::attribute::AddressFamily;

use crate::host::{BINDING, answers, ip, sysctl, within};

/// How long to wait for a packet that should not come.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(5);

#[test]
fn h55_wildcard_listeners_are_no_peers_at_addresses_that_come_later() {
    within(
        "own_addresses::h55_wildcard_listeners_are_no_peers_at_addresses_that_come_later",
        || addresses_come_and_go(None),
    );
}

#[test]
fn h55_the_same_where_netlink_is_forbidden() {
    within("own_addresses::h55_the_same_where_netlink_is_forbidden", || {
        addresses_come_and_go(Some("netlink"));
    });
}

fn addresses_come_and_go(denied: Option<&'static str>) {
    let port = port::free();
    let turnd = Service::start_sandboxed(
        "turnd",
        (Ipv4Addr::LOCALHOST, port).into(),
        &config(port),
        &[],
        denied,
    );
    let v4 = Host { server: turnd.address, port, family: AddressFamily::Ipv4 };
    let v6 = Host { family: AddressFamily::Ipv6, ..v4 };

    for own in ["20.0.0.5", "127.0.0.1"] {
        assert_eq!(v4.judged(own), Some(ErrorCode::FORBIDDEN), "the host has {own} from the start");
    }
    assert_eq!(v6.judged("2600::5"), Some(ErrorCode::FORBIDDEN));

    v4.becomes_its_own("20.0.9.9", "addr add 20.0.9.9/32 dev d0");
    v6.becomes_its_own("2600:9::9", "addr add 2600:9::9/128 dev d0 nodad");
    // To the second address of a subnet the kernel sends from the first.
    v4.becomes_its_own("20.0.0.6", "addr add 20.0.0.6/24 dev d0");
    // All addresses of a prefix on the loopback device are the host's, and so are those of a local
    // route.
    v4.becomes_its_own("30.0.0.77", "addr add 30.0.0.1/24 dev lo");
    v4.becomes_its_own("40.0.0.3", "route add local 40.0.0.0/24 dev lo");
    ip("-6 route add local 2600:1::/64 dev lo");
    assert_eq!(v6.judged("2600:1::7"), Some(ErrorCode::FORBIDDEN), "an address of no device");

    sysctl("ipv4/ip_nonlocal_bind", "1");
    sysctl("ipv6/ip_nonlocal_bind", "1");
    for (host, own, other) in [(v4, "20.0.0.6", "20.0.0.77"), (v6, "2600:9::9", "2600::77")] {
        assert_eq!(
            host.judged(own),
            Some(ErrorCode::FORBIDDEN),
            "{own}, where every address can be bound"
        );
        assert_eq!(host.judged(other), None, "{other}, where every address can be bound");
    }

    ip("addr del 20.0.9.9/32 dev d0");
    assert_eq!(v4.judged("20.0.9.9"), None, "it may be another host's now");
    // The smallest MTU that the loopback device may have with IPv6: then it tells nothing.
    ip("link set lo mtu 1500");
    assert_eq!(
        v4.judged("20.0.0.6"),
        Some(ErrorCode::FORBIDDEN),
        "with an MTU that other devices have"
    );
    turnd.end();
}

#[test]
fn h55_wildcard_listeners_without_known_own_addresses_need_a_flag() {
    within("own_addresses::h55_wildcard_listeners_without_known_own_addresses_need_a_flag", || {
        let port = port::free();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (status, said) = Service::refused_sandboxed("turnd", &config(port), "connect");
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(
            said.contains("--insecure-wildcard-listeners")
                && said.contains(&format!("0.0.0.0:{port}")),
            "{said}"
        );

        let allowed = Service::start_sandboxed(
            "turnd",
            address,
            &config(port),
            &["--insecure-wildcard-listeners"],
            Some("connect"),
        );
        allowed.until_log("cannot tell which addresses are this host's");
        allowed.end();

        let named = service::turnd_config(address, "", "");
        Service::start_sandboxed("turnd", address, &named, &[], Some("connect")).end();
    });
}

/// A configuration with wildcard listeners and relayed addresses of both families.
fn config(port: u16) -> String {
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let config = service::turnd_config(wildcard, "", "");
    let config =
        config.replace("[relay]\n", &format!("[[listen]]\naddress = \"[::]:{port}\"\n[relay]\n"));
    config.replace(r#"["127.0.0.1"]"#, r#"["20.0.0.5", "2600::5"]"#)
}

/// This host as the clients of one family see it.
#[derive(Clone, Copy)]
struct Host {
    server: SocketAddr,
    port: u16,
    family: AddressFamily,
}

impl Host {
    fn caller(&self) -> Caller {
        Caller::allocate_of(Some(self.family), self.server, USER, PASSWORD).expect("there is room")
    }

    fn at(&self, ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), self.port)
    }

    /// The answer to a new client that binds a channel to the listeners' port at `ip`.
    fn judged(&self, ip: &str) -> Option<ErrorCode> {
        let mut caller = self.caller();
        let outcome = caller.bind(self.at(ip));
        caller.close();
        match outcome {
            Ok(()) => None,
            Err(Failure::Refused(refusal)) => Some(refusal.code),
            Err(failure) => panic!("{ip}: {failure}"),
        }
    }

    /// Checks an address that becomes the host's own: clients reach the listeners there directly,
    /// and not through the relay, even with the channels and permissions that they have.
    fn becomes_its_own(&self, ip: &str, by: &str) {
        let peer = self.at(ip);
        let (mut channel, mut permission) = (self.caller(), self.caller());
        channel
            .bind(peer)
            .unwrap_or_else(|failure| panic!("{ip} is not the host's own yet: {failure}"));
        permission.permit(peer.ip()).unwrap();
        crate::host::ip(by);
        let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        // With retries: the kernel adds the route to a new IPv6 address a moment after the address,
        // even without duplicate address detection.
        assert!(answers(any, peer, 50, LONG / 50), "the listener is reached at {ip}");
        assert!(!channel.is_answered(peer, BINDING, SHORT), "{ip} through a channel");
        assert!(!permission.is_answered(peer, BINDING, SHORT), "{ip} by a permission");
        assert_eq!(self.judged(ip), Some(ErrorCode::FORBIDDEN), "{ip}");
    }
}
