//! WebRTC clients, each with itself and with others, through `turnd` and nothing else.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::call::{Media, call, settings};
use crate::legs::{Leg, Server};
use crate::peer::{Client, Peer};
use causeway_tests::daemon::certificates::{Certificates, KeyKind};

/// Two endpoints of one client over one transport.
fn alike(client: Client, leg: Leg, media: Media) {
    let server = match leg {
        Leg::Udp | Leg::Tcp => Server::start(Ipv4Addr::LOCALHOST, ""),
        // OpenSSL, Go and Chromium check names and chain, and know nothing but the root.
        Leg::Tls => {
            Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Ecdsa), "")
        }
        Leg::Dtls => {
            Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Rsa), "")
        }
    };
    call(&server, (client, leg), (client, leg), media);
    server.end();
}

#[test]
fn aiortc_over_udp() {
    alike(Client::Aiortc, Leg::Udp, Media::DataAndSound);
}

#[test]
fn aiortc_over_tcp() {
    alike(Client::Aiortc, Leg::Tcp, Media::DataAndSound);
}

#[test]
fn aiortc_over_tls() {
    alike(Client::Aiortc, Leg::Tls, Media::DataAndSound);
}

#[test]
fn pion_over_udp() {
    alike(Client::Pion, Leg::Udp, Media::DataAndSound);
}

#[test]
fn pion_over_tcp() {
    alike(Client::Pion, Leg::Tcp, Media::DataAndSound);
}

#[test]
fn pion_over_tls() {
    alike(Client::Pion, Leg::Tls, Media::DataAndSound);
}

#[test]
fn pion_over_dtls() {
    alike(Client::Pion, Leg::Dtls, Media::DataAndSound);
}

#[test]
fn libwebrtc_over_udp() {
    alike(Client::Libwebrtc, Leg::Udp, Media::DataAndSound);
}

#[test]
fn libwebrtc_over_tcp() {
    alike(Client::Libwebrtc, Leg::Tcp, Media::DataAndSound);
}

#[test]
fn chromium_over_udp() {
    alike(Client::Chromium, Leg::Udp, Media::DataAndSound);
}

#[test]
fn chromium_over_tcp() {
    alike(Client::Chromium, Leg::Tcp, Media::DataAndSound);
}

#[test]
fn chromium_over_tls() {
    alike(Client::Chromium, Leg::Tls, Media::DataAndSound);
}

#[test]
fn each_with_each_over_unlike_transports() {
    let server = Server::start(Ipv4Addr::LOCALHOST, "");
    let clients = [Client::Aiortc, Client::Pion, Client::Libwebrtc, Client::Chromium];
    for (number, caller) in clients.into_iter().enumerate() {
        for callee in clients.into_iter().skip(number + 1) {
            call(&server, (caller, Leg::Udp), (callee, Leg::Tcp), Media::DataAndSound);
        }
    }
    server.end();
}

#[test]
fn each_over_the_most_that_it_has() {
    let server =
        Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Rsa), "");
    let (aiortc, pion) = ((Client::Aiortc, Leg::Tls), (Client::Pion, Leg::Dtls));
    let (libwebrtc, chromium) = ((Client::Libwebrtc, Leg::Udp), (Client::Chromium, Leg::Tls));
    for (caller, callee) in
        [(aiortc, pion), (pion, libwebrtc), (chromium, aiortc), (chromium, pion)]
    {
        call(&server, caller, callee, Media::DataAndSound);
    }
    server.end();
}

#[test]
fn who_does_not_know_the_authority_gets_no_relayed_candidate() {
    let server =
        Server::with_certificates(Ipv4Addr::LOCALHOST, Certificates::make(KeyKind::Ecdsa), "");
    let others = Certificates::make(KeyKind::Ecdsa);
    for (client, leg) in
        [(Client::Pion, Leg::Tls), (Client::Pion, Leg::Dtls), (Client::Chromium, Leg::Tls)]
    {
        for (root, trusts) in [(server.root(), true), (Some(others.root()), false)] {
            let settings = settings(&server, "caller", leg, Media::Data);
            let mut peer = Peer::start(client, root, &settings);
            let description = peer.hear("description");
            let sdp = description["sdp"].as_str().expect("a description has it");
            assert_eq!(
                sdp.contains("typ relay"),
                trusts,
                "{client:?} over {leg:?}: {sdp}\n{}",
                server.turnd.log()
            );
        }
    }
    server.end();
}

#[test]
fn libwebrtc_and_chromium_over_ipv6() {
    // aiortc takes no URI with an IPv6 address, and pion gathers nothing from one.
    let server = Server::start(Ipv6Addr::LOCALHOST, "");
    for (ours, theirs) in [(Leg::Udp, Leg::Tcp), (Leg::Tcp, Leg::Udp)] {
        call(&server, (Client::Libwebrtc, ours), (Client::Chromium, theirs), Media::DataAndSound);
    }
    server.end();
}
