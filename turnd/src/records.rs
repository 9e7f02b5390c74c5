//! Conversion between the relay's allocations and the store's records, whose format is public and
//! does not change with the server's internals; and the records that the previous process left.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use causeway_auth::{Algorithm, Credential, Key, Protection};
use causeway_net::steering;
use causeway_relay::{
    AdvertisedAddress, AllocationRecord, BoundAddress, ChannelRecord, FiveTuple, PeerAddress,
    PermissionRecord, RelayedRecord, RelayedTransportAddress, Traffic, Transport,
};
use causeway_store::{self as store, Record, RecordId};
use causeway_wire::{ChannelRange, TransactionId};

/// A record of the previous process, with the allocation that it converts to.
pub(crate) struct Left {
    pub(crate) record: Record,
    pub(crate) allocation: AllocationRecord,
}

impl Left {
    /// The worker that the kernel steers the client's datagrams to, by their source address.
    pub(crate) fn worker(&self, workers: usize) -> usize {
        steering::worker_of(self.record.proxy.unwrap_or(self.record.five_tuple.client), workers)
    }
}

/// The outcome of restoring an allocation.
pub(crate) enum Restoring {
    /// It is live in this process.
    Restored(RecordId),
    /// Another program uses its port, and may release it soon.
    Waits,
    /// Its port, its 5-tuple or its quota is taken.
    Lost(Box<Left>),
}

/// Converts an allocation for the store, with times of the wall clock. `unix` is the time of the
/// export, `proxy` the proxy that forwards the client's datagrams.
pub(crate) fn to_store(
    allocation: &AllocationRecord,
    proxy: Option<SocketAddr>,
    unix: Duration,
) -> Record {
    let at = |left: Duration| millis(unix.saturating_add(left));
    let relayed = allocation.relayed.iter();
    Record {
        id: RecordId(allocation.id),
        five_tuple: five_tuple_to_store(&allocation.five_tuple),
        credential: credential_to_store(&allocation.credential, allocation.protection.algorithm()),
        transaction: allocation.transaction.0,
        lifetime: allocation.lifetime,
        created_at: millis(unix.saturating_sub(allocation.age)),
        expires_at: at(relayed.clone().map(|relay| relay.time_to_expiry).max().unwrap_or_default()),
        relayed: relayed
            .map(|relay| store::RelayedAddress {
                bound: relay.address.bound.0,
                advertised: relay.address.advertised.0,
                expires_at: at(relay.time_to_expiry),
            })
            .collect(),
        permissions: allocation
            .permissions
            .iter()
            .map(|permission| store::PermissionRecord {
                peer: permission.peer,
                expires_at: at(permission.time_to_expiry),
            })
            .collect(),
        channels: allocation
            .channels
            .iter()
            .map(|channel| store::ChannelRecord {
                number: channel.number.number(),
                peer: channel.peer.0,
                expires_at: at(channel.time_to_expiry),
            })
            .collect(),
        traffic: traffic_to_store(&allocation.traffic),
        proxy,
    }
}

/// Converts a record for the relay, with the lifetimes that are left at `unix`. `None` if its key
/// has an algorithm that this release does not know.
pub(crate) fn from_store(record: &Record, unix: Duration) -> Option<AllocationRecord> {
    let left = |at: u64| Duration::from_millis(at).saturating_sub(unix);
    let (key, protection) = key_from_store(&record.credential.key)?;
    let credential = match record.credential.expires {
        None => Credential::new(&record.credential.username, key),
        Some(expires) => Credential::expiring(
            &record.credential.username,
            record.credential.quota_name.clone(),
            key,
            expires,
        ),
    };
    let relayed = record.relayed.iter();
    let alive =
        record.channels.iter().filter(|channel| Duration::from_millis(channel.expires_at) > unix);
    Some(AllocationRecord {
        id: record.id.0,
        five_tuple: five_tuple_from_store(&record.five_tuple),
        credential: Arc::new(credential),
        protection,
        transaction: TransactionId(record.transaction),
        age: unix.saturating_sub(Duration::from_millis(record.created_at)),
        lifetime: record.lifetime,
        relayed: relayed
            .map(|relay| RelayedRecord {
                address: RelayedTransportAddress {
                    bound: BoundAddress(relay.bound),
                    advertised: AdvertisedAddress(relay.advertised),
                },
                time_to_expiry: left(relay.expires_at),
            })
            .collect(),
        permissions: record
            .permissions
            .iter()
            .map(|permission| PermissionRecord {
                peer: permission.peer,
                time_to_expiry: left(permission.expires_at),
            })
            .collect(),
        channels: alive
            .filter_map(|channel| {
                let number = ChannelRange::Rfc5766.channel(channel.number)?;
                Some(ChannelRecord {
                    number,
                    peer: PeerAddress(channel.peer),
                    time_to_expiry: left(channel.expires_at),
                })
            })
            .collect(),
        traffic: traffic_from_store(&record.traffic),
    })
}

/// Converts a transport for the store.
pub(crate) fn transport_to_store(transport: Transport) -> store::Transport {
    match transport {
        Transport::Udp => store::Transport::Udp,
        Transport::Tcp => store::Transport::Tcp,
        Transport::Tls => store::Transport::Tls,
        Transport::Dtls => store::Transport::Dtls,
    }
}

/// Converts traffic counters for the store.
pub(crate) fn traffic_to_store(traffic: &Traffic) -> store::Traffic {
    let Traffic { packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client } = *traffic;
    store::Traffic { packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client }
}

/// The wall clock's time.
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Converts Unix time to whole milliseconds.
pub(crate) fn millis(unix: Duration) -> u64 {
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

fn traffic_from_store(traffic: &store::Traffic) -> Traffic {
    let store::Traffic { packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client } =
        *traffic;
    Traffic { packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client }
}

fn five_tuple_to_store(five_tuple: &FiveTuple) -> store::FiveTuple {
    let FiveTuple { client, server, transport } = *five_tuple;
    store::FiveTuple { client, server, transport: transport_to_store(transport) }
}

fn five_tuple_from_store(five_tuple: &store::FiveTuple) -> FiveTuple {
    let transport = match five_tuple.transport {
        store::Transport::Udp => Transport::Udp,
        store::Transport::Tcp => Transport::Tcp,
        store::Transport::Tls => Transport::Tls,
        store::Transport::Dtls => Transport::Dtls,
    };
    FiveTuple { client: five_tuple.client, server: five_tuple.server, transport }
}

/// Stores the key that the client has used: it keeps using this one.
fn credential_to_store(credential: &Credential, algorithm: Algorithm) -> store::Credential {
    let key = credential.key(algorithm).expect("the key authenticated the Allocate request");
    let algorithm = match key.algorithm() {
        Algorithm::Md5 => store::KeyAlgorithm::Md5,
        Algorithm::Sha256 => store::KeyAlgorithm::Sha256,
    };
    store::Credential {
        username: credential.username().to_owned(),
        quota_name: credential.quota_range(),
        key: store::LongTermKey::new(algorithm, key.as_bytes())
            .expect("a key has its algorithm's length"),
        expires: credential.expires(),
    }
}

fn key_from_store(key: &store::LongTermKey) -> Option<(Key, Protection)> {
    match key.algorithm() {
        store::KeyAlgorithm::Md5 => {
            Key::from_md5(key.as_bytes()).map(|key| (key, Protection::Unnamed))
        }
        store::KeyAlgorithm::Sha256 => {
            Key::from_sha256(key.as_bytes()).map(|key| (key, Protection::Named(Algorithm::Sha256)))
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_wire::ChannelNumber;

    use super::*;

    /// A relayed address by its bound and advertised form, with the seconds to its expiry.
    fn relayed((both, left): (&str, u64)) -> RelayedRecord {
        let (bound, advertised) = both.split_once(' ').unwrap();
        let address = RelayedTransportAddress {
            bound: BoundAddress(bound.parse().unwrap()),
            advertised: AdvertisedAddress(advertised.parse().unwrap()),
        };
        RelayedRecord { address, time_to_expiry: Duration::from_secs(left) }
    }

    /// A dual allocation whose second relayed address was refreshed alone and expires later.
    fn allocation(channel: ChannelNumber) -> AllocationRecord {
        AllocationRecord {
            id: 7,
            five_tuple: FiveTuple {
                client: "192.0.2.9:5000".parse().unwrap(),
                server: "[2001:db8::1]:3478".parse().unwrap(),
                transport: Transport::Udp,
            },
            credential: Arc::new(Credential::expiring(
                "1800000600:al ice",
                11..17,
                Key::long_term_md5("u", "r", "p"),
                1_800_000_600,
            )),
            protection: Protection::Unnamed,
            transaction: TransactionId([9; 12]),
            age: Duration::from_secs(50),
            lifetime: Duration::from_secs(600),
            relayed: [
                ("10.0.0.7:50000 203.0.113.7:50000", 150),
                ("[2001:db8::7]:50001 [2001:db8::7]:50001", 550),
            ]
            .map(relayed)
            .to_vec(),
            permissions: vec![PermissionRecord {
                peer: "192.0.2.33".parse().unwrap(),
                time_to_expiry: Duration::from_secs(250),
            }],
            channels: vec![ChannelRecord {
                number: channel,
                peer: PeerAddress("192.0.2.33:9".parse().unwrap()),
                time_to_expiry: Duration::from_secs(550),
            }],
            traffic: Traffic {
                packets_to_peer: 1,
                bytes_to_peer: 2,
                packets_to_client: 3,
                bytes_to_client: 4,
            },
        }
    }

    #[test]
    fn h49_what_is_stored_comes_back_the_same() {
        let unix = Duration::from_secs(1_800_000_000);
        let channel = ChannelRange::Rfc8656.channel(0x4123).unwrap();
        let allocation = allocation(channel);
        let back =
            from_store(&to_store(&allocation, None, unix), unix + Duration::from_secs(10)).unwrap();
        assert_eq!(
            (back.id, back.five_tuple, back.transaction),
            (7, allocation.five_tuple, allocation.transaction)
        );
        assert_eq!(
            (back.lifetime, back.traffic, back.age),
            (Duration::from_secs(600), allocation.traffic, Duration::from_secs(60))
        );
        let ten = Duration::from_secs(10);
        let later = |relayed: &RelayedRecord| RelayedRecord {
            time_to_expiry: relayed.time_to_expiry - ten,
            ..*relayed
        };
        assert_eq!(back.relayed, allocation.relayed.iter().map(later).collect::<Vec<_>>());
        assert_eq!(back.permissions[0].time_to_expiry, Duration::from_secs(240));
        assert_eq!(
            (back.channels[0].number, back.channels[0].time_to_expiry),
            (channel, Duration::from_secs(540))
        );
        let (was, is) = (&allocation.credential, &back.credential);
        assert_eq!(
            (is.username(), is.quota_name(), is.expires()),
            (was.username(), was.quota_name(), was.expires())
        );
        let bytes = |credential: &Credential| {
            credential.key(Algorithm::Md5).map(|key| key.as_bytes().to_vec())
        };
        assert_eq!((bytes(is), back.protection), (bytes(was), Protection::Unnamed));
    }

    #[test]
    fn the_key_that_the_client_has_used_is_kept() {
        let both = Credential::with_password("u", "r", "p").unwrap();
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let stored = credential_to_store(&both, algorithm);
            let (key, protection) = key_from_store(&stored.key).unwrap();
            assert_eq!(key.as_bytes(), Key::long_term(algorithm, "u", "r", "p").as_bytes());
            assert_eq!((key.algorithm(), protection.algorithm()), (algorithm, algorithm));
        }
    }
}
