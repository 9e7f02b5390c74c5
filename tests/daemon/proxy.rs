//! Clients behind a proxy with the PROXY protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use causeway_relay::Transport;
use causeway_wire::Method;

use crate::turnd::turnd_listening;
use causeway_tests::daemon::leg::{arrives, udp};

/// The client in the header of the proxy.
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 4711);
const TRUSTED: &str = "proxy_protocol = { trusted = [\"127.0.0.1/32\"] }\n";

#[test]
fn a_client_behind_a_trusted_proxy_has_the_address_of_the_header() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let turnd = turnd_listening(&["udp", "tcp", "tls"], TRUSTED);
        let proxy = if transport == Transport::Udp {
            datagrams(turnd.address, header())
        } else {
            streams(turnd.address, header())
        };
        let (mut talker, peer) = (turnd.talker_through(proxy, transport), udp());
        let id = talker.client.next_transaction();
        let binding = talker.exchange(&talker.client.unsigned(id, Method::BINDING, &|_| Ok(())));
        assert_eq!(binding.mapped(), Some(CLIENT.into()), "{transport:?}");
        let relayed = talker.allocate();
        assert_eq!(talker.bind(0x4000, peer.local_addr().unwrap()), None);
        talker.send_channel(0x4000, b"there");
        assert_eq!(arrives(&peer), (b"there".to_vec(), relayed));
        peer.send_to(b"back", relayed).unwrap();
        assert_eq!(talker.link.receive(), Some(b"\x40\x00\x00\x04back".to_vec()), "{transport:?}");
    }
}

/// HAProxy with `bind :::3478 v4v6` names an IPv4 client in this form.
#[test]
fn h54_a_client_in_mapped_form_has_its_ipv4_address() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let turnd = turnd_listening(&["udp", "tcp", "tls"], TRUSTED);
        let header = mapped_header();
        let proxy = if transport == Transport::Udp {
            datagrams(turnd.address, header)
        } else {
            streams(turnd.address, header)
        };
        let mut talker = turnd.talker_through(proxy, transport);
        let id = talker.client.next_transaction();
        let binding = talker.exchange(&talker.client.unsigned(id, Method::BINDING, &|_| Ok(())));
        assert_eq!(binding.mapped(), Some(CLIENT.into()), "{transport:?}");
        talker.allocate();
        turnd.until_log(&format!("client={CLIENT}"));
    }
}

#[test]
fn an_untrusted_address_cannot_send_a_header_and_a_trusted_one_must() {
    // From 127.0.0.1 a header is required: a packet without one is dropped.
    let turnd = turnd_listening(&["udp", "tcp"], TRUSTED);
    let bare = udp();
    bare.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
    bare.send_to(&request, turnd.address).unwrap();
    assert!(bare.recv(&mut [0; 512]).is_err(), "no header, no answer");
    let mut stream = TcpStream::connect(turnd.address).unwrap();
    stream.write_all(&request).unwrap();
    assert!(matches!(stream.read(&mut [0; 512]), Ok(0) | Err(_)), "closed");

    // 127.0.0.2 is not trusted: a header is not STUN, and a packet without one is a client's own.
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    other.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    other.send_to(&[&header()[..], &request].concat(), turnd.address).unwrap();
    assert!(other.recv(&mut [0; 512]).is_err(), "a header from an untrusted address");
    other.send_to(&request, turnd.address).unwrap();
    assert!(other.recv(&mut [0; 512]).is_ok(), "a client without a proxy");
}

#[test]
fn a_client_that_is_back_before_its_connection_has_ended_has_the_new_one() {
    let turnd = turnd_listening(&["tcp"], &format!("{TRUSTED}[net]\nworkers = 1\n"));
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
    let connect = || {
        let mut stream = TcpStream::connect(turnd.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&[&header()[..], &request].concat()).unwrap();
        assert_eq!(stream.read(&mut [0; 512]).unwrap(), 32);
        stream
    };
    let (mut old, mut new) = (connect(), connect());
    let ended = old.read(&mut [0; 512]);
    assert!(
        ended.as_ref().is_ok_and(|len| *len == 0)
            || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    );
    drop(old);
    new.write_all(&request).unwrap();
    assert_eq!(
        new.read(&mut [0; 512]).unwrap(),
        32,
        "the end of the old connection does not end the new one"
    );
}

/// A header of version 2: PROXY, TCP over IPv4.
fn header() -> Vec<u8> {
    let server = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 3478);
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0C".to_vec();
    header.extend(CLIENT.ip().octets());
    header.extend(server.ip().octets());
    header.extend(CLIENT.port().to_be_bytes());
    header.extend(server.port().to_be_bytes());
    header
}

/// The header of a proxy with one socket for both families: TCP over IPv6.
fn mapped_header() -> Vec<u8> {
    let server = Ipv4Addr::new(203, 0, 113, 1);
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    header.extend(CLIENT.ip().to_ipv6_mapped().octets());
    header.extend(server.to_ipv6_mapped().octets());
    header.extend(CLIENT.port().to_be_bytes());
    header.extend(3478_u16.to_be_bytes());
    header
}

/// Forwards the datagrams of one client, each with a header, and the answers without one. Returns
/// its address.
fn datagrams(server: SocketAddr, mut header: Vec<u8>) -> SocketAddr {
    let (front, back) = (udp(), udp());
    let address = front.local_addr().unwrap();
    back.connect(server).unwrap();
    let (front_again, back_again) = (front.try_clone().unwrap(), back.try_clone().unwrap());
    header[13] += 1; // UDP
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        // Ends with the timeout of the sockets, after the test.
        while let Ok((len, client)) = front.recv_from(&mut buffer) {
            front.connect(client).unwrap();
            back.send(&[&header[..], &buffer[..len]].concat()).unwrap();
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(len) = back_again.recv(&mut buffer) {
            let _ = front_again.send(&buffer[..len]); // the client may have ended
        }
    });
    address
}

/// Forwards one connection, after a header. Returns its address.
fn streams(server: SocketAddr, header: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (front, _) = listener.accept().unwrap();
        let mut back = TcpStream::connect(server).unwrap();
        back.write_all(&header).unwrap();
        let (mut front_again, mut back_again) =
            (front.try_clone().unwrap(), back.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut back_again, &mut front_again));
        std::io::copy(&mut &front, &mut back)
    });
    address
}
