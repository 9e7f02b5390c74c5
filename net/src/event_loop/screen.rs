//! What a listener's datagrams go through before the service sees them: a proxy's header, and the
//! way to DTLS.

use std::net::IpAddr;
use std::sync::Arc;

use super::service::{Arrival, Service};
use super::{DatagramListenerOptions, EventLoop, Rejection, RejectionReason};
use crate::clock::Sample;
use crate::packet::Room;
use crate::proxy::{self, Parsed, TrustedProxies};

/// The first bytes of TLS and DTLS records (RFC 7983 §7).
pub(super) fn is_secure(first: u8) -> bool {
    (20..=63).contains(&first)
}

/// For a listener whose datagrams do not go to the service as they are.
pub(super) struct Screen {
    plain: bool,
    dtls: bool,
    proxies: Option<Arc<TrustedProxies>>,
}

impl Screen {
    /// `None`: there is nothing to do.
    pub(super) fn of(listening: DatagramListenerOptions) -> Option<Box<Self>> {
        let DatagramListenerOptions { plain, dtls, proxies, .. } = listening;
        (dtls || !plain || proxies.is_some()).then(|| Box::new(Self { plain, dtls, proxies }))
    }

    /// What is to be done with the datagrams of `source`.
    pub(super) fn passage(&self, source: IpAddr) -> Passage {
        let proxied = self.proxies.as_ref().is_some_and(|proxies| proxies.contains(source));
        Passage { plain: self.plain, dtls: self.dtls, proxied }
    }
}

/// What is to be done with the datagrams of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    plain: bool,
    dtls: bool,
    /// Each has a proxy's header in front.
    proxied: bool,
}

impl EventLoop {
    /// Takes the proxy's header off a datagram, and gives it to the service or to DTLS.
    pub(super) fn screened<S: Service>(
        &mut self,
        now: Sample,
        passage: Passage,
        arrival: Arrival,
        room: Room,
        service: &mut S,
    ) {
        let (mut arrival, mut room) = (arrival, room);
        if passage.proxied {
            // SAFETY: these bytes are this datagram's, and no packet of it is alive yet.
            let bytes = unsafe { self.region.bytes(room.payload) };
            let header = match proxy::parse(bytes) {
                Ok(Parsed::Whole(header)) => header,
                partial => {
                    self.io.stats.dropped_proxy_header.add(1);
                    let reason = partial
                        .err()
                        .map_or(RejectionReason::ProxyHeaderCutShort, RejectionReason::ProxyHeader);
                    return service.rejected(
                        now,
                        &Rejection { source: arrival.source, local: arrival.destination, reason },
                    );
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
        if passage.dtls && (!passage.plain || first.is_some_and(is_secure)) {
            self.secure_datagram(now, &arrival, room, service);
        } else if passage.plain {
            self.hand_over(now, &arrival, room, service);
        } else {
            self.io.stats.dropped_not_served.add(1);
        }
    }
}
