//! One room: two seats, and what waits for each of them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{Refusal, Signal};

/// Who nominates (RFC 8445 §6.1.1): the first in the room is controlling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Came first.
    Controlling,
    /// Came second.
    Controlled,
}

/// 128 random bits that prove membership, 32 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MemberToken(pub u128);

impl fmt::Display for MemberToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A token opens the member's inbox, so it does not stand in logs.
impl fmt::Debug for MemberToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberToken(…)")
    }
}

/// What a member knows of the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// Nobody came yet.
    Absent,
    /// In the room.
    Present,
    /// Was here and left, or was not heard of for too long.
    Left,
}

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What the other member said, oldest first.
    pub signals: Vec<Signal>,
    /// The number of the last signal in `signals`, or `after` again: the next poll's `after`, which also acknowledges.
    pub last: u64,
    /// The other member.
    pub peer: Peer,
}

#[derive(Debug)]
enum Occupant {
    Nobody,
    Member { token: MemberToken, seen: Instant },
    Left,
}

#[derive(Debug)]
struct Seat {
    occupant: Occupant,
    /// Signals for this seat with their numbers, which count from 1.
    inbox: VecDeque<(u64, Signal)>,
    last_number: u64,
    news: Arc<Notify>,
}

impl Seat {
    fn new() -> Self {
        Self { occupant: Occupant::Nobody, inbox: VecDeque::new(), last_number: 0, news: Arc::new(Notify::new()) }
    }
}

/// Two seats. A seat that was left stays taken: a call that ended is not joined by a third.
#[derive(Debug)]
pub(super) struct Room {
    seats: [Seat; 2],
    created: Instant,
}

impl Room {
    pub(super) fn new(now: Instant) -> Self {
        Self { seats: [Seat::new(), Seat::new()], created: now }
    }

    pub(super) fn join(&mut self, now: Instant, token: MemberToken) -> Result<Role, Refusal> {
        let free = self.seats.iter().position(|seat| matches!(seat.occupant, Occupant::Nobody)).ok_or(Refusal::Full)?;
        self.seats[free].occupant = Occupant::Member { token, seen: now };
        self.seats[1 - free].news.notify_one();
        Ok(if free == 0 { Role::Controlling } else { Role::Controlled })
    }

    /// The seat of a member, which is thereby heard of.
    fn seat_of(&mut self, now: Instant, token: MemberToken) -> Result<usize, Refusal> {
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if let Occupant::Member { token: held, seen } = &mut seat.occupant
                && *held == token
            {
                *seen = now;
                return Ok(index);
            }
        }
        Err(Refusal::NotAMember)
    }

    pub(super) fn post(&mut self, now: Instant, token: MemberToken, signal: Signal, most: usize) -> Result<(), Refusal> {
        let other = 1 - self.seat_of(now, token)?;
        let seat = &mut self.seats[other];
        if matches!(seat.occupant, Occupant::Left) {
            return Ok(()); // nobody will read it
        }
        if seat.inbox.len() >= most {
            return Err(Refusal::InboxFull);
        }
        seat.last_number += 1;
        seat.inbox.push_back((seat.last_number, signal));
        seat.news.notify_one();
        Ok(())
    }

    /// What came after signal number `after`; earlier ones are acknowledged and forgotten.
    pub(super) fn take(&mut self, now: Instant, token: MemberToken, after: u64) -> Result<Batch, Refusal> {
        let own = self.seat_of(now, token)?;
        let peer = match self.seats[1 - own].occupant {
            Occupant::Nobody => Peer::Absent,
            Occupant::Member { .. } => Peer::Present,
            Occupant::Left => Peer::Left,
        };
        let inbox = &mut self.seats[own].inbox;
        while inbox.front().is_some_and(|(number, _)| *number <= after) {
            inbox.pop_front();
        }
        let last = inbox.back().map_or(after, |(number, _)| *number);
        Ok(Batch { signals: inbox.iter().map(|(_, signal)| signal.clone()).collect(), last, peer })
    }

    /// Wakes the member's poll when there is news.
    pub(super) fn news(&mut self, now: Instant, token: MemberToken) -> Result<Arc<Notify>, Refusal> {
        let own = self.seat_of(now, token)?;
        Ok(Arc::clone(&self.seats[own].news))
    }

    pub(super) fn leave(&mut self, now: Instant, token: MemberToken) -> Result<(), Refusal> {
        let own = self.seat_of(now, token)?;
        self.vacate(own);
        Ok(())
    }

    fn vacate(&mut self, index: usize) {
        self.seats[index].occupant = Occupant::Left;
        self.seats[index].inbox.clear();
        self.seats[index].news.notify_one();
        self.seats[1 - index].news.notify_one();
    }

    /// Lets members go that were not heard of for `absence`.
    pub(super) fn expire_members(&mut self, now: Instant, absence: Duration) {
        for index in 0..self.seats.len() {
            if let Occupant::Member { seen, .. } = self.seats[index].occupant
                && now.saturating_duration_since(seen) >= absence
            {
                self.vacate(index);
            }
        }
    }

    /// Nobody is here, or the room's time is over.
    pub(super) fn is_over(&self, now: Instant, lifetime: Duration) -> bool {
        let occupied = self.seats.iter().any(|seat| matches!(seat.occupant, Occupant::Member { .. }));
        !occupied || now.saturating_duration_since(self.created) >= lifetime
    }
}
