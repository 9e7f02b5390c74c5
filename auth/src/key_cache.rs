use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;

use crate::credential::Credential;

/// So many users of each kind are remembered at least, and twice as many at the most.
const GENERATION: usize = 8192;

/// What a further source of keys has said of users, for a while: whose key it gave, and who is
/// unknown. The two are kept apart, so that made-up names push out nobody who exists.
#[derive(Default)]
pub struct KeyCache {
    known: Generations<Arc<Credential>>,
    unknown: Generations<()>,
}

impl KeyCache {
    /// Nothing was said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a user until the end of this second of Unix time.
    pub fn insert(&mut self, credential: Arc<Credential>, until: u64) {
        self.unknown.remove(credential.username());
        self.known.insert(credential.username().into(), credential, until);
    }

    /// Remembers until the end of this second of Unix time that there is no such user.
    pub fn insert_unknown(&mut self, username: &str, until: u64) {
        self.known.remove(username);
        self.unknown.insert(username.into(), (), until);
    }

    /// What is remembered at `unix` seconds: `Some(None)` is a user who does not exist, `None` one
    /// who was not asked for.
    #[must_use]
    pub fn find(&self, username: &str, unix: u64) -> Option<Option<&Arc<Credential>>> {
        match self.known.get(username, unix) {
            Some(credential) => Some(Some(credential)),
            None => self.unknown.get(username, unix).map(|()| None),
        }
    }

    /// Forgets everything: something has changed at the source.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many users are remembered, unknown ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len() + self.unknown.len()
    }

    /// Whether nobody is.
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

/// A map that is full drops what was put in before the last [`GENERATION`] entries: bounded,
/// without an order to keep.
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
            cache.insert_unknown(&format!("nobody-{number}"), 10);
            assert!(cache.len() <= 2 * GENERATION + 1);
        }
        assert_eq!(told(&cache, "alice", 1), Some(Some("alice".into())));
        assert_eq!(
            told(&cache, &format!("nobody-{}", 5 * GENERATION - 1), 1),
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
