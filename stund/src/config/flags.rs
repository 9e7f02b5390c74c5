//! The command line: the most used keys have a flag of their own.

use std::net::{IpAddr, SocketAddr};

use causeway_daemon::config::{CommonFlags, Setting};
use clap::Parser;

/// A STUN server (RFC 8489) with NAT behaviour discovery (RFC 5780).
///
/// Every key of the configuration can be set by file, by environment variable
/// (STUND_NAT_DISCOVERY__ALTERNATE_PORT is nat_discovery.alternate_port), by --set and, for the
/// most used ones, by a flag of its own; each of these goes over the ones before it.
///
/// Exit status: 0 ended as asked, 1 failed, 2 started wrongly.
#[derive(Clone, Debug, Parser)]
#[command(name = "stund", version)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Where clients come in, over UDP and TCP: listen; repeatable. [default: port 3478 of every
    /// address]
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    /// A second address of this host, one a family: nat_discovery.alternate_address; repeatable.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    alternate_address: Vec<IpAddr>,

    /// The second port: nat_discovery.alternate_port. [default: 3479]
    #[arg(long, value_name = "PORT")]
    alternate_port: Option<u16>,

    /// What an address of this host is from outside, behind 1:1 NAT: nat_discovery.external;
    /// repeatable.
    #[arg(long, value_name = "BOUND=ADVERTISED", value_delimiter = ',')]
    external_address: Vec<String>,

    /// The PEM file of the certificate chain for TLS and DTLS: tls.certificate.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,

    /// The PEM file of its key: tls.key.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
}

impl Flags {
    /// The keys that these flags set.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if !self.listen.is_empty() {
            let addresses = self.listen.iter().map(ToString::to_string);
            settings.push(Setting::tables("--listen", &["listen"], "address", addresses));
        }
        if !self.alternate_address.is_empty() {
            let addresses = self.alternate_address.iter().map(ToString::to_string);
            settings.push(Setting::list(
                "--alternate-address",
                &["nat_discovery", "alternate_address"],
                addresses,
            ));
        }
        if let Some(port) = self.alternate_port {
            settings.push(Setting::number(
                "--alternate-port",
                &["nat_discovery", "alternate_port"],
                port.into(),
            ));
        }
        settings.extend(Setting::external(
            "--external-address",
            &["nat_discovery", "external"],
            &self.external_address,
        ));
        let files = [
            ("--tls-certificate", ["tls", "certificate"], &self.tls_certificate),
            ("--tls-key", ["tls", "key"], &self.tls_key),
        ];
        for (flag, key, file) in files {
            settings.extend(file.as_ref().map(|file| Setting::text(flag, &key, file)));
        }
        settings
    }
}
