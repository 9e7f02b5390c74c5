//! `turnd` with a store, and the records that it keeps there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causeway_kit::Scratch;
use causeway_kit::port;
use causeway_store::{FleetKey, NodeId, Record, RecordId, Sealer};
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};

use crate::call::{Call, Way};
use crate::redis_server::RedisServer;

pub(crate) const NODE: &str = "relay-1";
const FLEET_KEY: &str = "a secret of the fleet, long enough for one";
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `turnd` whose allocations are kept in Redis.
pub(crate) struct Relay {
    pub(crate) service: Service,
    /// The folder of its lock file.
    pub(crate) lock: Scratch,
}

impl Relay {
    /// Starts it with four workers.
    pub(crate) fn start(url: &str) -> Self {
        Self::start_as(url, str::to_owned)
    }

    /// Starts it with a changed configuration.
    pub(crate) fn start_as(url: &str, change: impl Fn(&str) -> String) -> Self {
        let lock = Scratch::new();
        let (address, config) = config(&store(url, &lock));
        Self { service: Service::start("turnd", address, &change(&config)), lock }
    }

    /// Starts it with this limit of open files.
    pub(crate) fn start_limited(url: &str, open_files: u32) -> Self {
        let lock = Scratch::new();
        let (address, config) = config(&store(url, &lock));
        Self { service: Service::start_limited("turnd", address, &config, open_files), lock }
    }

    /// Opens `count` calls, half of them by channel.
    pub(crate) fn calls(&self, count: usize) -> Vec<Call> {
        let way = |at: usize| if at.is_multiple_of(2) { Way::Channel } else { Way::Permission };
        (0..count).map(|at| self.call(way(at))).collect()
    }

    pub(crate) fn call(&self, way: Way) -> Call {
        let call = Call::open(self.service.address, USER, PASSWORD, way);
        call.unwrap_or_else(|failure| panic!("{failure}:\n{}", self.service.log()))
    }

    /// Waits until the directory holds these calls, with their permissions and channels, and
    /// nothing else.
    pub(crate) fn until_kept(&self, redis: &RedisServer, calls: &[&Call]) -> Vec<Record> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let kept = records(redis);
            let is_kept = |call: &&Call| kept.iter().any(|record| is_of(record, call));
            if kept.len() == calls.len() && calls.iter().all(is_kept) {
                return kept;
            }
            let has = kept.iter().map(|record| record.relayed[0].advertised).collect::<Vec<_>>();
            assert!(
                Instant::now() < deadline,
                "the directory has {has:?} for {} calls:\n{}",
                calls.len(),
                self.service.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this many records are restored. Late ones count: the kernel may hold a port for
    /// a moment after a crash.
    pub(crate) fn until_restored(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        let restored = || {
            ["total", "late_total"]
                .map(|when| self.service.metric(&format!("turnd_store_records_restored_{when}")))
                .iter()
                .sum::<u64>()
        };
        while restored() != count {
            assert!(
                Instant::now() < deadline,
                "{} restored of {count}:\n{}",
                restored(),
                self.service.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until each of these records is written again, with one more channel, and returns them
    /// in the same order.
    pub(crate) fn until_written(&self, redis: &RedisServer, before: &[Record]) -> Vec<Record> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = records(redis);
            let anew = |was: &Record| {
                now.iter()
                    .find(|is| is.id == was.id && is.channels.len() > was.channels.len())
                    .cloned()
            };
            if let Some(all) = before.iter().map(anew).collect() {
                return all;
            }
            assert!(Instant::now() < deadline, "{now:?} after {before:?}:\n{}", self.service.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until its writer is in this state.
    pub(crate) fn until_state(&self, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.service.metric(&format!("turnd_store_state{{state=\"{state}\"}}")) != 1 {
            assert!(Instant::now() < deadline, "the store is not {state}:\n{}", self.service.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn errors(&self, kind: &str) -> u64 {
        self.service.metric(&format!("turnd_store_errors_total{{kind=\"{kind}\"}}"))
    }

    /// Kills and restarts it; the time from the kill until its port is open again.
    pub(crate) fn crash(&mut self) -> Duration {
        let killed = Instant::now();
        self.service.kill();
        self.service.start_again();
        killed.elapsed()
    }
}

/// A configuration on ports of its own.
pub(crate) fn config(store: &str) -> (SocketAddr, String) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Above the kernel's ephemeral ports: while a relay is down, nothing but a test takes its
    // ports.
    let first = 61_000 + 100 * (NEXT.fetch_add(1, Ordering::Relaxed) % 45);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let more = format!("[net]\nworkers = 4\n[limits]\nallocations_per_user = 60\n{store}");
    let config = service::turnd_config(address, r#""allow 127.0.0.1""#, &more);
    (
        address,
        config.replace("[relay]\n", &format!("[relay]\nports = \"{first}-{}\"\n", first + 99)),
    )
}

/// The table of a configuration that names this store.
pub(crate) fn store(url: &str, lock: &Scratch) -> String {
    let lock = lock.path("").display().to_string();
    format!(
        "[store]\nurl = \"{url}\"\nnode_id = \"{NODE}\"\nfleet_key = \"{FLEET_KEY}\"\n\
         lock_directory = \"{lock}\"\n"
    )
}

pub(crate) fn record_key(id: RecordId) -> String {
    format!("cw:{{{NODE}}}:alloc:{id}")
}

/// All records in the directory's index.
///
/// # Panics
/// When one of them cannot be read.
pub(crate) fn records(redis: &RedisServer) -> Vec<Record> {
    let key = FleetKey::new(FLEET_KEY.as_bytes()).expect("it is long enough");
    let sealer = Sealer::new(key, NodeId::new(NODE).expect("the name is valid"));
    let ids = redis.members(&format!("cw:{{{NODE}}}:index")).into_iter().filter_map(|member| {
        let text = String::from_utf8(member).expect("an id is text");
        u64::from_str_radix(&text, 16).ok().map(RecordId)
    });
    let read =
        |id| Some(sealer.open(id, &redis.read(&record_key(id))?).expect("the server wrote it"));
    ids.filter_map(read).collect()
}

/// Whether the record holds this call, with its permission and channels.
pub(crate) fn is_of(record: &Record, call: &Call) -> bool {
    let peer = call.peer();
    record.relayed[0].advertised == call.relayed
        && record.permissions.iter().any(|permission| permission.peer == peer.ip())
        && (call.way == Way::Permission
            || record.channels.iter().any(|channel| channel.peer == peer))
}
