//! RFC 7443: the ALPN labels of TLS and DTLS clients; and the cipher suites of RFC 8489 §6.2.3.
//! Tested on the running daemons.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use causeway_kit::port;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::leg::Connected;
use causeway_tests::daemon::service::{self, Service};
use causeway_wire::{Class, Message, MessageWriter, Method, TransactionId};

use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// "Label to identify the specific use of STUN over (D)TLS for TURN" (RFC 7443 §1).
const TURN: &[u8] = b"stun.turn";
/// "Label to identify the specific use of STUN over (D)TLS for NAT discovery" (RFC 7443 §1).
const NAT_DISCOVERY: &[u8] = b"stun.nat-discovery";

#[test]
fn rfc7443_1_stund_takes_nat_discovery_and_turnd_that_and_turn() {
    each(|daemon| {
        for over in BOTH {
            for label in daemon.labels {
                assert_eq!(daemon.negotiated(over, &[label]), Ok(Some(label.to_vec())), "{over:?}");
            }
        }
    });
}

#[test]
fn rfc7443_1_among_several_labels_each_daemon_takes_what_it_is_for() {
    each(|daemon| {
        for labels in [[TURN, NAT_DISCOVERY], [NAT_DISCOVERY, TURN], [b"h2", daemon.labels[0]]] {
            for over in BOTH {
                assert_eq!(daemon.negotiated(over, &labels), Ok(Some(daemon.labels[0].to_vec())));
            }
        }
    });
}

#[test]
fn rfc7443_1_who_offers_no_label_is_served() {
    each(|daemon| {
        for over in BOTH {
            assert_eq!(daemon.negotiated(over, &[]), Ok(None));
        }
    });
}

/// "positively identify an application protocol" (RFC 7443 §1): what is not this protocol is
/// refused, with the alert of ALPN.
#[test]
fn rfc7443_1_who_offers_other_labels_only_is_refused() {
    each(|daemon| {
        for labels in [&[TURN][..], &[b"h2", b"http/1.1"], &[b"stun"]] {
            for over in BOTH {
                if labels.iter().any(|label| daemon.labels.contains(label)) {
                    continue;
                }
                let refused = daemon.negotiated(over, labels).unwrap_err();
                assert!(refused.contains("no application protocol"), "{over:?}: {refused}");
            }
        }
    });
}

/// "the TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 and TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 ciphersuites
/// MUST be implemented" (RFC 8489 §6.2.3): of the two, the second is.
#[test]
fn rfc8489_6_2_3_the_cipher_suite_of_old_clients_is_implemented_and_what_is_weak_is_not() {
    each_with(KeyKind::Rsa, |daemon| {
        for over in BOTH {
            let with = |suite: &str| {
                daemon.negotiated_with(over, &[], &|context| {
                    let version =
                        if over == Over::Tls { SslVersion::TLS1_2 } else { SslVersion::DTLS1_2 };
                    context.set_max_proto_version(Some(version)).unwrap();
                    context.set_cipher_list(&format!("{suite}:@SECLEVEL=0")).unwrap();
                })
            };
            assert_eq!(with("ECDHE-RSA-AES128-GCM-SHA256"), Ok(None), "{over:?}");
            // Forward secrecy is not only preferred: there is no other suite. The client's own
            // library no longer has DES and RC4.
            for other in ["AES128-GCM-SHA256", "AES256-SHA", "NULL-SHA256", "ADH-AES128-GCM-SHA256"]
            {
                assert!(with(other).is_err(), "{other} over {over:?}");
            }
        }
    });
}

struct Daemon {
    service: Service,
    /// The label of its main use.
    labels: &'static [&'static [u8]],
    certificates: Certificates,
}

fn each(test: impl Fn(&Daemon)) {
    each_with(KeyKind::Ecdsa, test);
}

fn each_with(kind: KeyKind, test: impl Fn(&Daemon)) {
    let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let all = |config: String, at: SocketAddr, certificates: &Certificates| {
        let listen = format!("address = \"{at}\"\n");
        let with = format!("{listen}transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n");
        config.replacen(&listen, &with, 1) + &certificates.table()
    };
    for (name, labels) in [("stund", &[NAT_DISCOVERY][..]), ("turnd", &[TURN, NAT_DISCOVERY])] {
        let (at, certificates) = (address(), Certificates::make(kind));
        let config = if name == "stund" {
            service::stund_config(at)
        } else {
            service::turnd_config(at, "", "")
        };
        let service = Service::start(name, at, &all(config, at, &certificates));
        let daemon = Daemon { service, labels, certificates };
        test(&daemon);
        daemon.service.end();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Tls,
    Dtls,
}

const BOTH: [Over; 2] = [Over::Tls, Over::Dtls];

impl Daemon {
    /// The label that the server chose, on a connection that then answers; or the error.
    fn negotiated(&self, over: Over, labels: &[&[u8]]) -> Result<Option<Vec<u8>>, String> {
        self.negotiated_with(over, labels, &|_| ())
    }

    /// The same by a client that is set up further.
    fn negotiated_with(
        &self,
        over: Over,
        labels: &[&[u8]],
        set_up: &dyn Fn(&mut SslContextBuilder),
    ) -> Result<Option<Vec<u8>>, String> {
        let method =
            if over == Over::Tls { SslMethod::tls_client() } else { SslMethod::dtls_client() };
        let mut context = SslContext::builder(method).unwrap();
        context.set_verify(SslVerifyMode::PEER);
        context.set_ca_file(self.certificates.root()).unwrap();
        context.set_options(SslOptions::NO_QUERY_MTU);
        if !labels.is_empty() {
            let list: Vec<u8> = labels
                .iter()
                .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], *label].concat())
                .collect();
            context.set_alpn_protos(&list).unwrap();
        }
        set_up(&mut context);
        let mut ssl = Ssl::new(&context.build()).unwrap();
        match over {
            Over::Tls => {
                let stream = TcpStream::connect(self.service.address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                chosen(ssl.connect(stream))
            }
            Over::Dtls => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                socket.connect(self.service.address).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                ssl.set_mtu(1_400).unwrap();
                chosen(ssl.connect(Connected(socket)))
            }
        }
    }
}

/// The label of an established connection, after a request over it was answered.
fn chosen<S: Read + Write, E: std::fmt::Display>(
    connected: Result<SslStream<S>, E>,
) -> Result<Option<Vec<u8>>, String> {
    let mut stream = connected.map_err(|error| error.to_string())?;
    let label = stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec);
    let mut buffer = [0; 1_024];
    let len =
        MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([7; 12]))
            .unwrap()
            .finish();
    stream.write_all(&buffer[..len]).map_err(|error| error.to_string())?;
    let len = stream.read(&mut buffer).map_err(|error| error.to_string())?;
    assert_eq!(Message::decode(&buffer[..len]).unwrap().class(), Class::SuccessResponse);
    Ok(label)
}
