//! The rooms in virtual time.

use std::time::Duration;

use super::super::{Peer, Role};
use super::*;

const A: MemberToken = MemberToken(1);
const B: MemberToken = MemberToken(2);
const C: MemberToken = MemberToken(3);
const ROOM: RoomId = RoomId(7);

fn at(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn role(result: Result<Seated, Refusal>) -> Role {
    result.unwrap().role
}

/// Two members that have a poll open, as agents do.
fn two_members() -> (Rooms, Instant) {
    let (mut rooms, now) = (Rooms::new(Limits::default()), Instant::now());
    assert_eq!(role(rooms.join(now, ROOM, A, at(1))), Role::Controlling);
    assert_eq!(role(rooms.join(now, ROOM, B, at(2))), Role::Controlled);
    for token in [A, B] {
        rooms.begin_request(now, ROOM, token).unwrap();
    }
    (rooms, now)
}

fn post(rooms: &mut Rooms, now: Instant, token: MemberToken, to: u64) -> Result<(), Refusal> {
    rooms.post(now, ROOM, token, to, vec!["sealed".into()])
}

#[test]
fn the_third_is_refused_while_both_are_there() {
    let (mut rooms, now) = two_members();
    assert_eq!(rooms.join(now, ROOM, C, at(3)), Err(Refusal::Full));
    assert_eq!(
        rooms.join(now + Duration::from_secs(50), ROOM, C, at(3)),
        Err(Refusal::Full),
        "open polls are presence"
    );
}

#[test]
fn nothing_is_kept_after_both_left() {
    let (mut rooms, now) = two_members();
    rooms.leave(now, ROOM, A).unwrap();
    assert_eq!(rooms.take(now, ROOM, B, 0).unwrap().peer, Peer::Left);
    rooms.leave(now, ROOM, B).unwrap();
    assert!(rooms.is_empty());
    assert_eq!(post(&mut rooms, now, A, 2), Err(Refusal::NotAMember));
}

#[test]
fn a_killed_agent_takes_its_seat_again_and_never_meets_its_ghost() {
    let (mut rooms, now) = (Rooms::new(Limits::default()), Instant::now());
    let grace = Limits::default().grace;
    rooms.join(now, ROOM, A, at(1)).unwrap();
    rooms.begin_request(now, ROOM, A).unwrap();
    // The agent was killed, so its connection broke. It is restarted after the grace.
    let killed = now + Duration::from_secs(1);
    rooms.end_request(killed, ROOM, A);
    let again = rooms.join(killed + grace, ROOM, B, at(1)).unwrap();
    assert_eq!((again.role, again.member), (Role::Controlling, 2));
    assert_eq!(
        rooms.take(killed + grace, ROOM, B, 0).unwrap().peer,
        Peer::Absent,
        "the stale member is gone"
    );
    assert_eq!(rooms.take(killed + grace, ROOM, A, 0), Err(Refusal::NotAMember));
}

#[test]
fn the_real_peer_is_not_refused_because_of_a_ghost() {
    let (mut rooms, now) = (Rooms::new(Limits::default()), Instant::now());
    let grace = Limits::default().grace;
    rooms.join(now, ROOM, A, at(1)).unwrap();
    // Restarted at once, the second run of A shares the room with its stale member during the
    // grace.
    rooms.join(now, ROOM, B, at(1)).unwrap();
    rooms.begin_request(now, ROOM, B).unwrap();
    assert_eq!(rooms.join(now, ROOM, C, at(3)), Err(Refusal::Undecided(now + grace)));
    let peer = rooms.join(now + grace, ROOM, C, at(3)).unwrap();
    assert_eq!((peer.role, peer.member), (Role::Controlling, 3));
    assert_eq!(rooms.take(now + grace, ROOM, B, 0).unwrap().peer, Peer::Present(3));
}

#[test]
fn what_a_ghost_said_or_is_told_reaches_no_other_member() {
    let (mut rooms, now) = two_members();
    let grace = Limits::default().grace;
    post(&mut rooms, now, A, 2).unwrap();
    post(&mut rooms, now, B, 1).unwrap();
    rooms.end_request(now, ROOM, A);
    rooms.join(now + grace, ROOM, C, at(1)).unwrap();
    assert!(rooms.take(now + grace, ROOM, B, 0).unwrap().signals.is_empty());
    assert!(rooms.take(now + grace, ROOM, C, 0).unwrap().signals.is_empty());
    assert_eq!(
        post(&mut rooms, now + grace, B, 1),
        Err(Refusal::PeerGone),
        "meant for the stale member"
    );
    assert_eq!(post(&mut rooms, now + grace, B, 3), Ok(()));
}

#[test]
fn the_last_words_of_a_member_that_left_are_still_read() {
    let (mut rooms, now) = two_members();
    post(&mut rooms, now, A, 2).unwrap();
    rooms.leave(now, ROOM, A).unwrap();
    let batch = rooms.take(now, ROOM, B, 0).unwrap();
    assert_eq!((batch.signals.len(), batch.peer), (1, Peer::Left));
}

#[test]
fn a_signal_waits_until_it_is_acknowledged() {
    let (mut rooms, now) = two_members();
    post(&mut rooms, now, A, 2).unwrap();
    let first = rooms.take(now, ROOM, B, 0).unwrap();
    assert_eq!((first.signals.len(), first.last), (1, 1));
    assert_eq!(
        rooms.take(now, ROOM, B, 0).unwrap(),
        first,
        "an answer that was lost is given again"
    );
    assert!(rooms.take(now, ROOM, B, 1).unwrap().signals.is_empty());
}

#[test]
fn inboxes_are_bounded_by_number_and_length() {
    let (mut rooms, now) = two_members();
    for _ in 0..Limits::default().signals {
        post(&mut rooms, now, A, 2).unwrap();
    }
    assert_eq!(post(&mut rooms, now, A, 2), Err(Refusal::InboxFull));
    let long = |octets| vec!["x".repeat(octets)];
    let most = Limits::default().inbox_octets;
    assert_eq!(rooms.post(now, ROOM, B, 1, long(most)), Ok(()));
    assert_eq!(rooms.post(now, ROOM, B, 1, long(1)), Err(Refusal::InboxFull));
    rooms.take(now, ROOM, A, 1).unwrap();
    assert_eq!(rooms.post(now, ROOM, B, 1, long(most)), Ok(()), "what was read makes place");
}

#[test]
fn one_address_takes_few_seats_and_others_find_theirs() {
    let (mut rooms, now) = (Rooms::new(Limits::default()), Instant::now());
    let joined = (0..999).filter(|room| rooms.join(now, RoomId(*room), A, at(66)).is_ok()).count();
    assert_eq!((joined, rooms.len()), (32, 32));
    assert_eq!(rooms.join(now, RoomId(2_000), A, at(66)), Err(Refusal::TooManySeats));
    assert!(
        rooms.join(now, RoomId(2_000), A, at(67)).is_ok(),
        "its neighbour is another subscriber"
    );
    let v6 = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
    let joined = (0..999_u16)
        .filter(|host| rooms.join(now, RoomId(10_000 + u128::from(*host)), A, v6(*host)).is_ok())
        .count();
    assert_eq!(joined, 32, "a /64 is one subscriber");
}

#[test]
fn a_crowd_of_addresses_that_fills_the_house_makes_room_for_others() {
    let (mut rooms, now) = (Rooms::new(Limits { rooms: 100, ..Limits::default() }), Instant::now());
    rooms.join(now, ROOM, A, [198, 51, 100, 1].into()).unwrap();
    rooms.join(now, ROOM, B, [198, 51, 100, 2].into()).unwrap();
    for number in 0..99_u8 {
        rooms.join(now, RoomId(100 + u128::from(number)), A, [10, 0, 0, number].into()).unwrap();
    }
    assert_eq!(rooms.len(), 100);
    assert_eq!(
        rooms.join(now, RoomId(1_000), A, [10, 0, 0, 200].into()),
        Err(Refusal::TooManyRooms),
        "the crowd cannot displace others"
    );
    assert!(rooms.join(now, RoomId(1_001), A, [203, 0, 113, 1].into()).is_ok());
    assert!(rooms.join(now, RoomId(1_001), B, [203, 0, 114, 1].into()).is_ok());
    assert_eq!(rooms.len(), 100);
    assert!(rooms.take(now, ROOM, B, 0).is_ok(), "a room with a call in it stays");
}

#[test]
fn a_member_has_few_requests_open() {
    let (mut rooms, now) = two_members();
    rooms.begin_request(now, ROOM, A).unwrap();
    rooms.begin_request(now, ROOM, A).unwrap();
    assert_eq!(rooms.begin_request(now, ROOM, A), Err(Refusal::TooManyRequests));
    rooms.end_request(now, ROOM, A);
    assert_eq!(rooms.begin_request(now, ROOM, A), Ok(()));
}

#[test]
fn a_silent_member_is_gone_and_a_room_ends_with_its_lifetime() {
    let limits = Limits::default();
    let (mut rooms, start) = two_members();
    rooms.end_request(start, ROOM, A);
    rooms.expire(start + limits.absence);
    assert_eq!(rooms.take(start + limits.absence, ROOM, B, 0).unwrap().peer, Peer::Absent);
    assert_eq!(post(&mut rooms, start + limits.absence, A, 2), Err(Refusal::NotAMember));
    rooms.expire(start + limits.lifetime);
    assert!(rooms.is_empty());
}

#[test]
fn another_rooms_token_is_no_membership() {
    let (mut rooms, now) = two_members();
    rooms.join(now, RoomId(8), C, at(3)).unwrap();
    assert_eq!(rooms.take(now, ROOM, C, 0), Err(Refusal::NotAMember));
    assert_eq!(rooms.leave(now, ROOM, C), Err(Refusal::NotAMember));
}
