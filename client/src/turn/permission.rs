use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use causeway_wire::attribute::AddressFamily;

/// How long a permission lasts (RFC 8656 §9).
const LIFETIME: Duration = Duration::from_secs(300);
/// Refreshed after so long: early enough for a transaction of 39.5 s.
const REFRESH: Duration = Duration::from_secs(240);

/// The permissions that the client believes in, by IP address (RFC 8656 §9).
#[derive(Debug, Default)]
pub(super) struct Permissions(BTreeMap<IpAddr, Permission>);

#[derive(Debug, Default)]
struct Permission {
    /// `None` until the server has confirmed it.
    expires: Option<Duration>,
    /// When to ask again; `None` while a request is open, or after one that was refused.
    refresh: Option<Duration>,
    open: bool,
}

impl Permissions {
    /// Notes that a request is sent; `false` if one is open already.
    pub(super) fn ask(&mut self, peer: IpAddr) -> bool {
        let permission = self.0.entry(peer).or_default();
        permission.refresh = None;
        !std::mem::replace(&mut permission.open, true)
    }

    /// The server confirmed it; whether that is news.
    pub(super) fn installed(&mut self, peer: IpAddr, now: Duration) -> bool {
        let permission = self.0.entry(peer).or_default();
        let news = permission.expires.is_none();
        *permission =
            Permission { expires: Some(now + LIFETIME), refresh: Some(now + REFRESH), open: false };
        news
    }

    /// A request came to nothing; one that exists is tried `again` as long as it lives.
    pub(super) fn failed(&mut self, peer: IpAddr, again: Option<Duration>) {
        if let Some(permission) = self.0.get_mut(&peer) {
            permission.open = false;
            permission.refresh = again;
            if permission.expires.is_none() {
                self.0.remove(&peer);
            }
        }
    }

    /// Forgets the peers of a family.
    pub(super) fn release(&mut self, family: AddressFamily) {
        self.0.retain(|peer, _| AddressFamily::of(peer) != family);
    }

    /// Whether data may go to the peer.
    pub(super) fn permits(&self, peer: IpAddr, now: Duration) -> bool {
        self.0
            .get(&peer)
            .is_some_and(|permission| permission.expires.is_some_and(|expires| now < expires))
    }

    /// Whether data may come from the peer: also while the server's confirmation is on its way.
    pub(super) fn expects(&self, peer: IpAddr, now: Duration) -> bool {
        self.0.get(&peer).is_some_and(|permission| {
            permission.expires.map_or(permission.open, |expires| now < expires)
        })
    }

    /// Removes and returns one that is over.
    pub(super) fn poll_expired(&mut self, now: Duration) -> Option<IpAddr> {
        let over =
            |permission: &Permission| permission.expires.is_some_and(|expires| expires <= now);
        let peer = self.0.iter().find(|(_, permission)| over(permission)).map(|(peer, _)| *peer)?;
        self.0.remove(&peer);
        Some(peer)
    }

    /// One that is to be refreshed.
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
