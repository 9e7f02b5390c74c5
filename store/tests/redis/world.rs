//! Allocations, and a source of their changes that acts as a server's workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use causeway_store::{
    Account, Accounting, Backlog, Change, ChannelRecord, Credential, Event, FiveTuple, FleetKey,
    KeyAlgorithm, LongTermKey, NodeId, NodeReport, PermissionRecord, Record, RecordId, Redis,
    RelayedAddress, Restored, Sealer, Source, Status, StatusReport, Traffic, Transport, Writer,
    WriterSettings,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::Server;

/// Text that would break unescaped keys (H40).
pub(crate) const NASTY: &[&str] = &[
    "alice smith",
    "a\r\nDEL cw:{relay-1}:index\r\n",
    "*",
    "%s%n%x",
    "{}",
    "{relay-1}",
    "a:b",
    "ä\u{0}\u{7f}",
    "1800000000:bob",
    "%2A",
];

pub(crate) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as u64
}

pub(crate) fn fleet_key() -> FleetKey {
    FleetKey::new(&[42; 32]).expect("32 bytes are enough")
}

pub(crate) fn sealer() -> Sealer {
    Sealer::new(fleet_key(), NodeId::new("relay-1").expect("a good name"))
}

pub(crate) fn redis(server: &Server) -> Redis {
    Redis::new(&server.settings(), sealer()).expect("a good URL")
}

pub(crate) fn record(id: u64, username: &str) -> Record {
    let now = unix_millis();
    let port = 50_000 + (id % 10_000) as u16;
    Record {
        id: RecordId(id),
        five_tuple: FiveTuple {
            client: format!("198.51.100.9:{port}").parse().expect("an address"),
            server: "[2001:db8::1]:3478".parse().expect("an address"),
            transport: Transport::Udp,
        },
        credential: Credential {
            username: username.to_owned(),
            quota_name: 0..username.len(),
            key: LongTermKey::new(KeyAlgorithm::Md5, &[id as u8; 16]).expect("16 bytes"),
            expires: id.is_multiple_of(2).then_some(now / 1000 + 60),
        },
        transaction: [id as u8; 12],
        lifetime: Duration::from_secs(600),
        created_at: now,
        expires_at: now + 600_000,
        relayed: vec![RelayedAddress {
            bound: format!("10.0.0.7:{port}").parse().expect("an address"),
            advertised: format!("203.0.113.7:{port}").parse().expect("an address"),
            expires_at: now + 600_000,
        }],
        permissions: vec![PermissionRecord {
            peer: "192.0.2.33".parse().expect("an address"),
            expires_at: now + 300_000,
        }],
        channels: vec![ChannelRecord {
            number: 0x4000,
            peer: "192.0.2.33:4000".parse().expect("an address"),
            expires_at: now + 600_000,
        }],
        traffic: Traffic {
            packets_to_peer: 1,
            bytes_to_peer: 160,
            packets_to_client: 2,
            bytes_to_client: 320,
        },
        proxy: id.is_multiple_of(3).then(|| "192.0.2.99:9".parse().expect("an address")),
    }
}

pub(crate) fn put(record: &Record) -> Change {
    Change::Put(Box::new(record.clone()))
}

pub(crate) fn account(username: &str) -> Account {
    Account {
        at: unix_millis(),
        event: Event::End,
        record: RecordId(7),
        username: username.to_owned(),
        realm: "example.org".to_owned(),
        client: "198.51.100.9:50001".parse().expect("an address"),
        transport: Transport::Udp,
        relayed: vec!["203.0.113.7:50001".parse().expect("an address")],
        traffic: Traffic {
            packets_to_peer: 1,
            bytes_to_peer: 160,
            packets_to_client: 2,
            bytes_to_client: 320,
        },
        duration: Duration::from_millis(1500),
        reason: "expired",
    }
}

/// The allocations of a server, with the changes since the last drain.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Allocations>>);

#[derive(Default)]
struct Allocations {
    live: BTreeMap<RecordId, Record>,
    dirty: BTreeSet<RecordId>,
    oldest: Option<Instant>,
}

impl World {
    pub(crate) fn put(&self, record: Record) {
        let mut world = self.allocations();
        world.touch(record.id);
        world.live.insert(record.id, record);
    }

    pub(crate) fn delete(&self, id: u64) {
        let mut world = self.allocations();
        world.live.remove(&RecordId(id));
        world.touch(RecordId(id));
    }

    pub(crate) fn live(&self) -> BTreeMap<RecordId, Record> {
        self.allocations().live.clone()
    }

    fn allocations(&self) -> MutexGuard<'_, Allocations> {
        self.0.lock().expect("no thread panicked")
    }
}

impl Allocations {
    fn touch(&mut self, id: RecordId) {
        self.dirty.insert(id);
        self.oldest.get_or_insert_with(Instant::now);
    }
}

impl Source for World {
    async fn drain(&mut self, limit: usize, patience: Duration) -> Vec<Change> {
        let until = Instant::now() + patience;
        loop {
            {
                let mut world = self.allocations();
                let ids: Vec<RecordId> = world.dirty.iter().take(limit).copied().collect();
                if !ids.is_empty() || Instant::now() >= until {
                    ids.iter().for_each(|id| {
                        world.dirty.remove(id);
                    });
                    if world.dirty.is_empty() {
                        world.oldest = None;
                    }
                    return ids
                        .iter()
                        .map(|id| world.live.get(id).map_or(Change::Delete(*id), put))
                        .collect();
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn offer_all(&mut self) {
        let mut world = self.allocations();
        let ids: Vec<RecordId> = world.live.keys().copied().collect();
        ids.into_iter().for_each(|id| world.touch(id));
    }

    fn is_offered(&self) -> bool {
        self.allocations().dirty.is_empty()
    }

    async fn adopt(&mut self, late: Restored) {
        late.records.into_iter().for_each(|record| self.put(record));
    }

    async fn report(&mut self) -> NodeReport {
        let address = "203.0.113.7:3478".parse().expect("an address");
        let allocations = self.live().len() as u64;
        NodeReport {
            addresses: vec![("udp".into(), address)],
            tls_name: String::new(),
            allocations,
            capacity: 1000,
            state: "serving".into(),
        }
    }

    fn backlog(&self) -> Backlog {
        let world = self.allocations();
        Backlog { changes: world.dirty.len() as u64, oldest: world.oldest }
    }
}

/// A writer that runs.
pub(crate) struct Running {
    pub(crate) world: World,
    pub(crate) accounting: Accounting,
    pub(crate) status: Status,
    pub(crate) task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Running {
    pub(crate) fn start(redis: Redis, world: World) -> Self {
        let accounting = Accounting::new(100, 1 << 20);
        let settings = WriterSettings {
            patience: Duration::from_millis(20),
            heartbeat: Duration::from_millis(200),
            heartbeat_lifetime: Duration::from_secs(3),
            max_backoff: Duration::from_millis(200),
            ..WriterSettings::default()
        };
        let writer = Writer::new(redis, world.clone(), accounting.clone(), settings);
        let status = writer.status();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(writer.run(stopped, Duration::from_secs(1)));
        Self { world, accounting, status, task, stop }
    }

    /// Waits until the status meets the condition.
    pub(crate) async fn until(
        &self,
        what: &str,
        good: impl Fn(&StatusReport) -> bool,
    ) -> StatusReport {
        let start = Instant::now();
        loop {
            let report = self.status.read();
            if good(&report) {
                return report;
            }
            assert!(start.elapsed() < Duration::from_secs(15), "{what}: {report:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it, after a last attempt to write.
    pub(crate) async fn end(self) -> StatusReport {
        let _ = self.stop.send(());
        self.task.await.expect("the writer does not panic");
        self.status.read()
    }
}

/// The next process, which takes the name from its current owner.
pub(crate) fn successor(server: &Server) -> Redis {
    let mut redis = redis(server);
    redis.take_over();
    redis
}

/// The records that the next process would find.
pub(crate) async fn found(server: &Server) -> BTreeMap<RecordId, Record> {
    use causeway_store::Directory as _;
    let restored = successor(server).restore(Duration::from_secs(3)).await;
    assert_eq!(restored.outcome, causeway_store::Outcome::Complete);
    assert!(restored.not_restored.is_empty(), "{:?}", restored.not_restored);
    restored.records.into_iter().map(|record| (record.id, record)).collect()
}
