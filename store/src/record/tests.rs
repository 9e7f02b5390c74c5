//! Golden bytes of each record version, and what damaged records decode to.

use proptest::collection::vec;
use proptest::prelude::*;

use super::encoding::{decode, encode, version};
use super::*;
use crate::fleet_key::FleetKey;
use crate::node::NodeId;

const NOW: u64 = 1_800_000_000;

/// In its one form (H54).
fn ip() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>().prop_map(|ip| ip.to_canonical())
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    (ip(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn relayed() -> impl Strategy<Value = RelayedAddress> {
    (socket(), socket(), any::<u64>()).prop_map(|(bound, advertised, expires_at)| RelayedAddress {
        bound,
        advertised,
        expires_at,
    })
}

prop_compose! {
    fn credential()(
        prefix in any::<String>(),
        name in any::<String>(),
        bytes in any::<[u8; 32]>(),
        sha256 in any::<bool>(),
        expires in any::<Option<u64>>(),
    ) -> Credential {
        let quota_name = prefix.len()..prefix.len() + name.len();
        let algorithm = if sha256 { KeyAlgorithm::Sha256 } else { KeyAlgorithm::Md5 };
        let key = LongTermKey::new(algorithm, &bytes[..algorithm.key_len()]).unwrap();
        Credential { username: prefix + &name, quota_name, key, expires }
    }
}

prop_compose! {
    fn record()(
        id in any::<u64>(),
        (client, server) in (socket(), socket()),
        credential in credential(),
        transaction in any::<[u8; 12]>(),
        lifetime in any::<u32>(),
        (created_at, expires_at) in any::<(u64, u64)>(),
        relayed in vec(relayed(), 1..=2),
        permissions in vec((ip(), any::<u64>()), 0..20),
        channels in vec((any::<u16>(), socket(), any::<u64>()), 0..20),
        counters in any::<[u64; 4]>(),
        proxy in proptest::option::of(socket()),
    ) -> Record {
        let [packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client] = counters;
        Record {
            id: RecordId(id),
            five_tuple: FiveTuple { client, server, transport: Transport::Udp },
            credential,
            transaction,
            lifetime: Duration::from_secs(lifetime.into()),
            created_at,
            expires_at,
            relayed,
            permissions: permissions.into_iter().map(|(peer, expires_at)| PermissionRecord { peer, expires_at }).collect(),
            channels: channels.into_iter().map(|(number, peer, expires_at)| ChannelRecord { number, peer, expires_at }).collect(),
            traffic: Traffic { packets_to_peer, bytes_to_peer, packets_to_client, bytes_to_client },
            proxy,
        }
    }
}

fn sealer(key: u8, node: &str) -> Sealer {
    Sealer::new(FleetKey::new(&[key; 32]).unwrap(), NodeId::new(node).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_is_read_back_as_it_was_sealed(record in record()) {
        let (another_key, another_node, sealer) = (sealer(2, "a"), sealer(1, "b"), sealer(1, "a"));
        let opened = sealer.open(record.id, &sealer.seal(&record, NOW));
        prop_assert_eq!(opened.as_ref(), Ok(&record));
        // Under another key, another name, on another node: never.
        prop_assert_eq!(another_key.open(record.id, &sealer.seal(&record, NOW)), Err(RecordError::Seal));
        prop_assert_eq!(another_node.open(record.id, &sealer.seal(&record, NOW)), Err(RecordError::Seal));
        prop_assert_eq!(sealer.open(RecordId(record.id.0 ^ 1), &sealer.seal(&record, NOW)), Err(RecordError::Seal));
    }

    #[test]
    fn the_encoding_has_one_form_and_no_prefix_of_it_is_a_record(record in record(), cut in any::<prop::sample::Index>()) {
        let text = encode(&record);
        let version = version(&record);
        prop_assert_eq!(decode(record.id, version, &text), Ok(record.clone()));
        prop_assert_eq!(decode(record.id, version, &text[..cut.index(text.len())]), Err(RecordError::Malformed));
        prop_assert_eq!(decode(record.id, version, &[&text[..], &[0]].concat()), Err(RecordError::Malformed));
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in vec(any::<u8>(), 0..300), version in 1..=2u8) {
        let _ = sealer(1, "a").open(RecordId(1), &bytes);
        if let Ok(record) = decode(RecordId(1), version, &bytes) {
            prop_assert_eq!(&encode(&record)[..], &bytes[..]);
        }
    }

    #[test]
    fn a_changed_or_cut_record_does_not_open(record in record(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let sealer = sealer(1, "a");
        let sealed = sealer.seal(&record, NOW);
        let at = at.index(sealed.len());
        let mut changed = sealed.clone();
        changed[at] ^= 1 << bit;
        let is_known = (1..=2).contains(&changed[0]);
        let expected = if is_known { RecordError::Seal } else { RecordError::UnknownVersion(changed[0]) };
        prop_assert_eq!(sealer.open(record.id, &changed), Err(expected));
        prop_assert!(matches!(sealer.open(record.id, &sealed[..at]), Err(RecordError::Truncated | RecordError::Seal)));
    }
}

#[test]
fn h25_a_sealed_record_shows_neither_user_nor_key() {
    let record = Record {
        id: RecordId(7),
        five_tuple: FiveTuple {
            client: "192.0.2.1:1".parse().unwrap(),
            server: "192.0.2.2:3478".parse().unwrap(),
            transport: Transport::Udp,
        },
        credential: Credential {
            username: "alice-in-wonderland".into(),
            quota_name: 0..5,
            key: LongTermKey::new(KeyAlgorithm::Md5, b"0123456789abcdef").unwrap(),
            expires: None,
        },
        transaction: [3; 12],
        lifetime: Duration::from_secs(600),
        created_at: 1,
        expires_at: 2,
        relayed: vec![RelayedAddress {
            bound: "192.0.2.2:50000".parse().unwrap(),
            advertised: "192.0.2.2:50000".parse().unwrap(),
            expires_at: 2,
        }],
        permissions: Vec::new(),
        channels: Vec::new(),
        traffic: Traffic::default(),
        proxy: None,
    };
    let sealed = sealer(1, "a").seal(&record, NOW);
    assert_eq!(sealed[0], 1, "the version stands first");
    let proxied = Record { proxy: Some("192.0.2.3:7".parse().unwrap()), ..record.clone() };
    assert_eq!(sealer(1, "a").seal(&proxied, NOW)[0], 2, "which an older release does not know");
    let mut apart = record.clone();
    apart.relayed.push(RelayedAddress { expires_at: 1, ..record.relayed[0] });
    assert_eq!(sealer(1, "a").seal(&apart, NOW)[0], 2, "two ends do not fit into version 1");
    for secret in [&b"alice"[..], b"0123456789abcdef"] {
        assert!(!sealed.windows(secret.len()).any(|window| window == secret));
        assert!(encode(&record).windows(secret.len()).any(|window| window == secret));
    }
    assert!(!format!("{record:?}").contains("0123456789abcdef"));
    assert_ne!(sealed, sealer(1, "a").seal(&record, NOW), "the nonce is random");
}
