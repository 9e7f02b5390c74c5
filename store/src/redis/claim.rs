//! The rules by which this process may claim the node's name (H48). It decides; [`super::Redis`]
//! asks the server and claims.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, StoreError};
use crate::node::{Incarnation, NodeId};

/// The value in place of an incarnation after an orderly shutdown: the name is free.
pub(super) const FREE: &str = "free";
/// Maximum number of remembered predecessors.
const REPLACED: usize = 8;

/// The state of the name, as read from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Value of the incarnation's key; empty if there is none.
    pub(super) held: String,
    /// The incarnation with a fresh heartbeat, and the time of the heartbeat by its own clock.
    pub(super) alive: Option<(String, String)>,
}

impl Seen {
    /// The incarnation in `held`, without the generation of its connection.
    fn holder(&self) -> &str {
        self.held.split_once('.').map_or(&self.held, |(holder, _)| holder)
    }
}

/// The history of the name, as this process has seen it.
#[derive(Debug)]
pub(super) struct Claims {
    node: NodeId,
    me: String,
    /// How long a heartbeat is fresh.
    lifetime: Duration,
    /// Whether the first claim ignores a fresh heartbeat.
    pub(super) take_over: bool,
    /// Processes that have certainly ended: they held the lock that this process holds now.
    pub(super) ended: Vec<Incarnation>,
    /// Whether this process has ever had the name.
    claimed: bool,
    /// Whether another server has taken the name since.
    fenced: bool,
    /// The incarnations that this process took the name from. After a failover that lost the claim,
    /// one of these is found again.
    replaced: Vec<String>,
    /// When the server last confirmed that this process has the name.
    confirmed: Option<Instant>,
    /// The value that was found without a heartbeat, and when it was found first.
    vacant: Option<(String, Instant)>,
    /// The server whose heartbeat prevents a claim.
    rival: Option<Rival>,
}

#[derive(Debug)]
struct Rival {
    alive: (String, String),
    /// Whether it has sent a second heartbeat since it was found.
    beats: bool,
}

impl Claims {
    pub(super) fn new(node: NodeId, me: Incarnation, lifetime: Duration) -> Self {
        Self {
            node,
            me: me.to_string(),
            lifetime,
            take_over: false,
            ended: Vec::new(),
            claimed: false,
            fenced: false,
            replaced: Vec::new(),
            confirmed: None,
            vacant: None,
            rival: None,
        }
    }

    /// Whether the name may be claimed.
    ///
    /// # Errors
    /// Another server has the name, or may have it.
    pub(super) fn may(&mut self, seen: &Seen, now: Instant) -> Result<(), StoreError> {
        let holder = seen.holder();
        if holder == self.me && !self.fenced {
            return Ok(());
        }
        let has_ended =
            |incarnation: &str| self.ended.iter().any(|ended| ended.to_string() == incarnation);
        let alive = seen
            .alive
            .as_ref()
            .filter(|(incarnation, _)| *incarnation != self.me && !has_ended(incarnation));
        if !self.claimed && (self.take_over || has_ended(holder)) {
            return Ok(());
        }
        if let Some(alive) = alive {
            let beats = self.rival.as_ref().is_some_and(|rival| {
                rival.beats || rival.alive.0 == alive.0 && rival.alive.1 != alive.1
            });
            self.rival = Some(Rival { alive: alive.clone(), beats });
            (self.vacant, self.fenced) = (None, self.claimed);
            return Err(self.refusal(format_args!(
                "another server ({}) has it, and its heartbeat is fresh",
                alive.0
            )));
        }
        self.rival = None;
        let is_known = holder == FREE
            || !self.fenced && (has_ended(holder) || self.replaced.iter().any(|one| one == holder));
        let is_recent =
            self.confirmed.is_some_and(|confirmed| now.duration_since(confirmed) < self.lifetime);
        if !self.claimed || is_known || !self.fenced && holder.is_empty() && is_recent {
            return Ok(());
        }
        // The owner, if it is alive, writes a heartbeat within its interval, a quarter of the
        // lifetime.
        let since = match &self.vacant {
            Some((held, since)) if *held == seen.held => *since,
            _ => now,
        };
        self.vacant = Some((seen.held.clone(), since));
        if now.duration_since(since) >= self.lifetime * 3 / 8 {
            return Ok(());
        }
        if holder.is_empty() && !self.fenced {
            let node = &self.node;
            let text = format!(
                "the name {node} is free; waiting before claiming it, because another server \
                 may have had it meanwhile"
            );
            return Err(StoreError::new(ErrorKind::NeedsFull, text));
        }
        self.fenced = true;
        Err(self.refusal(format_args!(
            "another server ({holder}) has taken it, and its heartbeats have stopped"
        )))
    }

    fn refusal(&self, why: fmt::Arguments<'_>) -> StoreError {
        StoreError::new(ErrorKind::Fenced, format!("the name {} is taken: {why}", self.node))
    }

    /// This process has claimed the name; `seen` is the state before.
    pub(super) fn won(&mut self, seen: &Seen, now: Instant) {
        let holder = seen.holder();
        if !holder.is_empty()
            && holder != FREE
            && holder != self.me
            && !self.replaced.iter().any(|one| one == holder)
        {
            self.replaced.push(holder.to_owned());
            let surplus = self.replaced.len().saturating_sub(REPLACED);
            self.replaced.drain(..surplus);
        }
        (self.claimed, self.fenced, self.vacant, self.rival) = (true, false, None, None);
        self.confirm(now);
    }

    /// The server has confirmed that this process still has the name.
    pub(super) fn confirm(&mut self, now: Instant) {
        self.confirmed = Some(now);
    }

    /// Whether the server that prevents a claim is certainly alive: its heartbeats continue.
    pub(super) fn rival_lives(&self) -> bool {
        self.rival.as_ref().is_some_and(|rival| rival.beats)
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(20);

    struct World {
        claims: Claims,
        me: Incarnation,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let me = Incarnation::random();
            Self {
                claims: Claims::new(NodeId::new("relay-1").unwrap(), me, LIFETIME),
                me,
                now: Instant::now(),
            }
        }

        fn after(&mut self, seconds: u64, seen: &Seen) -> Result<(), ErrorKind> {
            self.now += Duration::from_secs(seconds);
            let outcome = self.claims.may(seen, self.now).map_err(|error| error.kind);
            if outcome.is_ok() {
                self.claims.won(seen, self.now);
            }
            outcome
        }
    }

    fn seen(held: &str, alive: &str) -> Seen {
        let alive = (!alive.is_empty()).then(|| (alive.to_owned(), "1".to_owned()));
        Seen { held: if held.len() == 32 { format!("{held}.1") } else { held.to_owned() }, alive }
    }

    fn another() -> String {
        Incarnation::random().to_string()
    }

    #[test]
    fn h48_a_fresh_heartbeat_keeps_a_starting_server_out_and_a_stale_one_does_not() {
        let (mut world, other) = (World::new(), another());
        assert_eq!(world.after(0, &seen(&other, &other)), Err(ErrorKind::Fenced));
        assert!(!world.claims.rival_lives(), "it may have ended a moment ago");
        let mut again = seen(&other, &other);
        again.alive.as_mut().unwrap().1 = "2".into();
        assert_eq!(world.after(5, &again), Err(ErrorKind::Fenced));
        assert!(world.claims.rival_lives());
        assert_eq!(world.after(20, &seen(&other, "")), Ok(()));
    }

    #[test]
    fn h48_a_claim_does_not_wait_for_a_predecessor_whose_lock_is_held_now_nor_with_take_over() {
        let (mut world, before) = (World::new(), Incarnation::random());
        world.claims.ended = vec![before];
        assert_eq!(world.after(0, &seen(&before.to_string(), &before.to_string())), Ok(()));
        let (mut world, other) = (World::new(), another());
        world.claims.take_over = true;
        assert_eq!(world.after(0, &seen(&other, &other)), Ok(()));
        // Once: it never takes over from the next.
        let next = another();
        assert_eq!(world.after(1, &seen(&next, &next)), Err(ErrorKind::Fenced));
    }

    #[test]
    fn h48_a_fenced_server_comes_back_when_the_name_is_free_or_the_other_has_ended() {
        let (mut world, other) = (World::new(), another());
        let me = world.me.to_string();
        assert_eq!(world.after(0, &seen("", "")), Ok(()));
        assert_eq!(world.after(1, &seen(&other, &other)), Err(ErrorKind::Fenced));
        // A failover brings back the value that the other's claim had replaced: that alone does not
        // return the name.
        assert_eq!(world.after(1, &seen(&me, &other)), Err(ErrorKind::Fenced));
        assert_eq!(world.after(5, &seen(&me, "")), Err(ErrorKind::Fenced));
        assert_eq!(world.after(3, &seen(&other, &other)), Err(ErrorKind::Fenced));
        assert_eq!(world.after(5, &seen(FREE, "")), Ok(()));

        assert_eq!(world.after(1, &seen(&other, &other)), Err(ErrorKind::Fenced));
        assert_eq!(
            world.after(20, &seen(&other, "")),
            Err(ErrorKind::Fenced),
            "its heartbeat may come again"
        );
        assert_eq!(world.after(5, &seen(&other, "")), Err(ErrorKind::Fenced));
        assert_eq!(world.after(5, &seen(&other, "")), Ok(()));
    }

    #[test]
    fn h48_a_server_that_was_cut_off_for_long_is_not_the_first_at_an_empty_store() {
        let (mut world, other) = (World::new(), another());
        assert_eq!(world.after(0, &seen("", "")), Ok(()));
        assert_eq!(
            world.after(19, &seen("", "")),
            Ok(()),
            "no other server can have had it meanwhile"
        );
        assert_eq!(world.after(21, &seen("", "")), Err(ErrorKind::NeedsFull));
        assert_eq!(
            world.after(5, &seen(&other, &other)),
            Err(ErrorKind::Fenced),
            "the rightful one came"
        );

        let mut world = World::new();
        assert_eq!(world.after(0, &seen("", "")), Ok(()));
        assert_eq!(world.after(21, &seen("", "")), Err(ErrorKind::NeedsFull));
        assert_eq!(world.after(8, &seen("", "")), Ok(()), "no other server came");
    }

    #[test]
    fn h48_a_claim_that_a_failover_lost_is_made_again() {
        let (mut world, before) = (World::new(), another());
        assert_eq!(world.after(0, &seen(&before, "")), Ok(()));
        assert_eq!(
            world.after(40, &seen(&before, "")),
            Ok(()),
            "whom it has replaced is found again"
        );
        // Unless that one lives: then it is the one that has taken over.
        assert_eq!(world.after(40, &seen(&before, &before)), Err(ErrorKind::Fenced));
        let stranger = another();
        assert_eq!(world.after(40, &seen(&stranger, &stranger)), Err(ErrorKind::Fenced));
    }
}
