//! DTLS behind a proxy that puts a PROXY header before each datagram.

use std::sync::Arc;

use causeway_net::TrustedProxies;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Fate, Path, Wish, faithful};
use crate::server::{Server, Settings, socket};

/// A proxy on the way to the server: it names the client's address, 192.0.2.1 with this port, and
/// the destination.
fn naming(port: u16) -> Fate {
    Box::new(move |datagram| {
        let header =
            [&b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c"[..], &[192, 0, 2, 1, 198, 51, 100, 7]].concat();
        vec![[&header[..], &port.to_be_bytes(), &3478u16.to_be_bytes(), &datagram].concat()]
    })
}

#[test]
fn clients_behind_one_proxy_have_associations_of_their_own() {
    let authority = Authority::new(Kind::Ecdsa, "turn.example.org");
    let proxies = Some(Arc::new(TrustedProxies::new([("127.0.0.2".parse().unwrap(), 32)])));
    let server =
        Server::start_with(vec![authority.identity()], Settings { proxies, ..Settings::default() });
    let proxy = socket("127.0.0.2:0");
    let connect = |port| {
        let path = Path::new(proxy.try_clone().unwrap(), server.address, naming(port), faithful());
        Client::connect(path, &Wish::verified(&authority.root, "turn.example.org")).unwrap()
    };
    let mut first = connect(1_001);
    let one = server.associated();
    assert_eq!(
        (one.peer.to_string(), one.local.to_string()),
        ("192.0.2.1:1001".into(), "198.51.100.7:3478".into())
    );
    let mut second = connect(1_002);
    let two = server.associated();
    assert_eq!(two.peer.to_string(), "192.0.2.1:1002");

    for (client, info) in [(&mut first, one), (&mut second, two)] {
        client.assert_echo(b"through the proxy");
        let (arrival, _) = server.datagram();
        assert_eq!(
            (arrival.association, arrival.source, arrival.destination),
            (Some(info.key), info.peer, info.local)
        );
        assert_eq!(arrival.via, Some(proxy.local_addr().unwrap()));
    }
}
