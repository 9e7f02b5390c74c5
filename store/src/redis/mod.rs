//! The directory in a Redis server.

mod accounting;
mod claim;
mod directory;
mod error;
mod inspection;
pub(crate) mod keys;
mod known;
pub(crate) mod link;
mod registry;
mod restore;
mod scripts;
mod settings;
mod url;

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::change::Change;
use crate::directory::Comparison;
use crate::error::{ErrorKind, StoreError};
use crate::incarnation::Incarnation;
use crate::node::NodeId;
use crate::record::{RecordId, Sealer};
use accounting::Stream;
use claim::{Claims, Seen};
use inspection::{Held, Said};
use known::Known;
use link::Link;
use scripts::Scripts;
pub use settings::RedisSettings;

/// Records outlive their allocation by this: a server that is down for the last seconds of one
/// still finds it and can say so.
const MARGIN: Duration = Duration::from_secs(60);
/// For so long a node's incarnation and index are kept after it wrote last.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Records asked for or deleted in one round trip.
const BATCH: usize = 256;

/// A node's directory in a Redis server. One connection; each further one has a higher generation,
/// so that what an older one still had on its way when it was given up is refused by the server.
pub struct Redis {
    link: Link,
    scripts: Scripts,
    sealer: Sealer,
    incarnation: Incarnation,
    generation: u64,
    claims: Claims,
    known: Known,
    comparison: Comparison,
    /// Whether the server lets this user ask how long a key still lives.
    has_ttl: bool,
    stream: Stream,
    held: Held,
    said: Said,
}

impl Redis {
    /// The directory of the sealer's node. Connects to nobody yet.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(settings: &RedisSettings, sealer: Sealer) -> Result<Self, StoreError> {
        let incarnation = Incarnation::random();
        Ok(Self {
            claims: Claims::new(sealer.node().clone(), incarnation, settings.heartbeat_lifetime),
            link: Link::new(settings)?,
            scripts: Scripts::new(),
            sealer,
            incarnation,
            generation: 0,
            known: Known::default(),
            comparison: Comparison::default(),
            has_ttl: true,
            stream: Stream::new(settings.accounting_entries),
            held: Held::default(),
            said: Said::default(),
        })
    }

    /// This life of the node.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn node(&self) -> &NodeId {
        self.sealer.node()
    }

    /// These incarnations of the node have ended for certain, whatever their heartbeats say: this
    /// process holds the lock that they held.
    pub fn succeed(&mut self, ended: &[Incarnation]) {
        self.claims.ended = ended.to_vec();
    }

    /// Has the first claim take the name from a server whose heartbeat is fresh, too.
    pub fn take_over(&mut self) {
        self.claims.take_over = true;
    }

    /// The allocations of these records are this process's by now, or have ended: the next
    /// comparison deletes those that are not offered. Of the others that were read, those that
    /// cannot be brought back, none is ever deleted.
    pub fn answer_for(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        ids.into_iter().for_each(|id| self.known.answer_for(id));
    }

    /// Becomes the one that may write, and gives the ids in the index.
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
        // At once: who looks next finds that this process lives.
        self.register(&[("state", "starting".into())], self.claims.lifetime()).await?;
        Ok(members.iter().filter_map(|member| record_id(member)).collect())
    }

    /// Reads which server has the name.
    async fn look(&mut self) -> Result<Seen, StoreError> {
        let node = self.sealer.node().clone();
        // One call for each key: in a cluster they lie in different slots.
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

    /// Gives the name up, if it is this process's. The records stay, for the next process.
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

    /// The one script that writes; without changes it checks who may, and keeps the directory from
    /// expiring.
    async fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let now = unix_millis();
        // Before it is sent: where no answer comes, it may have been done.
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
        self.known.written(changes);
        self.held.note(changes);
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

/// 16 lower-case hexadecimal digits; anything else in an index is not ours.
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
