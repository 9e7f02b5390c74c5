//! UDP clients behind a proxy with the PROXY protocol: after a crash, the worker that the kernel
//! steers the proxy's datagrams to has them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use causeway_relay::Transport;
use causeway_tests::daemon::leg::{arrives, udp};

use crate::redis_server::RedisServer;
use crate::relay::{Relay, records};
use causeway_tests::daemon::talker::{Link, Talker, channel_data};

const CLIENTS: u16 = 12;

/// A client's connection through the one socket of the proxy.
struct Proxied {
    client: SocketAddrV4,
    socket: Rc<UdpSocket>,
}

impl Link for Proxied {
    fn send(&mut self, bytes: &[u8]) {
        // Version 2, PROXY, UDP over IPv4.
        let mut message = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0C".to_vec();
        message.extend(self.client.ip().octets());
        message.extend([203, 0, 113, 1]);
        message.extend(self.client.port().to_be_bytes());
        message.extend(3478_u16.to_be_bytes());
        message.extend(bytes);
        self.socket.send(&message).expect("loopback accepts it");
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut bytes = [0; 2048];
        let len = self.socket.recv(&mut bytes).expect("an answer in time");
        bytes[..len].to_vec()
    }
}

#[test]
fn udp_clients_behind_a_proxy_go_on_after_a_crash_and_hear_their_peers_first() {
    let redis = RedisServer::start();
    let trusting = |config: &str| {
        config.replacen("[relay]", "proxy_protocol = { trusted = [\"127.0.0.1/32\"] }\n[relay]", 1)
    };
    let mut relay = Relay::start_as(&redis.url(), trusting);
    let (proxy, peer) = (udp(), udp());
    proxy.connect(relay.service.address).expect("loopback exists");
    let proxy = Rc::new(proxy);
    let mut clients: Vec<(u16, Talker<Proxied>, SocketAddr)> = Vec::new();
    for number in 0..CLIENTS {
        let client =
            SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, number as u8 + 1), 4711 + number);
        let link = Proxied { client, socket: Rc::clone(&proxy) };
        let mut talker = Talker::over(client.into(), Transport::Udp, link);
        let relayed = talker.allocate();
        assert_eq!(talker.bind(0x4000 + number, peer.local_addr().expect("it is bound")), None);
        clients.push((0x4000 + number, talker, relayed));
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while records(&redis).iter().filter(|record| record.channels.len() == 1).count()
        != usize::from(CLIENTS)
    {
        assert!(Instant::now() < deadline, "{} records are there", records(&redis).len());
        std::thread::sleep(Duration::from_millis(10));
    }
    let kept = records(&redis);
    assert!(
        kept.len() == usize::from(CLIENTS)
            && kept.iter().all(|record| record.proxy == proxy.local_addr().ok()),
        "{kept:?}"
    );
    relay.crash();
    relay.until_restored(u64::from(CLIENTS));

    // A peer's data reach the proxy before the client has sent anything.
    let mut expected = BTreeSet::new();
    for (channel, _, relayed) in &clients {
        peer.send_to(b"pong", relayed).expect("loopback accepts it");
        expected.insert(channel_data(*channel, b"pong", Transport::Udp));
    }
    let heard: BTreeSet<Vec<u8>> =
        clients.iter_mut().map(|(_, talker, _)| talker.link.receive()).collect();
    assert_eq!(heard, expected);
    for (channel, talker, relayed) in &mut clients {
        talker.send_channel(*channel, b"ping");
        assert_eq!(arrives(&peer), (b"ping".to_vec(), *relayed));
        assert_eq!(talker.refresh(600), None);
    }
    relay.service.end();
}

#[test]
fn a_proxy_that_has_moved_is_written_down() {
    let redis = RedisServer::start();
    let one_worker = |config: &str| {
        let config = config.replace("workers = 4", "workers = 1");
        config.replacen("[relay]", "proxy_protocol = { trusted = [\"127.0.0.1/32\"] }\n[relay]", 1)
    };
    let relay = Relay::start_as(&redis.url(), one_worker);
    let client = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 4711);
    let from = || {
        let socket = udp();
        socket.connect(relay.service.address).expect("loopback exists");
        Rc::new(socket)
    };
    let (first, second) = (from(), from());
    let link = Proxied { client, socket: Rc::clone(&first) };
    let mut talker = Talker::over(client.into(), Transport::Udp, link);
    talker.allocate();
    let proxy = || records(&redis).first().and_then(|record| record.proxy);
    for socket in [&first, &second] {
        talker.link.socket = Rc::clone(socket);
        // A Binding request does not change the allocation.
        talker.link.send(&[&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat());
        talker.link.receive();
        let deadline = Instant::now() + Duration::from_secs(5);
        while proxy() != socket.local_addr().ok() {
            assert!(Instant::now() < deadline, "{:?} is not {:?}", proxy(), socket.local_addr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    relay.service.end();
}
