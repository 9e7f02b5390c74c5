//! Whether there is IPv6 is not asked of `::1`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use causeway_tests::daemon::service::{self, Service};

use crate::host::{ip, within};

const BINDING: &[u8] = &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

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
            assert!(answers(Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, 5).into()), "{name}:\n{}", service.log());
            assert!(answers(Ipv4Addr::new(20, 0, 0, 5).into()), "{name}:\n{}", service.log());
            service.end();
        }
    });
}

fn answers(server: IpAddr) -> bool {
    let socket = UdpSocket::bind((server, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    // Its TCP port may be open a moment before this one.
    (0..20).any(|_| {
        socket.send_to(BINDING, (server, 3478)).unwrap();
        socket.recv(&mut [0; 512]).is_ok()
    })
}
