//! What a listener's datagrams may be beside plain ones: proxied, or DTLS.

use std::net::IpAddr;
use std::sync::Arc;

use super::listener_options::DatagramListenerOptions;
use crate::proxy::TrustedProxies;

/// Whether a record of TLS or DTLS can begin with this byte (RFC 7983 §7).
pub(super) fn is_secure(first: u8) -> bool {
    (20..=63).contains(&first)
}

/// The kinds of datagrams that a listener takes, if not all go to the service as they are.
pub(super) struct Demux {
    plain: bool,
    dtls: bool,
    proxies: Option<Arc<TrustedProxies>>,
}

impl Demux {
    /// `None`: all datagrams go to the service as they are.
    pub(super) fn of(options: DatagramListenerOptions) -> Option<Box<Self>> {
        let DatagramListenerOptions { plain, dtls, proxies, .. } = options;
        (dtls || !plain || proxies.is_some()).then(|| Box::new(Self { plain, dtls, proxies }))
    }

    /// How datagrams of `source` are treated.
    pub(super) fn treatment(&self, source: IpAddr) -> Treatment {
        let proxied = self.proxies.as_ref().is_some_and(|proxies| proxies.contains(source));
        Treatment { plain: self.plain, dtls: self.dtls, proxied }
    }
}

/// How the datagrams of one source are treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Treatment {
    pub(super) plain: bool,
    pub(super) dtls: bool,
    /// Whether each has a proxy's header in front.
    pub(super) proxied: bool,
}
