//! A directory that learns only of changes is still complete.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use causeway_relay::{AllocationRecord, Change};
use causeway_tests::Lab;

/// The record of an allocation, with the Unix times at which its parts expire.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    relayed: Vec<SocketAddr>,
    username: String,
    expires: Vec<Duration>,
    permissions: BTreeSet<(IpAddr, Duration)>,
    channels: BTreeSet<(u16, SocketAddr, Duration)>,
}

#[derive(Debug, Default)]
pub(crate) struct Directory(BTreeMap<u64, Entry>);

impl Directory {
    /// Applies the changes that the server reports.
    pub(crate) fn follow(&mut self, lab: &mut Lab) {
        while let Some(change) = lab.server.poll_change() {
            match change {
                Change::Everything => *self = Self::of(lab),
                Change::Ended(record) => _ = self.0.remove(&record),
                Change::Changed(id) => {
                    let record =
                        lab.server.export(lab.now(), id).expect("a changed allocation exists");
                    self.0.insert(record.id, Entry::new(&record, lab));
                }
            }
        }
        assert_eq!(lab.server.unwritten(), 0);
    }

    /// Whether it holds what the server holds.
    pub(crate) fn agrees(&mut self, lab: &Lab) {
        let now = lab.now().unix;
        for entry in self.0.values_mut() {
            // An expiry is not reported as a change.
            entry.permissions.retain(|(_, expires)| *expires > now);
            entry.channels.retain(|(_, _, expires)| *expires > now);
        }
        assert_eq!(self.0, Self::of(lab).0);
    }

    fn of(lab: &Lab) -> Self {
        let records = lab.server.allocation_ids().filter_map(|id| lab.server.export(lab.now(), id));
        Self(records.map(|record| (record.id, Entry::new(&record, lab))).collect())
    }
}

impl Entry {
    fn new(record: &AllocationRecord, lab: &Lab) -> Self {
        let at = |left: Duration| lab.now().unix + left;
        let channel = |channel: &causeway_relay::ChannelRecord| {
            (channel.number.number(), channel.peer.0, at(channel.time_to_expiry))
        };
        Self {
            relayed: record.relayed.iter().map(|relayed| relayed.address.bound.0).collect(),
            username: record.credential.username().to_owned(),
            expires: record.relayed.iter().map(|relayed| at(relayed.time_to_expiry)).collect(),
            permissions: record
                .permissions
                .iter()
                .map(|permission| (permission.peer, at(permission.time_to_expiry)))
                .collect(),
            channels: record.channels.iter().map(channel).collect(),
        }
    }
}
