//! The command line. The most used keys have a flag of their own.

use std::net::{IpAddr, SocketAddr};

use causeway_daemon::config::{CommonFlags, Setting};
use clap::Parser;

/// A STUN server (RFC 8489) with NAT behaviour discovery (RFC 5780).
///
/// Every configuration key can be set in the file, by an environment variable
/// (STUND_NAT_DISCOVERY__ALTERNATE_PORT is nat_discovery.alternate_port) and by --set; the most
/// used keys have a flag of their own. Each of these overrides the ones before it.
///
/// Exit status: 0 stopped as requested, 1 failure, 2 invalid configuration or arguments.
#[derive(Clone, Debug, Parser)]
#[command(name = "stund", version)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Address and port to serve clients on over UDP and TCP. Repeatable. Key: listen. [default:
    /// port 3478 of every address]
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    /// Second address of this host, one per address family. Repeatable. Key:
    /// nat_discovery.alternate_address.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    alternate_address: Vec<IpAddr>,

    /// Second port. Key: nat_discovery.alternate_port. [default: 3479]
    #[arg(long, value_name = "PORT")]
    alternate_port: Option<u16>,

    /// External address of an address behind 1:1 NAT. Repeatable. Key: nat_discovery.external.
    #[arg(long, value_name = "BOUND=ADVERTISED", value_delimiter = ',')]
    external_address: Vec<String>,

    /// PEM file of the certificate chain for TLS and DTLS. Key: tls.certificate.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,

    /// PEM file of the certificate's private key. Key: tls.key.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
}

impl Flags {
    /// The keys that these flags set.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let addresses = &self.alternate_address;
        let table = [
            Setting::tables("--listen", "listen", "address", &self.listen),
            Setting::list("--alternate-address", "nat_discovery.alternate_address", addresses),
            Setting::number(
                "--alternate-port",
                "nat_discovery.alternate_port",
                self.alternate_port,
            ),
            Setting::text("--tls-certificate", "tls.certificate", self.tls_certificate.as_ref()),
            Setting::text("--tls-key", "tls.key", self.tls_key.as_ref()),
        ];
        let external = Setting::external(
            "--external-address",
            "nat_discovery.external",
            &self.external_address,
        );
        table.into_iter().flatten().chain(external).collect()
    }
}
