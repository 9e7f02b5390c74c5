//! Refusals that an operator must act on have a log line with source and reason, and a counter by
//! reason, in both servers (H57).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use causeway_kit::port;
use causeway_relay::Transport;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::leg::Leg;
use causeway_tests::daemon::service::{Service, stund_config, turnd_config};
use causeway_wire::Method;
use causeway_wire::attribute::RequestedTransport;

use crate::turnd::turnd_with;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const BINDING: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
const TRUSTED: &str = "proxy_protocol = { trusted = [\"127.0.0.1/32\"] }\n";

/// Tests both servers on loopback, with these lines for their listener and these further tables.
fn both(listener: &str, more: &str, test: impl Fn(&Service, &Certificates)) {
    for name in ["stund", "turnd"] {
        let certificates = Certificates::make(KeyKind::Ecdsa);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let more = format!("{}{more}", certificates.table());
        let config = match name {
            "stund" => stund_config(address) + &more,
            _ => turnd_config(address, "", &more),
        };
        let line = format!("address = \"{address}\"\n");
        let service =
            Service::start(name, address, &config.replacen(&line, &format!("{line}{listener}"), 1));
        test(&service, &certificates);
        service.end();
    }
}

/// The log lines with this reason.
fn lines(service: &Service, reason: &str) -> Vec<String> {
    let of_reason = |line: &&str| {
        line.contains("causeway::refusal") && line.contains(&format!("reason=\"{reason}\""))
    };
    service.log().lines().filter(of_reason).map(str::to_owned).collect()
}

fn count(service: &Service, reason: &str) -> u64 {
    service.metric(&format!("{}_refusals_total{{reason=\"{reason}\"}}", service.name()))
}

/// Checks that the reason is counted `times` times, and logged once, with this source.
#[track_caller]
fn told(service: &Service, reason: &str, times: u64, source: &str) {
    service.until_metric_of("refusals_total", reason, times);
    service.until_log(&format!("reason=\"{reason}\""));
    let lines = lines(service, reason);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(&format!("source={source}")) && lines[0].contains("remedy="),
        "{lines:?}"
    );
}

fn header(version_command: u8, family_transport: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[version_command, family_transport], &length, body].concat()
}

fn addresses() -> Vec<u8> {
    [&[198, 51, 100, 7][..], &[203, 0, 113, 1], &5_000_u16.to_be_bytes(), &3_478_u16.to_be_bytes()]
        .concat()
}

/// Mistakes of a proxy, and the reasons that the server gives for them.
fn faults(transport: u8) -> Vec<(&'static str, Vec<u8>)> {
    let family = 0x10 | transport;
    vec![
        ("proxy-version-1", b"PROXY TCP4 198.51.100.7 203.0.113.1 5000 3478\r\n".to_vec()),
        ("proxy-no-header", BINDING.to_vec()),
        ("proxy-malformed", header(0x27, family, &addresses())),
        ("proxy-too-long", header(0x21, family, &[0; 5_000])),
        ("proxy-bad-field", header(0x21, family, &[&addresses()[..], &[4, 9, 9]].concat())),
    ]
}

/// Sends the bytes on a new connection, and waits until the server closes it.
fn send_stream(service: &Service, bytes: &[u8]) {
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _ = stream.write_all(bytes); // the server may have reset it before the end
    // An alert may arrive before the end.
    let ended = stream.read_to_end(&mut Vec::new());
    assert!(
        !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "the connection stays open"
    );
}

#[test]
fn h57_refused_headers_are_reported_by_source_and_reason() {
    both(&format!("transports = [\"udp\", \"tcp\"]\n{TRUSTED}"), "", |service, _| {
        let proxy = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (reason, bytes) in faults(1) {
            for _ in 0..3 {
                send_stream(service, &bytes);
            }
            told(service, reason, 3, "127.0.0.1");
        }
        for (reason, bytes) in faults(2) {
            for _ in 0..2 {
                proxy.send_to(&bytes, service.address).unwrap();
            }
            service.until_metric_of("refusals_total", reason, 5);
            assert_eq!(lines(service, reason).len(), 1, "the source and the reason are the same");
        }
        // A connection without a byte is a check whether the port is open.
        drop(TcpStream::connect(service.address).unwrap());
        let mut cut_short = TcpStream::connect(service.address).unwrap();
        cut_short.write_all(&header(0x21, 0x11, &addresses())[..20]).unwrap();
        drop(cut_short);
        told(service, "proxy-cut-short", 1, "127.0.0.1");
        assert_eq!(count(service, "proxy-no-header"), 5);
    });
}

#[test]
fn h57_a_header_from_an_untrusted_address_is_reported() {
    for listener in [
        format!("transports = [\"udp\", \"tcp\", \"tls\"]\n{TRUSTED}"),
        "transports = [\"udp\", \"tcp\"]\n".to_owned(),
    ] {
        both(&listener, "", |service, _| {
            let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
            let mut sent = 0;
            for bytes in [
                header(0x21, 0x12, &addresses()),
                b"PROXY TCP4 198.51.100.7 203.0.113.1 5000 3478\r\n".to_vec(),
            ] {
                stranger.send_to(&[&bytes[..], &BINDING].concat(), service.address).unwrap();
                let mut stream = dial_from("127.0.0.2:0", service.address);
                stream.write_all(&bytes).unwrap();
                sent += 2;
                service.until_metric_of("refusals_total", "proxy-untrusted", sent);
            }
            told(service, "proxy-untrusted", sent, "127.0.0.2");
        });
    }
}

#[test]
fn h57_failed_handshakes_are_reported_with_the_alert_or_the_reason() {
    both("transports = [\"udp\", \"dtls\", \"tls\"]\n", "", |service, _| {
        let other = Certificates::make(KeyKind::Ecdsa);
        for _ in 0..2 {
            let refused = std::panic::catch_unwind(|| {
                Leg::new(Transport::Tls, service.address, &other.root())
            });
            assert!(refused.is_err(), "the client does not trust this certificate");
        }
        told(service, "handshake-alert", 2, "127.0.0.1");
        assert!(lines(service, "handshake-alert")[0].contains("detail="), "the alert");
        send_stream(service, b"GET / HTTP/1.1\r\n\r\n");
        told(service, "handshake-refused", 1, "127.0.0.1");
        assert!(lines(service, "handshake-refused")[0].contains("detail=\"not TLS\""));
    });
}

#[test]
fn h57_connections_beyond_a_cap_are_reported() {
    let limits = "[limits]\ntcp_connections_per_prefix = 2\ndtls_associations_per_prefix = 1\n\
                  half_open_handshakes_per_prefix = 1\n";
    both(
        "transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n",
        limits,
        |service, certificates| {
            // Another address than that of the checks whether the port is open.
            let dial = || dial_from("127.0.0.4:0", service.address);
            let _held = [(), ()].map(|()| {
                let mut held = dial();
                held.write_all(&BINDING).unwrap();
                // It is accepted before the next one arrives, perhaps at another worker.
                held.read_exact(&mut [0; 32]).unwrap();
                held
            });
            for _ in 0..3 {
                let mut one_more = dial();
                assert!(matches!(one_more.read(&mut [0; 1]), Ok(0) | Err(_)), "reset");
            }
            told(service, "tcp-connections-per-prefix", 3, "127.0.0.4");
            let _association = Leg::new(Transport::Dtls, service.address, &certificates.root());
            let mut second = Leg::new(Transport::Dtls, service.address, &certificates.root());
            second.send(&BINDING);
            told(service, "dtls-associations-per-prefix", 1, "127.0.0.1");
            // Half-open handshakes of another address: the connections above count for theirs.
            let mut half: Vec<_> =
                (0..2).map(|_| dial_from("127.0.0.3:0", service.address)).collect();
            half.iter_mut().for_each(|stream| stream.write_all(&[0x16, 3, 1, 2, 0]).unwrap());
            told(service, "half-open-handshakes", 1, "127.0.0.3");
        },
    );
}

#[test]
fn h57_limited_answers_are_reported() {
    both("", "", |service, _| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20_000 {
            client.send_to(&BINDING, service.address).unwrap();
            if !lines(service, "answers-limited").is_empty() {
                break;
            }
        }
        service.until_log("reason=\"answers-limited\"");
        assert_eq!(lines(service, "answers-limited").len(), 1);
    });
}

#[test]
fn h57_a_request_without_the_admin_token_is_reported() {
    for name in ["stund", "turnd"] {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let config =
            if name == "stund" { stund_config(address) } else { turnd_config(address, "", "") };
        let admin = config
            .lines()
            .find_map(|line| line.strip_prefix("listen = "))
            .unwrap()
            .trim_matches('"')
            .to_owned();
        let service = Service::start(
            name,
            address,
            &config.replacen("[admin]\n", "[admin]\ntoken = \"a token\"\n", 1),
        );
        for authorization in
            ["", "Authorization: Bearer another\r\n", "Authorization: Bearer another\r\n"]
        {
            let mut stream = TcpStream::connect(&admin).unwrap();
            stream
                .write_all(
                    format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n")
                        .as_bytes(),
                )
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        }
        for reason in ["admin-no-token", "admin-wrong-token"] {
            service.until_log(&format!("reason=\"{reason}\""));
            assert_eq!(lines(&service, reason).len(), 1);
        }
        assert!(!service.log().contains("another"), "no token is logged");
        let mut stream = TcpStream::connect(&admin).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\
                       Authorization: Bearer a token\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        for line in [
            format!("{name}_refusals_total{{reason=\"admin-no-token\"}} 1"),
            format!("{name}_refusals_total{{reason=\"admin-wrong-token\"}} 2"),
        ] {
            assert!(text.contains(&line), "{text}");
        }
        service.end();
    }
}

#[test]
fn h57_allocations_beyond_a_quota_are_reported_with_the_quota() {
    for (limit, reason) in [
        ("allocations_per_user", "allocations-per-user"),
        ("allocations_per_prefix", "allocations-per-prefix"),
    ] {
        let turnd = turnd_with(
            r#""allow 127.0.0.0/8""#,
            &format!("[limits]\n{limit} = 1\n[net]\nworkers = 1\n"),
        );
        let mut first = turnd.talker(Transport::Udp);
        first.allocate();
        for _ in 0..2 {
            let mut second = turnd.talker(Transport::Udp);
            let answer =
                second.ask(Method::ALLOCATE, &|w| w.put(&RequestedTransport::UDP).map(drop));
            assert_eq!(answer.error(), Some(486));
        }
        told(&turnd, reason, 2, "127.0.0.1");
    }
}

fn dial_from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&source.parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.into()
}
