//! The cache of an external key source.

use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;

use crate::credential::Credential;

/// Minimum number of users of each kind that are remembered; the maximum is twice that.
const GENERATION: usize = 8192;

/// The cached answers of an external key source: credentials of users, and names of unknown users.
/// The two are kept apart, so that made-up names evict no existing user.
#[derive(Default)]
pub struct KeyCache {
    known: Generations<Arc<Credential>>,
    unknown: Generations<()>,
}

impl KeyCache {
    /// Creates an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a user until the end of this second of Unix time.
    pub fn insert(&mut self, credential: Arc<Credential>, until: u64) {
        self.unknown.remove(credential.username());
        self.known.insert(credential.username().into(), credential, until);
    }

    /// Stores until the end of this second of Unix time that there is no such user.
    pub fn insert_unknown(&mut self, username: &str, until: u64) {
        self.known.remove(username);
        self.unknown.insert(username.into(), (), until);
    }

    /// Looks up a user at `unix` seconds: `Some(None)` for a user that does not exist, `None` for a
    /// user without a stored answer.
    #[must_use]
    pub fn find(&self, username: &str, unix: u64) -> Option<Option<&Arc<Credential>>> {
        match self.known.get(username, unix) {
            Some(credential) => Some(Some(credential)),
            None => self.unknown.get(username, unix).map(|()| None),
        }
    }

    /// Removes everything, because something has changed at the source.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of users in the cache, including unknown ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len() + self.unknown.len()
    }

    /// Whether the cache is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("known", &self.known.len())
            .field("unknown", &self.unknown.len())
            .finish()
    }
}

/// A map of two generations: when it is full, it drops the entries before the last [`GENERATION`],
/// so it is bounded without any order.
struct Generations<T> {
    young: AHashMap<Box<str>, Entry<T>>,
    old: AHashMap<Box<str>, Entry<T>>,
}

struct Entry<T> {
    value: T,
    until: u64,
}

impl<T> Generations<T> {
    fn insert(&mut self, username: Box<str>, value: T, until: u64) {
        self.old.remove(&username);
        if self.young.len() >= GENERATION && !self.young.contains_key(&username) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(username, Entry { value, until });
    }

    fn remove(&mut self, username: &str) {
        self.young.remove(username);
        self.old.remove(username);
    }

    fn get(&self, username: &str, unix: u64) -> Option<&T> {
        let entry = self.young.get(username).or_else(|| self.old.get(username))?;
        (unix <= entry.until).then_some(&entry.value)
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Self { young: AHashMap::new(), old: AHashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn user(name: &str) -> Arc<Credential> {
        Arc::new(Credential::new(name, Key::long_term_md5(name, "r", "p")))
    }

    fn told(cache: &KeyCache, name: &str, unix: u64) -> Option<Option<String>> {
        cache.find(name, unix).map(|known| known.map(|credential| credential.username().to_owned()))
    }

    #[test]
    fn an_answer_holds_until_its_time_and_the_last_one_counts() {
        let mut cache = KeyCache::new();
        assert_eq!(told(&cache, "alice", 0), None);
        cache.insert(user("alice"), 10);
        cache.insert_unknown("bob", 5);
        assert_eq!(
            (told(&cache, "alice", 10), told(&cache, "alice", 11)),
            (Some(Some("alice".into())), None)
        );
        assert_eq!((told(&cache, "bob", 5), told(&cache, "bob", 6)), (Some(None), None));
        cache.insert_unknown("alice", 20);
        cache.insert(user("bob"), 20);
        assert_eq!(
            (told(&cache, "alice", 1), told(&cache, "bob", 1), cache.len()),
            (Some(None), Some(Some("bob".into())), 2)
        );
        cache.clear();
        assert_eq!(
            (told(&cache, "alice", 1), told(&cache, "bob", 1), cache.is_empty()),
            (None, None, true)
        );
    }

    #[test]
    fn h33_the_cache_is_bounded_and_made_up_names_push_out_nobody() {
        let mut cache = KeyCache::new();
        cache.insert(user("alice"), 10);
        for number in 0..5 * GENERATION {
            cache.insert_unknown(&format!("unknown-{number}"), 10);
            assert!(cache.len() <= 2 * GENERATION + 1);
        }
        assert_eq!(told(&cache, "alice", 1), Some(Some("alice".into())));
        assert_eq!(
            told(&cache, &format!("unknown-{}", 5 * GENERATION - 1), 1),
            Some(None),
            "what came last is there"
        );
        let one = user("one");
        for number in 0..3 * GENERATION {
            cache.known.insert(format!("user-{number}").into(), Arc::clone(&one), 10);
        }
        assert_eq!((told(&cache, "alice", 1), cache.known.len() <= 2 * GENERATION), (None, true));
    }

    #[test]
    fn h25_no_key_is_printed() {
        let mut cache = KeyCache::new();
        cache.insert(user("alice"), 10);
        assert_eq!(format!("{cache:?}"), "KeyCache { known: 1, unknown: 0 }");
    }
}
