//! Input from the server: responses, indications and ChannelData.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::attribute::{Data, Icmp, XorPeerAddress};
use causeway_wire::demux::{Protocol, protocol};
use causeway_wire::{ChannelData, ChannelRange, Class, Message, Method};

use super::client::{State, TurnClient};
use super::event::Event;
use crate::exchange::is_known;
use crate::messages::{Discard, Received};

/// Input from the server.
impl TurnClient {
    /// Processes a datagram, or a frame of the stream, received from `source`.
    pub fn handle_input<'a>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        bytes: &'a [u8],
    ) -> Received<'a> {
        if source != self.config.server {
            return Received::Discarded(Discard::Source);
        }
        match bytes.first().map(|first| protocol(*first)) {
            Some(Protocol::Channel) => self.channel_data(now, bytes),
            Some(Protocol::Stun) => match Message::decode(bytes) {
                Err(_) => Received::Discarded(Discard::NotStun),
                Ok(message) if message.class() == Class::Indication => {
                    self.indication(now, &message)
                }
                Ok(message) => self.response(now, source, message),
            },
            _ => Received::Discarded(Discard::NotStun),
        }
    }

    fn response<'a>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        message: Message<'a>,
    ) -> Received<'a> {
        match self.exchange.handle(now, source, message) {
            Err(discard) => return Received::Discarded(discard),
            Ok(None) => {}
            Ok(Some(finished)) => match finished.answer {
                Ok(answer) => self.succeeded(now, &finished.request, &answer),
                Err(failure) => self.failed(now, &finished.request, failure),
            },
        }
        Received::Consumed
    }

    /// ChannelData from the server (RFC 8656 §12.6).
    fn channel_data<'a>(&self, now: Duration, bytes: &'a [u8]) -> Received<'a> {
        let Ok(ChannelData { channel, data }) = ChannelData::decode(bytes, ChannelRange::Rfc8656)
        else {
            return Received::Discarded(Discard::NotStun);
        };
        match self.channels.from(channel, now) {
            None => Received::Discarded(Discard::UnboundChannel),
            // "RECOMMENDED that the client discard the ChannelData message if the client believes
            // there is no active permission".
            Some((peer, open)) if open || self.permissions.expects(peer.ip(), now) => {
                Received::Data { peer, data }
            }
            Some(_) => Received::Discarded(Discard::NoPermission),
        }
    }

    /// Data indications and ICMP notices (RFC 8656 §11.4, §11.6).
    fn indication<'a>(&mut self, now: Duration, message: &Message<'a>) -> Received<'a> {
        if message.method() != Method::DATA || message.is_rfc3489() {
            return Received::Discarded(Discard::Unexpected);
        }
        if message.fingerprint() == Some(false) {
            return Received::Discarded(Discard::Fingerprint);
        }
        if !message.unknown_required(is_known).is_empty() {
            return Received::Discarded(Discard::UnknownRequired);
        }
        let Ok(Some(XorPeerAddress(peer))) = message.attribute() else {
            return Received::Discarded(Discard::Attribute);
        };
        if !self.is_allocated() || !self.permissions.expects(peer.ip(), now) {
            return Received::Discarded(Discard::NoPermission);
        }
        match (message.attribute::<Data<'_>>(), message.attribute::<Icmp>()) {
            (Ok(Some(data)), _) => Received::Data { peer, data: data.0 },
            (_, Ok(Some(icmp))) => {
                self.events.push_back(Event::Unreachable { peer, icmp });
                Received::Consumed
            }
            _ => Received::Discarded(Discard::Attribute),
        }
    }

    fn is_allocated(&self) -> bool {
        matches!(self.state, State::Allocated(_))
    }
}
