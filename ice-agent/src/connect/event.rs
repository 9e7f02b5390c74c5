//! What happens during a call: the sockets, the relays, the room and the resolver each send their
//! own kind of event into one queue.

use super::relay::RelayEvent;
use super::resolving::Resolved;
use super::signaling::RoomEvent;
use super::sockets::HostDatagram;

/// An event that [`run`](super::run) has to process.
pub(super) enum Event {
    Host(HostDatagram),
    Relay(RelayEvent),
    Room(RoomEvent),
    Resolved(Resolved),
}

impl From<Resolved> for Event {
    fn from(resolved: Resolved) -> Self {
        Self::Resolved(resolved)
    }
}

impl From<HostDatagram> for Event {
    fn from(datagram: HostDatagram) -> Self {
        Self::Host(datagram)
    }
}

impl From<RelayEvent> for Event {
    fn from(event: RelayEvent) -> Self {
        Self::Relay(event)
    }
}

impl From<RoomEvent> for Event {
    fn from(event: RoomEvent) -> Self {
        Self::Room(event)
    }
}
