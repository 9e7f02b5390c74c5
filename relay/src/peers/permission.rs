//! The permissions of one allocation (RFC 8656 §9).

use std::net::IpAddr;
use std::time::Duration;

use crate::memory::moment::Moment;
use crate::memory::small_map::SmallMap;
use crate::now::Now;

/// "The Permission Lifetime MUST be 300 seconds" (RFC 8656 §9).
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// How long a peer is permitted that the client has a channel to
/// (`protocol.channel_permission`).
// Deviation: RFC 8656 §9: towards the address and port that a live channel is bound to, data pass
// as long as the channel lives, not for 300 seconds only: aiortc and werift renew a channel after
// 500 s and never send CreatePermission. `rfc8656` has the 300 seconds (H46).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelPermission {
    /// As long as the channel lives. Other ports of the same IP address need the permission of that
    /// address.
    #[default]
    WithChannel,
    /// 300 s, with or without a channel (RFC 8656 §9).
    Rfc8656,
}

/// The permissions of one allocation, by IP address: "only addresses are compared and port numbers
/// are not considered" (RFC 8656 §9).
#[derive(Clone, Debug)]
pub(crate) struct Permissions(SmallMap<IpAddr, Moment>);

impl Permissions {
    pub(crate) fn new() -> Self {
        Self(SmallMap::new())
    }

    /// Whether the address has a live permission.
    pub(crate) fn allow(&self, peer: &IpAddr, now: Moment) -> bool {
        self.0.get(peer).is_some_and(|expires| expires.is_after(now))
    }

    /// Installs a permission or resets its time-to-expiry.
    pub(crate) fn install(&mut self, peer: IpAddr, expires: Moment) {
        self.0.insert(peer, expires);
    }

    /// Installs or refreshes all, or none if that would be more than `limit` live permissions.
    /// Returns whether it did.
    pub(crate) fn install_all(&mut self, peers: &[IpAddr], limit: usize, now: Now) -> bool {
        if self.len() + self.missing(peers) > limit {
            self.remove_expired(now.moment());
            if self.len() + self.missing(peers) > limit {
                return false;
            }
        }
        for peer in peers {
            self.install(*peer, now.after(LIFETIME));
        }
        true
    }

    /// Number of `peers` that have no entry yet, duplicates counted once.
    pub(crate) fn missing(&self, peers: &[IpAddr]) -> usize {
        peers
            .iter()
            .enumerate()
            .filter(|(at, peer)| self.0.get(peer).is_none() && !peers[..*at].contains(peer))
            .count()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn remove_expired(&mut self, now: Moment) {
        self.0.retain(|_, expires| expires.is_after(now));
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&IpAddr) -> bool) {
        self.0.retain(|peer, _| keep(peer));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpAddr, &Moment)> {
        self.0.iter()
    }
}
