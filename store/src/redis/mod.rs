//! The directory in a Redis server.

mod accounting;
mod directory;
mod error;
mod inspection;
pub(crate) mod keys;
pub(crate) mod link;
mod registry;
mod restore;
mod scripts;
mod settings;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::change::Change;
use crate::directory::Comparison;
use crate::error::StoreError;
use crate::incarnation::Incarnation;
use crate::node::NodeId;
use crate::record::{RecordId, Sealer};
use accounting::Stream;
use inspection::{Held, Said};
use link::Link;
use scripts::Scripts;
pub use settings::RedisSettings;

/// Records outlive their allocation by this: a server that is down for the last seconds of one still finds it and can say so.
const MARGIN: Duration = Duration::from_secs(60);
/// For so long a node's incarnation and index are kept after it wrote last.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Records asked for or deleted in one round trip.
const BATCH: usize = 256;

/// A node's directory in a Redis server. One connection; each further one has a higher generation, so that what an older one still had on its
/// way when it was given up is refused by the server.
pub struct Redis {
    link: Link,
    scripts: Scripts,
    sealer: Sealer,
    incarnation: Incarnation,
    generation: u64,
    /// Whether this process has ever been the one that may write: from then on it never takes over from another again.
    claimed: bool,
    comparison: Comparison,
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
        Ok(Self {
            link: Link::new(settings)?,
            scripts: Scripts::new(),
            sealer,
            incarnation: Incarnation::random(),
            generation: 0,
            claimed: false,
            comparison: Comparison::default(),
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

    /// Becomes the one that may write, and gives the ids in the index.
    async fn claim(&mut self) -> Result<Vec<RecordId>, StoreError> {
        if !self.link.is_up() {
            self.link.connect().await?;
        }
        self.generation += 1;
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.claim.prepare_invoke();
        script.key(keys::incarnation(self.sealer.node())).key(keys::index(self.sealer.node()));
        script.arg(self.incarnation.to_string()).arg(self.generation).arg(u8::from(!self.claimed)).arg(millis(KEPT));
        let members: Vec<Vec<u8>> = self.link.call(script.invoke_async(&mut connection)).await?;
        self.claimed = true;
        Ok(members.iter().filter_map(|member| record_id(member)).collect())
    }

    /// The one script that writes; without changes it checks who may, and keeps the directory from expiring.
    async fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let now = unix_millis();
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.write.prepare_invoke();
        let puts: Vec<_> = changes.iter().filter_map(|change| if let Change::Put(record) = change { Some(record) } else { None }).collect();
        let deleted: Vec<_> = changes.iter().filter_map(|change| if let Change::Delete(id) = change { Some(*id) } else { None }).collect();
        let node = self.sealer.node();
        script.key(keys::incarnation(node)).key(keys::index(node));
        for id in puts.iter().map(|record| record.id).chain(deleted.iter().copied()) {
            script.key(keys::alloc(node, id));
        }
        script.arg(self.incarnation.to_string()).arg(self.generation).arg(millis(KEPT)).arg(puts.len());
        for record in puts {
            let lives = record.expires_at.saturating_sub(now).saturating_add(millis(MARGIN));
            script.arg(record.id.to_string()).arg(self.sealer.seal(record, now / 1000)).arg(lives);
        }
        for id in deleted {
            script.arg(id.to_string());
        }
        self.link.call(script.invoke_async::<()>(&mut connection)).await?;
        self.held.note(changes);
        Ok(())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("node", self.node()).field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

/// 16 lower-case hexadecimal digits; anything else in an index is not ours.
fn record_id(member: &[u8]) -> Option<RecordId> {
    if member == scripts::ANCHOR {
        return None;
    }
    let text = std::str::from_utf8(member).ok().filter(|text| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, 16).ok().map(RecordId)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

pub(crate) fn unix_millis() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
