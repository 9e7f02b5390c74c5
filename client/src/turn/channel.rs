//! The channels of an allocation: numbers, bindings, refreshes and the quarantine of numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ChannelNumber, ChannelRange};

/// How long a binding lasts after its confirmation (RFC 8656 §12).
const LIFETIME: Duration = Duration::from_secs(600);
/// How long after its confirmation a binding is refreshed: early enough for a transaction of 39.5
/// s.
const REFRESH: Duration = Duration::from_secs(540);
/// "The client MUST wait 5 minutes after the channel binding expires before attempting to bind the
/// channel number to a different transport address or the transport address to a different channel
/// number" (RFC 8656 §12).
const QUARANTINE: Duration = Duration::from_secs(300);

/// The channels of an allocation, by number and by peer. A number stays with its peer until the
/// quarantine is over.
#[derive(Debug, Default)]
pub(super) struct Channels {
    by_number: BTreeMap<ChannelNumber, Channel>,
    by_peer: BTreeMap<SocketAddr, ChannelNumber>,
    next: u16,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    /// Whether a ChannelBind request is pending.
    open: bool,
    /// When the confirmed binding expires; `None` if the server has not confirmed it.
    expires: Option<Duration>,
    /// Until when the server may have the binding, confirmed or not.
    perhaps: Duration,
    refresh: Option<Duration>,
}

impl Channels {
    /// Records that a request for a peer's channel is sent. Returns the number and whether a
    /// request is pending already; `None` if all 4096 numbers are taken.
    pub(super) fn request(
        &mut self,
        peer: SocketAddr,
        now: Duration,
    ) -> Option<(ChannelNumber, bool)> {
        let number = match self.by_peer.get(&peer) {
            Some(number) => *number,
            None => self.unused()?,
        };
        self.by_peer.insert(peer, number);
        let channel = self.by_number.entry(number).or_insert(Channel {
            peer,
            open: false,
            expires: None,
            perhaps: now,
            refresh: None,
        });
        channel.refresh = None;
        Some((number, std::mem::replace(&mut channel.open, true)))
    }

    /// Records that the server confirmed it; returns whether it was not confirmed before.
    pub(super) fn bound(&mut self, number: ChannelNumber, now: Duration) -> bool {
        let Some(channel) = self.by_number.get_mut(&number) else { return false };
        let news = channel.expires.is_none();
        channel.open = false;
        channel.expires = Some(now + LIFETIME);
        channel.perhaps = now + LIFETIME;
        channel.refresh = Some(now + REFRESH);
        news
    }

    /// Records that a request failed; the server may still have carried it out, and the answer been
    /// lost. A confirmed binding is requested `again`.
    pub(super) fn failed(&mut self, number: ChannelNumber, now: Duration, again: Option<Duration>) {
        if let Some(channel) = self.by_number.get_mut(&number) {
            channel.open = false;
            channel.perhaps = now + LIFETIME;
            channel.refresh = channel.expires.and(again);
        }
    }

    /// Stops refreshing the peer's channel.
    pub(super) fn release(&mut self, peer: SocketAddr) {
        let number = self.by_peer.get(&peer);
        if let Some(channel) = number.and_then(|number| self.by_number.get_mut(number)) {
            channel.refresh = None;
        }
    }

    /// Removes the channels to all peers of a family, with their quarantine: the allocation that
    /// they belonged to is gone.
    pub(super) fn release_family(&mut self, family: AddressFamily) {
        self.by_number.retain(|_, channel| AddressFamily::of(&channel.peer.ip()) != family);
        self.by_peer.retain(|peer, _| AddressFamily::of(&peer.ip()) != family);
    }

    /// The channel that carries data to the peer, if there is one.
    pub(super) fn to(&self, peer: SocketAddr, now: Duration) -> Option<ChannelNumber> {
        let number = *self.by_peer.get(&peer)?;
        let expires = self.by_number.get(&number)?.expires?;
        (now < expires).then_some(number)
    }

    /// The peer that data on a channel comes from, and whether the request is still pending: "the
    /// client SHOULD be prepared to receive ChannelData messages on the channel from the server as
    /// soon as it has sent the ChannelBind request" (RFC 8656 §12).
    pub(super) fn from(&self, number: ChannelNumber, now: Duration) -> Option<(SocketAddr, bool)> {
        let channel = self.by_number.get(&number)?;
        (channel.open || now < channel.perhaps).then_some((channel.peer, channel.open))
    }

    /// Returns a peer whose binding has expired, once, and removes channels whose quarantine is
    /// over.
    pub(super) fn poll_expired(&mut self, now: Duration) -> Option<SocketAddr> {
        self.by_number.retain(|_, channel| {
            let keep = channel.open || now < channel.perhaps + QUARANTINE;
            if !keep {
                self.by_peer.remove(&channel.peer);
            }
            keep
        });
        let over = |channel: &&mut Channel| channel.expires.is_some_and(|expires| expires <= now);
        let channel = self.by_number.values_mut().find(over)?;
        channel.expires = None;
        channel.refresh = None;
        Some(channel.peer)
    }

    /// The peer of a channel whose refresh is due.
    pub(super) fn poll_due(&self, now: Duration) -> Option<SocketAddr> {
        self.by_number
            .values()
            .find(|channel| channel.refresh.is_some_and(|at| at <= now))
            .map(|channel| channel.peer)
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let deadlines = |channel: &Channel| {
            let forget = (!channel.open && channel.expires.is_none())
                .then_some(channel.perhaps + QUARANTINE);
            [channel.expires, channel.refresh, forget]
        };
        self.by_number.values().flat_map(deadlines).flatten().min()
    }

    fn unused(&mut self) -> Option<ChannelNumber> {
        const COUNT: u16 = 0x1000;
        for _ in 0..COUNT {
            let number =
                ChannelRange::Rfc8656.channel(ChannelNumber::FIRST.number() + self.next % COUNT)?;
            self.next = (self.next + 1) % COUNT;
            if !self.by_number.contains_key(&number) {
                return Some(number);
            }
        }
        None
    }
}
