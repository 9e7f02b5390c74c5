//! All rooms, and the limits that keep them small.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::room::Room;
use super::{Batch, MemberToken, Role, RoomName, Signal};

/// What one rendezvous holds at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rooms at a time.
    pub rooms: usize,
    /// Signals that wait for one member.
    pub signals: usize,
    /// From a room's first member to its end.
    pub lifetime: Duration,
    /// A member that makes no request for so long has left. Longer than the longest poll.
    pub absence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rooms: 1_000, signals: 128, lifetime: Duration::from_secs(15 * 60), absence: Duration::from_secs(60) }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Two members are, or were, in the room.
    #[error("the room has its two members")]
    Full,
    /// [`Limits::rooms`].
    #[error("there are too many rooms; try later")]
    TooManyRooms,
    /// No such room, or the token is no member's.
    #[error("no member of this room")]
    NotAMember,
    /// [`Limits::signals`].
    #[error("too many signals wait for the other member")]
    InboxFull,
}

/// The rooms. Reads no clock: every call says what time it is.
#[derive(Debug)]
pub struct Rooms {
    limits: Limits,
    rooms: HashMap<RoomName, Room>,
}

impl Rooms {
    /// No rooms yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, rooms: HashMap::new() }
    }

    /// Takes a seat, in a new room if need be.
    ///
    /// # Errors
    /// [`Refusal::Full`], [`Refusal::TooManyRooms`].
    pub fn join(&mut self, now: Instant, name: &RoomName, token: MemberToken) -> Result<Role, Refusal> {
        self.expire(now);
        if !self.rooms.contains_key(name) && self.rooms.len() >= self.limits.rooms {
            return Err(Refusal::TooManyRooms);
        }
        self.rooms.entry(name.clone()).or_insert_with(|| Room::new(now)).join(now, token)
    }

    /// Puts a signal into the other member's inbox, also before that one came.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`], [`Refusal::InboxFull`].
    pub fn post(&mut self, now: Instant, name: &RoomName, token: MemberToken, signal: Signal) -> Result<(), Refusal> {
        let most = self.limits.signals;
        self.room(name)?.post(now, token, signal, most)
    }

    /// What the other member said after signal number `after`.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`].
    pub fn take(&mut self, now: Instant, name: &RoomName, token: MemberToken, after: u64) -> Result<Batch, Refusal> {
        self.room(name)?.take(now, token, after)
    }

    /// What wakes a poll of this member.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`].
    pub fn news(&mut self, now: Instant, name: &RoomName, token: MemberToken) -> Result<Arc<Notify>, Refusal> {
        self.room(name)?.news(now, token)
    }

    /// Gives the seat up; the room goes with its last member.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`].
    pub fn leave(&mut self, now: Instant, name: &RoomName, token: MemberToken) -> Result<(), Refusal> {
        self.room(name)?.leave(now, token)?;
        self.expire(now);
        Ok(())
    }

    /// Forgets silent members, empty rooms and rooms whose lifetime is over.
    pub fn expire(&mut self, now: Instant) {
        let limits = self.limits;
        self.rooms.retain(|_, room| {
            room.expire_members(now, limits.absence);
            !room.is_over(now, limits.lifetime)
        });
    }

    /// How many rooms there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there is no room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    fn room(&mut self, name: &RoomName) -> Result<&mut Room, Refusal> {
        self.rooms.get_mut(name).ok_or(Refusal::NotAMember)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Peer;
    use super::*;

    const A: MemberToken = MemberToken(1);
    const B: MemberToken = MemberToken(2);
    const C: MemberToken = MemberToken(3);
    const DONE: Signal = Signal::EndOfCandidates {};

    fn name(text: &str) -> RoomName {
        text.parse().unwrap()
    }

    fn two_members() -> (Rooms, RoomName, Instant) {
        let (mut rooms, room, now) = (Rooms::new(Limits::default()), name("r"), Instant::now());
        assert_eq!(rooms.join(now, &room, A), Ok(Role::Controlling));
        assert_eq!(rooms.join(now, &room, B), Ok(Role::Controlled));
        (rooms, room, now)
    }

    #[test]
    fn the_third_is_refused_also_after_one_left() {
        let (mut rooms, room, now) = two_members();
        assert_eq!(rooms.join(now, &room, C), Err(Refusal::Full));
        rooms.leave(now, &room, A).unwrap();
        assert_eq!(rooms.join(now, &room, C), Err(Refusal::Full));
        assert_eq!(rooms.take(now, &room, B, 0).unwrap().peer, Peer::Left);
    }

    #[test]
    fn nothing_is_kept_after_both_left() {
        let (mut rooms, room, now) = two_members();
        rooms.leave(now, &room, A).unwrap();
        rooms.leave(now, &room, B).unwrap();
        assert!(rooms.is_empty());
        assert_eq!(rooms.post(now, &room, A, DONE), Err(Refusal::NotAMember));
    }

    #[test]
    fn a_signal_waits_until_it_is_acknowledged() {
        let (mut rooms, room, now) = (Rooms::new(Limits::default()), name("r"), Instant::now());
        rooms.join(now, &room, A).unwrap();
        rooms.post(now, &room, A, DONE).unwrap();
        rooms.join(now, &room, B).unwrap();
        let first = rooms.take(now, &room, B, 0).unwrap();
        assert_eq!((first.signals.len(), first.last), (1, 1));
        assert_eq!(rooms.take(now, &room, B, 0).unwrap(), first, "an answer that was lost is given again");
        assert!(rooms.take(now, &room, B, 1).unwrap().signals.is_empty());
    }

    #[test]
    fn inboxes_and_rooms_are_bounded() {
        let (mut rooms, room, now) = two_members();
        for _ in 0..Limits::default().signals {
            rooms.post(now, &room, A, DONE).unwrap();
        }
        assert_eq!(rooms.post(now, &room, A, DONE), Err(Refusal::InboxFull));

        let mut small = Rooms::new(Limits { rooms: 2, ..Limits::default() });
        small.join(now, &name("a"), A).unwrap();
        small.join(now, &name("b"), A).unwrap();
        assert_eq!(small.join(now, &name("c"), A), Err(Refusal::TooManyRooms));
        assert_eq!(small.join(now, &name("a"), B), Ok(Role::Controlled));
    }

    #[test]
    fn a_silent_member_has_left_and_a_room_ends_with_its_lifetime() {
        let limits = Limits::default();
        let (mut rooms, room, start) = two_members();
        let later = start + limits.absence - Duration::from_secs(1);
        rooms.take(later, &room, B, 0).unwrap();
        rooms.expire(start + limits.absence);
        assert_eq!(rooms.take(start + limits.absence, &room, B, 0).unwrap().peer, Peer::Left);
        assert_eq!(rooms.post(start + limits.absence, &room, A, DONE), Err(Refusal::NotAMember));

        let mut now = start;
        while now < start + limits.lifetime {
            rooms.take(now, &room, B, 0).unwrap();
            rooms.expire(now);
            now += limits.absence / 2;
        }
        rooms.expire(now);
        assert!(rooms.is_empty());
    }

    #[test]
    fn another_rooms_token_is_no_membership() {
        let (mut rooms, room, now) = two_members();
        rooms.join(now, &name("other"), C).unwrap();
        assert_eq!(rooms.take(now, &room, C, 0), Err(Refusal::NotAMember));
        assert_eq!(rooms.leave(now, &room, C), Err(Refusal::NotAMember));
    }
}
