//! The services find out whether the host has IPv6 without `::1`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use causeway_tests::daemon::service::{self, Service};

use crate::host::{answers, ip, within};

#[test]
fn h55_both_services_listen_on_ipv6_without_a_loopback_address_of_it() {
    within("families::h55_both_services_listen_on_ipv6_without_a_loopback_address_of_it", || {
        ip("-6 addr del ::1/128 dev lo");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 3478));
        let listen = format!("[[listen]]\naddress = \"{address}\"\n");
        let turnd = service::turnd_config(address, "", "").replace(&listen, "");
        let stund = service::stund_config(address).replace(&listen, "");
        for (name, config) in [("turnd", turnd), ("stund", stund)] {
            let service = Service::start_sandboxed(name, address, &config, &[], Some("netlink"));
            for server in [
                IpAddr::from(Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, 5)),
                Ipv4Addr::new(20, 0, 0, 5).into(),
            ] {
                // Its TCP port may open a moment before its UDP port.
                assert!(
                    answers(server, (server, 3478).into(), 20, Duration::from_millis(500)),
                    "{name}:\n{}",
                    service.log()
                );
            }
            service.end();
        }
    });
}
