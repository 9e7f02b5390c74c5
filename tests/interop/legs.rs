//! The ways from a client to `turnd`, and a `turnd` on loopback that serves them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use causeway_kit::port;
use causeway_tests::daemon::service::{self, Service};

use causeway_tests::daemon::certificates::Certificates;

/// How a client reaches the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    Udp,
    Tcp,
    Tls,
    Dtls,
}

/// `turnd`, with relayed addresses of both families; its clients' peers are on loopback.
pub(crate) struct Server {
    pub(crate) turnd: Service,
    certificates: Option<Certificates>,
}

impl Server {
    /// At this address, with these tables more.
    pub(crate) fn start(ip: impl Into<IpAddr>, more: &str) -> Self {
        Self::open(ip.into(), "", more, None)
    }

    /// A server that accepts credentials minted with `secret`.
    pub(crate) fn with_rest_secret(ip: impl Into<IpAddr>, secret: &str, more: &str) -> Self {
        Self::open(ip.into(), &format!("rest_secret = \"{secret}\"\n"), more, None)
    }

    /// All four transports on one port.
    pub(crate) fn with_certificates(
        ip: impl Into<IpAddr>,
        certificates: Certificates,
        more: &str,
    ) -> Self {
        Self::open(ip.into(), "", more, Some(certificates))
    }

    fn open(ip: IpAddr, auth: &str, more: &str, certificates: Option<Certificates>) -> Self {
        let address = SocketAddr::from((ip, port::free()));
        let table = certificates.as_ref().map_or(String::new(), Certificates::table);
        let mut config = service::turnd_config(
            address,
            r#""allow 127.0.0.1", "allow ::1""#,
            &format!("{more}{table}"),
        );
        config =
            config.replace(r#"addresses = ["127.0.0.1"]"#, r#"addresses = ["127.0.0.1", "::1"]"#);
        config = config.replace("[auth]\n", &format!("[auth]\n{auth}"));
        if certificates.is_some() {
            let listen = format!("address = \"{address}\"\n");
            config = config.replace(
                &listen,
                &format!("{listen}transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n"),
            );
        }
        Self { turnd: Service::start("turnd", address, &config), certificates }
    }

    /// Its URI for a leg.
    pub(crate) fn uri(&self, leg: Leg) -> String {
        let address = self.turnd.address;
        match leg {
            Leg::Udp => format!("turn:{address}?transport=udp"),
            Leg::Tcp => format!("turn:{address}?transport=tcp"),
            Leg::Tls => format!("turns:{address}?transport=tcp"),
            Leg::Dtls => format!("turns:{address}?transport=udp"),
        }
    }

    /// The certificate that clients must trust, where there is one.
    pub(crate) fn root(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(Certificates::root)
    }

    /// Ends it, which must be a success.
    pub(crate) fn end(self) {
        self.turnd.end();
    }
}
