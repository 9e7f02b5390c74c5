//! All rooms of a rendezvous.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use tokio::sync::watch;

use super::id::RoomId;
use super::limits::{Limits, Refusal};
use super::prefix::{Prefix, PrefixLimit};
use super::room::{Batch, MemberToken, Room, Seated};

/// All rooms of a rendezvous. Reads no clock: the caller passes the time.
#[derive(Debug)]
pub struct Rooms {
    limits: Limits,
    rooms: HashMap<RoomId, Room>,
}

/// The rooms of one network in which a member waits alone.
struct Unpaired {
    count: usize,
    /// The creation of the oldest of them.
    created: Instant,
    oldest: RoomId,
}

impl Rooms {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, rooms: HashMap::new() }
    }

    /// Takes a seat for a client at `address`, in a new room if necessary. Replaces a member that
    /// has had no open request for [`Limits::grace`].
    ///
    /// # Errors
    /// [`Refusal::Full`], [`Refusal::Undecided`], [`Refusal::TooManyRooms`],
    /// [`Refusal::TooManySeats`].
    pub fn join(
        &mut self,
        now: Instant,
        id: RoomId,
        token: MemberToken,
        address: IpAddr,
    ) -> Result<Seated, Refusal> {
        self.expire(now);
        let seat = match self.rooms.get_mut(&id) {
            Some(room) => room.free_seat(now, self.limits.grace)?,
            None => 0,
        };
        let limit = PrefixLimit { narrow: self.limits.seats_per_prefix };
        if limit.reached(address, self.rooms.values().flat_map(Room::addresses)).is_some() {
            return Err(Refusal::TooManySeats);
        }
        if !self.rooms.contains_key(&id) && self.rooms.len() >= self.limits.rooms {
            self.make_room(address)?;
        }
        Ok(self.rooms.entry(id).or_insert_with(|| Room::new(now)).sit(now, seat, token, address))
    }

    /// Closes the oldest unpaired room of the network that has the most of them, if the newcomer's
    /// network has fewer. So a crowd that fills the rendezvous does not lock others out, and paired
    /// rooms stay.
    fn make_room(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let mut unpaired: HashMap<Prefix, Unpaired> = HashMap::new();
        for (id, room) in self.rooms.iter().filter(|(_, room)| !room.is_paired()) {
            for prefix in room.addresses().map(Prefix::wide) {
                let first = Unpaired { count: 0, created: room.created(), oldest: *id };
                let entry = unpaired.entry(prefix).or_insert(first);
                entry.count += 1;
                if room.created() < entry.created {
                    (entry.created, entry.oldest) = (room.created(), *id);
                }
            }
        }
        let own = unpaired.get(&Prefix::wide(address)).map_or(0, |rooms| rooms.count);
        let most = unpaired.into_values().max_by_key(|rooms| rooms.count);
        let Unpaired { count, oldest, .. } = most.ok_or(Refusal::TooManyRooms)?;
        if count <= own + 1 {
            return Err(Refusal::TooManyRooms);
        }
        self.rooms.remove(&oldest);
        Ok(())
    }

    /// Records that a request of a member begins: the member is present until
    /// [`end_request`](Self::end_request).
    ///
    /// # Errors
    /// [`Refusal::NotAMember`], [`Refusal::TooManyRequests`].
    pub fn begin_request(
        &mut self,
        now: Instant,
        id: RoomId,
        token: MemberToken,
    ) -> Result<(), Refusal> {
        self.room(id)?.begin_request(now, token)
    }

    /// Records that a request of a member, or its connection, ended.
    pub fn end_request(&mut self, now: Instant, id: RoomId, token: MemberToken) {
        if let Ok(room) = self.room(id) {
            room.end_request(now, token);
        }
    }

    /// Adds signals to the inbox of the other member, if its number is `to`.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`], [`Refusal::PeerGone`], [`Refusal::InboxFull`]; then no signal was
    /// added.
    pub fn post(
        &mut self,
        now: Instant,
        id: RoomId,
        token: MemberToken,
        to: u64,
        signals: Vec<String>,
    ) -> Result<(), Refusal> {
        let limits = self.limits;
        self.room(id)?.post(now, token, to, signals, &limits)
    }

    /// The signals of the other member after number `after`.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`].
    pub fn take(
        &mut self,
        now: Instant,
        id: RoomId,
        token: MemberToken,
        after: u64,
    ) -> Result<Batch, Refusal> {
        self.room(id)?.take(now, token, after)
    }

    /// A receiver that changes when there is news for this member.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`].
    pub fn news(
        &mut self,
        now: Instant,
        id: RoomId,
        token: MemberToken,
    ) -> Result<watch::Receiver<()>, Refusal> {
        self.room(id)?.news(now, token)
    }

    /// Gives the seat up. The room is removed with its last member.
    ///
    /// # Errors
    /// [`Refusal::NotAMember`].
    pub fn leave(&mut self, now: Instant, id: RoomId, token: MemberToken) -> Result<(), Refusal> {
        self.room(id)?.leave(now, token)?;
        self.expire(now);
        Ok(())
    }

    /// Removes silent members, empty rooms, and rooms whose lifetime is over.
    pub fn expire(&mut self, now: Instant) {
        let limits = self.limits;
        self.rooms.retain(|_, room| {
            room.expire_members(now, limits.absence);
            !room.is_over(now, limits.lifetime)
        });
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there are no rooms.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    fn room(&mut self, id: RoomId) -> Result<&mut Room, Refusal> {
        self.rooms.get_mut(&id).ok_or(Refusal::NotAMember)
    }
}

#[cfg(test)]
mod tests;
