//! One room: two seats, and the signals that wait for each of them.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::limits::{Limits, Refusal};

/// Maximum number of open requests of one member: a poll, a post, and one whose end a proxy has not
/// noticed.
pub(super) const MAX_REQUESTS: u8 = 3;

/// The ICE role (RFC 8445 §6.1.1): the first seat of the room is controlling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The member on the first seat.
    Controlling,
    /// The member on the second seat.
    Controlled,
}

/// 128 random bits that prove membership; 32 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MemberToken(pub u128);

impl fmt::Display for MemberToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The token gives access to the member's inbox, so logs must not contain it.
impl fmt::Debug for MemberToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberToken(…)")
    }
}

/// The state of the other member; as text `absent`, `present-N` or `left`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Peer {
    /// The seat is empty: its member has not come yet, or disappeared without leaving.
    Absent,
    /// The member is in the room. Each member has a number of its own, which distinguishes a
    /// restarted agent from its stale member.
    Present(u64),
    /// The member has left.
    Left,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Present(member) => write!(f, "present-{member}"),
            Self::Left => f.write_str("left"),
        }
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let member = || text.strip_prefix("present-").and_then(|number| number.parse().ok());
        match text {
            "absent" => Ok(Self::Absent),
            "left" => Ok(Self::Left),
            _ => member()
                .map(Self::Present)
                .ok_or_else(|| format!("{text:?} is not one of absent, present-N and left")),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

impl TryFrom<String> for Peer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The response to a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The sealed signals of the other member, oldest first.
    pub signals: Vec<String>,
    /// The number of the last signal in `signals`, or `after` if there is none. The next poll's
    /// `after`, which acknowledges the signals.
    pub last: u64,
    /// The state of the other member.
    pub peer: Peer,
}

/// The seat that a member took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seated {
    /// The role, which the seat decides.
    pub role: Role,
    /// The member's number in its room.
    pub member: u64,
}

#[derive(Debug)]
enum Occupant {
    Empty,
    Member(Member),
    Left,
}

#[derive(Debug)]
struct Member {
    token: MemberToken,
    number: u64,
    address: IpAddr,
    /// The number of open requests of this member.
    requests: u8,
    seen: Instant,
}

impl Member {
    /// How long the member has had no open request.
    fn idle(&self, now: Instant) -> Duration {
        if self.requests > 0 { Duration::ZERO } else { now.saturating_duration_since(self.seen) }
    }
}

#[derive(Debug)]
struct Seat {
    occupant: Occupant,
    /// Signals for this seat, with their numbers from 1.
    inbox: VecDeque<(u64, String)>,
    inbox_octets: usize,
    last_number: u64,
    /// Wakes all open polls of this seat.
    news: watch::Sender<()>,
}

impl Seat {
    fn new() -> Self {
        Self {
            occupant: Occupant::Empty,
            inbox: VecDeque::new(),
            inbox_octets: 0,
            last_number: 0,
            news: watch::Sender::new(()),
        }
    }

    fn member(&self) -> Option<&Member> {
        match &self.occupant {
            Occupant::Member(member) => Some(member),
            Occupant::Empty | Occupant::Left => None,
        }
    }

    fn empty_inbox(&mut self) {
        self.inbox.clear();
        self.inbox_octets = 0;
    }

    fn peer(&self) -> Peer {
        match &self.occupant {
            Occupant::Empty => Peer::Absent,
            Occupant::Member(member) => Peer::Present(member.number),
            Occupant::Left => Peer::Left,
        }
    }
}

/// Two seats. The seat of a member that left or disappeared may be taken again, by the restarted
/// agent or by the real peer.
#[derive(Debug)]
pub(super) struct Room {
    seats: [Seat; 2],
    created: Instant,
    members: u64,
}

impl Room {
    pub(super) fn new(now: Instant) -> Self {
        Self { seats: [Seat::new(), Seat::new()], created: now, members: 0 }
    }

    pub(super) fn created(&self) -> Instant {
        self.created
    }

    /// The addresses of the members.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.seats.iter().filter_map(Seat::member).map(|member| member.address)
    }

    /// Removes stale members and finds a free seat.
    pub(super) fn free_seat(&mut self, now: Instant, grace: Duration) -> Result<usize, Refusal> {
        self.expire_members(now, grace);
        if let Some(free) = self.seats.iter().position(|seat| seat.member().is_none()) {
            return Ok(free);
        }
        let idle = self.seats.iter().filter_map(Seat::member).filter(|member| member.requests == 0);
        // A member without an open request may be between two of them; it is stale only after the
        // grace.
        match idle.map(|member| member.seen + grace).min() {
            Some(at) => Err(Refusal::Undecided(at)),
            None => Err(Refusal::Full),
        }
    }

    /// Takes a seat that [`free_seat`](Self::free_seat) found.
    pub(super) fn sit(
        &mut self,
        now: Instant,
        seat: usize,
        token: MemberToken,
        address: IpAddr,
    ) -> Seated {
        self.members += 1;
        let number = self.members;
        // Signals from or for an earlier member are not for this pair.
        self.seats.iter_mut().for_each(Seat::empty_inbox);
        self.seats[seat].occupant =
            Occupant::Member(Member { token, number, address, requests: 0, seen: now });
        self.seats[1 - seat].news.send_replace(());
        Seated {
            role: if seat == 0 { Role::Controlling } else { Role::Controlled },
            member: number,
        }
    }

    /// The seat of a member; records that the member was active now.
    fn seat_of(&mut self, now: Instant, token: MemberToken) -> Result<usize, Refusal> {
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if let Occupant::Member(member) = &mut seat.occupant
                && member.token == token
            {
                member.seen = now;
                return Ok(index);
            }
        }
        Err(Refusal::NotAMember)
    }

    fn member_mut(&mut self, now: Instant, token: MemberToken) -> Result<&mut Member, Refusal> {
        let own = self.seat_of(now, token)?;
        match &mut self.seats[own].occupant {
            Occupant::Member(member) => Ok(member),
            Occupant::Empty | Occupant::Left => Err(Refusal::NotAMember),
        }
    }

    /// Records that a request of a member begins; [`end_request`](Self::end_request) follows.
    pub(super) fn begin_request(
        &mut self,
        now: Instant,
        token: MemberToken,
    ) -> Result<(), Refusal> {
        let member = self.member_mut(now, token)?;
        if member.requests >= MAX_REQUESTS {
            return Err(Refusal::TooManyRequests);
        }
        member.requests += 1;
        Ok(())
    }

    pub(super) fn end_request(&mut self, now: Instant, token: MemberToken) {
        if let Ok(member) = self.member_mut(now, token) {
            member.requests = member.requests.saturating_sub(1);
        }
    }

    pub(super) fn post(
        &mut self,
        now: Instant,
        token: MemberToken,
        to: u64,
        signals: Vec<String>,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let other = 1 - self.seat_of(now, token)?;
        let seat = &mut self.seats[other];
        if seat.peer() != Peer::Present(to) {
            return Err(Refusal::PeerGone);
        }
        let octets: usize = signals.iter().map(String::len).sum();
        if seat.inbox.len() + signals.len() > limits.signals
            || seat.inbox_octets + octets > limits.inbox_octets
        {
            return Err(Refusal::InboxFull);
        }
        seat.inbox_octets += octets;
        for signal in signals {
            seat.last_number += 1;
            seat.inbox.push_back((seat.last_number, signal));
        }
        seat.news.send_replace(());
        Ok(())
    }

    /// The signals after number `after`; earlier ones are acknowledged and removed.
    pub(super) fn take(
        &mut self,
        now: Instant,
        token: MemberToken,
        after: u64,
    ) -> Result<Batch, Refusal> {
        let own = self.seat_of(now, token)?;
        let peer = self.seats[1 - own].peer();
        let seat = &mut self.seats[own];
        while let Some((number, signal)) = seat.inbox.front() {
            if *number > after {
                break;
            }
            seat.inbox_octets -= signal.len();
            seat.inbox.pop_front();
        }
        let last = seat.inbox.back().map_or(after, |(number, _)| *number);
        Ok(Batch {
            signals: seat.inbox.iter().map(|(_, signal)| signal.clone()).collect(),
            last,
            peer,
        })
    }

    /// A receiver that changes when there is news for the member.
    pub(super) fn news(
        &mut self,
        now: Instant,
        token: MemberToken,
    ) -> Result<watch::Receiver<()>, Refusal> {
        let own = self.seat_of(now, token)?;
        Ok(self.seats[own].news.subscribe())
    }

    pub(super) fn leave(&mut self, now: Instant, token: MemberToken) -> Result<(), Refusal> {
        let own = self.seat_of(now, token)?;
        self.vacate(own, Occupant::Left);
        Ok(())
    }

    fn vacate(&mut self, index: usize, occupant: Occupant) {
        self.seats[index].occupant = occupant;
        self.seats[index].empty_inbox();
        for seat in &self.seats {
            seat.news.send_replace(());
        }
    }

    /// Removes members that have had no open request for `absence`.
    pub(super) fn expire_members(&mut self, now: Instant, absence: Duration) {
        for index in 0..self.seats.len() {
            if self.seats[index].member().is_some_and(|member| member.idle(now) >= absence) {
                self.vacate(index, Occupant::Empty);
            }
        }
    }

    /// Whether both seats are taken.
    pub(super) fn is_paired(&self) -> bool {
        self.seats.iter().all(|seat| seat.member().is_some())
    }

    /// Whether the room is empty or its lifetime is over.
    pub(super) fn is_over(&self, now: Instant, lifetime: Duration) -> bool {
        let occupied = self.seats.iter().any(|seat| seat.member().is_some());
        !occupied || now.saturating_duration_since(self.created) >= lifetime
    }
}
