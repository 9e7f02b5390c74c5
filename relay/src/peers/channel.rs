//! The channels of one allocation (RFC 8656 §12), found by number and by peer.

use std::time::Duration;

use causeway_wire::ChannelNumber;

use crate::address::PeerAddress;
use crate::memory::moment::Moment;
use crate::memory::small_map::SmallMap;

/// "A channel binding lasts for 10 minutes unless refreshed" (RFC 8656 §12).
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);

/// The peer of a channel, and when the channel expires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    pub(crate) peer: PeerAddress,
    pub(crate) expires: Moment,
}

/// The channels of one allocation, found by number and by peer.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    by_number: SmallMap<ChannelNumber, Channel>,
    by_peer: SmallMap<PeerAddress, ChannelNumber>,
}

/// The channels of one allocation to denied peers. No data path reads them: they keep the numbers
/// in use, as RFC 8656 §12.2 requires, and tell a channel to a denied peer from one that does not
/// exist. A permission for a denied peer leaves no trace at all.
pub(crate) type IgnoredChannels = Option<Box<Channels>>;

impl Channels {
    pub(crate) fn new() -> Self {
        Self { by_number: SmallMap::new(), by_peer: SmallMap::new() }
    }

    /// The peer of a live channel.
    pub(crate) fn peer(&self, number: ChannelNumber, now: Moment) -> Option<PeerAddress> {
        self.by_number
            .get(&number)
            .filter(|channel| channel.expires.is_after(now))
            .map(|channel| channel.peer)
    }

    /// The live channel of a peer.
    pub(crate) fn number(&self, peer: &PeerAddress, now: Moment) -> Option<ChannelNumber> {
        let number = *self.by_peer.get(peer)?;
        self.peer(number, now).map(|_| number)
    }

    /// Whether number and peer may be bound: neither is bound to another (RFC 8656 §12.2).
    pub(crate) fn may_bind(&self, number: ChannelNumber, peer: &PeerAddress, now: Moment) -> bool {
        self.peer(number, now).is_none_or(|bound| bound == *peer)
            && self.number(peer, now).is_none_or(|bound| bound == number)
    }

    /// Binds or refreshes. The caller has checked [`may_bind`](Self::may_bind).
    pub(crate) fn bind(&mut self, number: ChannelNumber, peer: PeerAddress, expires: Moment) {
        if let Some(expired) = self.by_peer.get(&peer).copied().filter(|other| *other != number) {
            self.by_number.remove(&expired);
        }
        if let Some(expired) =
            self.by_number.get(&number).map(|channel| channel.peer).filter(|other| *other != peer)
        {
            self.by_peer.remove(&expired);
        }
        self.by_number.insert(number, Channel { peer, expires });
        self.by_peer.insert(peer, number);
    }

    /// Whether the number has an entry, expired or not.
    pub(crate) fn has(&self, number: ChannelNumber) -> bool {
        self.by_number.get(&number).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Channel) -> bool) {
        self.by_number.retain(|_, channel| keep(channel));
        let by_number = &self.by_number;
        self.by_peer.retain(|_, number| by_number.get(number).is_some());
    }

    pub(crate) fn remove(&mut self, number: ChannelNumber) {
        if let Some(channel) = self.by_number.remove(&number) {
            self.by_peer.remove(&channel.peer);
        }
    }

    pub(crate) fn remove_expired(&mut self, now: Moment) {
        self.retain(|channel| channel.expires.is_after(now));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ChannelNumber, &Channel)> {
        self.by_number.iter()
    }
}

/// Whether the number has an entry, or there is room for one after removing expired entries.
pub(crate) fn has_room(
    channels: &mut Channels,
    number: ChannelNumber,
    limit: usize,
    now: Moment,
) -> bool {
    if !channels.has(number) && channels.len() >= limit {
        channels.remove_expired(now);
    }
    channels.has(number) || channels.len() < limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_wire::ChannelRange;

    #[test]
    fn rfc8656_12_an_expired_channel_frees_its_number_and_its_peer() {
        let [one, two] =
            [0x4000, 0x4001].map(|number| ChannelRange::Rfc8656.channel(number).unwrap());
        let [a, b] = ["192.0.2.1:1", "192.0.2.2:2"].map(|text| PeerAddress(text.parse().unwrap()));
        let at = |seconds| Moment::of(Duration::from_secs(seconds));
        let mut channels = Channels::new();
        channels.bind(one, a, at(600));
        assert!(
            !channels.may_bind(one, &b, at(599))
                && !channels.may_bind(two, &a, at(599))
                && channels.may_bind(one, &a, at(599))
        );
        assert!(channels.may_bind(one, &b, at(600)) && channels.may_bind(two, &a, at(600)));
        channels.bind(two, a, at(1200));
        assert_eq!(
            (channels.peer(one, at(0)), channels.number(&a, at(601)), channels.len()),
            (None, Some(two), 1)
        );
        channels.remove_expired(at(1200));
        assert_eq!((channels.len(), channels.by_peer.len()), (0, 0));
    }
}
