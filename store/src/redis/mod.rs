//! The directory in a Redis server.

mod accounting;
mod claim;
mod directory;
mod error;
mod inspection;
pub(crate) mod keys;
pub(crate) mod link;
mod ownership;
mod registry;
mod restore;
mod scripts;
mod settings;
mod url;

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::directory::{Change, Comparison};
use crate::error::{ErrorKind, StoreError};
use crate::node::{Incarnation, NodeId};
use crate::record::{RecordId, Sealer};
use accounting::Stream;
use claim::{Claims, Seen};
use inspection::{Warned, Written};
use link::Link;
use ownership::Ownership;
use scripts::Scripts;
pub use settings::RedisSettings;

/// How long a record outlives its allocation: a server that was down for the last seconds of one
/// still finds its record and can account for it.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a node's incarnation and index are kept after its last write.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of records to read or delete in one round trip.
const BATCH: usize = 256;

/// A node's directory in a Redis server. It has one connection at a time. Each further one has a
/// higher generation, so that the server rejects a write that was still on its way over an older
/// one.
pub struct Redis {
    link: Link,
    scripts: Scripts,
    sealer: Sealer,
    incarnation: Incarnation,
    generation: u64,
    claims: Claims,
    ownership: Ownership,
    comparison: Comparison,
    /// Whether the user may ask for the remaining lifetime of a key.
    has_ttl: bool,
    stream: Stream,
    written: Written,
    warned: Warned,
}

impl Redis {
    /// Creates the directory of the sealer's node without connecting.
    ///
    /// # Errors
    /// The URL is not usable.
    pub fn new(settings: &RedisSettings, sealer: Sealer) -> Result<Self, StoreError> {
        let incarnation = Incarnation::random();
        Ok(Self {
            claims: Claims::new(sealer.node().clone(), incarnation, settings.heartbeat_lifetime),
            link: Link::new(settings)?,
            scripts: Scripts::new(),
            sealer,
            incarnation,
            generation: 0,
            ownership: Ownership::default(),
            comparison: Comparison::default(),
            has_ttl: true,
            stream: Stream::new(settings.accounting_entries),
            written: Written::default(),
            warned: Warned::default(),
        })
    }

    /// Incarnation of this process.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn node(&self) -> &NodeId {
        self.sealer.node()
    }

    /// Names incarnations that have certainly ended, whatever their heartbeats say: this process
    /// holds the lock that they held.
    pub fn succeed(&mut self, ended: &[Incarnation]) {
        self.claims.ended = ended.to_vec();
    }

    /// Makes the first claim take the name even from a server with a fresh heartbeat.
    pub fn take_over(&mut self) {
        self.claims.take_over = true;
    }

    /// Takes over records whose allocations now belong to this process, or have ended: the next
    /// comparison deletes those that are not offered. Records that were read and could not be
    /// restored are never deleted.
    pub fn answer_for(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        ids.into_iter().for_each(|id| self.ownership.answer_for(id));
    }

    /// Claims the name, and returns the ids in the index.
    async fn claim(&mut self) -> Result<Vec<RecordId>, StoreError> {
        if !self.link.is_up() {
            self.link.connect().await?;
        }
        let seen = self.look().await?;
        self.claims.may(&seen, Instant::now())?;
        self.generation += 1;
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.claim.prepare_invoke();
        script.key(keys::incarnation(self.sealer.node())).key(keys::index(self.sealer.node()));
        script
            .arg(self.incarnation.to_string())
            .arg(self.generation)
            .arg(&seen.held)
            .arg(millis(KEPT));
        let members: Vec<Vec<u8>> = self.link.call(script.invoke_async(&mut connection)).await?;
        self.claims.won(&seen, Instant::now());
        // At once, so that other servers see that this process is alive.
        self.register(&[("state", "starting".into())], self.claims.lifetime()).await?;
        Ok(members.iter().filter_map(|member| record_id(member)).collect())
    }

    /// Reads the state of the name.
    async fn look(&mut self) -> Result<Seen, StoreError> {
        let node = self.sealer.node().clone();
        // One call for each key: in a cluster they are in different slots.
        let mut connection = self.link.connection()?;
        let mut get = redis::cmd("GET");
        get.arg(keys::incarnation(&node));
        let held: Option<Vec<u8>> = self.link.call(get.query_async(&mut connection)).await?;
        let mut hmget = redis::cmd("HMGET");
        hmget.arg(keys::registry(&node)).arg("incarnation").arg("at");
        let [incarnation, at]: [Option<Vec<u8>>; 2] =
            self.link.call(hmget.query_async(&mut connection)).await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let alive =
            incarnation.map(|incarnation| (text(incarnation), at.map(text).unwrap_or_default()));
        Ok(Seen { held: held.map(text).unwrap_or_default(), alive })
    }

    /// Releases the name if this process has it. The records stay for the next process.
    async fn release(&mut self) -> Result<(), StoreError> {
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.release.prepare_invoke();
        script
            .key(keys::incarnation(self.node()))
            .arg(self.incarnation.to_string())
            .arg(claim::FREE)
            .arg(millis(KEPT));
        self.link.call(script.invoke_async::<()>(&mut connection)).await?;
        self.unregister().await
    }

    /// Runs the only script that writes. Without changes it checks the right to write, and renews
    /// the expiry of the directory.
    async fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let now = unix_millis();
        // Before it is sent: without an answer it may still have been done.
        self.answer_for(changes.iter().map(Change::id));
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.write.prepare_invoke();
        let puts: Vec<_> = changes
            .iter()
            .filter_map(|change| if let Change::Put(record) = change { Some(record) } else { None })
            .collect();
        let deleted: Vec<_> = changes
            .iter()
            .filter_map(|change| if let Change::Delete(id) = change { Some(*id) } else { None })
            .collect();
        let node = self.sealer.node();
        script.key(keys::incarnation(node)).key(keys::index(node));
        for id in puts.iter().map(|record| record.id).chain(deleted.iter().copied()) {
            script.key(keys::alloc(node, id));
        }
        script
            .arg(self.incarnation.to_string())
            .arg(self.generation)
            .arg(millis(KEPT))
            .arg(puts.len());
        for record in puts {
            let lives = record.expires_at.saturating_sub(now).saturating_add(millis(MARGIN));
            script.arg(record.id.to_string()).arg(self.sealer.seal(record, now / 1000)).arg(lives);
        }
        for id in deleted {
            script.arg(id.to_string());
        }
        self.link.call(script.invoke_async::<()>(&mut connection)).await?;
        self.claims.confirm(Instant::now());
        self.ownership.written(changes);
        self.written.note(changes);
        Ok(())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("node", self.node())
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

/// Parses 16 lower-case hexadecimal digits; any other member of an index is not ours.
fn record_id(member: &[u8]) -> Option<RecordId> {
    if member == scripts::ANCHOR {
        return None;
    }
    let text = std::str::from_utf8(member)
        .ok()
        .filter(|text| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, 16).ok().map(RecordId)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

pub(crate) fn unix_millis() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
