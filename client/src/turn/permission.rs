//! The permissions of an allocation, and when they have to be refreshed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;

/// How long a permission lasts (RFC 8656 §9).
const LIFETIME: Duration = Duration::from_secs(300);
/// How long after its confirmation a permission is refreshed: early enough for a transaction of
/// 39.5 s.
const REFRESH: Duration = Duration::from_secs(240);

/// The permissions that the client has requested, by IP address (RFC 8656 §9).
#[derive(Debug, Default)]
pub(super) struct Permissions(BTreeMap<IpAddr, Permission>);

#[derive(Debug, Default)]
struct Permission {
    /// When the permission expires; `None` until the server has confirmed it.
    expires: Option<Duration>,
    /// When to request it again; `None` while a request is pending, or after a refusal.
    refresh: Option<Duration>,
    open: bool,
}

impl Permissions {
    /// Records that a request is sent; `false` if one is pending already.
    pub(super) fn request(&mut self, peer: IpAddr) -> bool {
        let permission = self.0.entry(peer).or_default();
        permission.refresh = None;
        !std::mem::replace(&mut permission.open, true)
    }

    /// Records that the server confirmed it; returns whether it was not confirmed before.
    pub(super) fn installed(&mut self, peer: IpAddr, now: Duration) -> bool {
        let permission = self.0.entry(peer).or_default();
        let news = permission.expires.is_none();
        *permission =
            Permission { expires: Some(now + LIFETIME), refresh: Some(now + REFRESH), open: false };
        news
    }

    /// Records that a request failed; a confirmed permission is requested `again` until it expires.
    pub(super) fn failed(&mut self, peer: IpAddr, again: Option<Duration>) {
        if let Some(permission) = self.0.get_mut(&peer) {
            permission.open = false;
            permission.refresh = again;
            if permission.expires.is_none() {
                self.0.remove(&peer);
            }
        }
    }

    /// Removes the permissions of all peers of a family.
    pub(super) fn release(&mut self, family: AddressFamily) {
        self.0.retain(|peer, _| AddressFamily::of(peer) != family);
    }

    /// Whether data may be sent to the peer.
    pub(super) fn permits(&self, peer: IpAddr, now: Duration) -> bool {
        self.0
            .get(&peer)
            .is_some_and(|permission| permission.expires.is_some_and(|expires| now < expires))
    }

    /// Whether data may come from the peer, which is possible before the server's confirmation
    /// arrives.
    pub(super) fn expects(&self, peer: IpAddr, now: Duration) -> bool {
        self.0.get(&peer).is_some_and(|permission| {
            permission.expires.map_or(permission.open, |expires| now < expires)
        })
    }

    /// Removes and returns a permission that has expired.
    pub(super) fn poll_expired(&mut self, now: Duration) -> Option<IpAddr> {
        let over =
            |permission: &Permission| permission.expires.is_some_and(|expires| expires <= now);
        let peer = self.0.iter().find(|(_, permission)| over(permission)).map(|(peer, _)| *peer)?;
        self.0.remove(&peer);
        Some(peer)
    }

    /// A permission whose refresh is due.
    pub(super) fn poll_due(&self, now: Duration) -> Option<IpAddr> {
        self.0
            .iter()
            .find(|(_, permission)| permission.refresh.is_some_and(|at| at <= now))
            .map(|(peer, _)| *peer)
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.0
            .values()
            .flat_map(|permission| [permission.expires, permission.refresh])
            .flatten()
            .min()
    }
}
