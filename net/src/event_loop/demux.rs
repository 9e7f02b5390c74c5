//! Listeners whose datagrams do not all go to the service as they are: a proxy's header is taken
//! off, and DTLS is told from plain datagrams.

use std::net::IpAddr;
use std::sync::Arc;

use super::arrival::Arrival;
use super::listener_options::DatagramListenerOptions;
use super::service::Service;
use super::{EventLoop, Rejection, RejectionReason};
use crate::clock::Sample;
use crate::packet::Room;
use crate::proxy::{self, Parsed, TrustedProxies};

/// Whether a record of TLS or DTLS can begin with this byte (RFC 7983 §7).
pub(super) fn is_secure(first: u8) -> bool {
    (20..=63).contains(&first)
}

/// What a listener takes beside plain datagrams from clients.
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
    plain: bool,
    dtls: bool,
    /// Whether each has a proxy's header in front.
    proxied: bool,
}

impl EventLoop {
    /// Takes the proxy's header off a datagram, and passes the rest to the service or to DTLS.
    pub(super) fn demultiplex<S: Service>(
        &mut self,
        now: Sample,
        treatment: Treatment,
        arrival: Arrival,
        room: Room,
        service: &mut S,
    ) {
        let (mut arrival, mut room) = (arrival, room);
        if treatment.proxied {
            // SAFETY: these bytes are this datagram's, and no packet of it is alive yet.
            let bytes = unsafe { self.region.bytes(room.payload) };
            let header = match proxy::parse(bytes) {
                Ok(Parsed::Whole(header)) => header,
                partial => {
                    self.io.stats.dropped_proxy_header.add(1);
                    let reason = partial
                        .err()
                        .map_or(RejectionReason::ProxyHeaderCutShort, RejectionReason::ProxyHeader);
                    let (source, local) = (arrival.source, arrival.destination);
                    return service.rejected(now, &Rejection { source, local, reason });
                }
            };
            if let Some(ends) = header.endpoints {
                arrival.via = Some(arrival.source);
                (arrival.source, arrival.destination) = (ends.source, ends.destination);
            }
            room.payload.start += header.len;
            room.headroom += header.len;
        }
        // SAFETY: as above.
        let first = unsafe { self.region.bytes(room.payload) }.first().copied();
        if treatment.dtls && (!treatment.plain || first.is_some_and(is_secure)) {
            self.secure_datagram(now, &arrival, room, service);
        } else if treatment.plain {
            self.pass_datagram(now, &arrival, room, service);
        } else {
            self.io.stats.dropped_not_served.add(1);
        }
    }
}
