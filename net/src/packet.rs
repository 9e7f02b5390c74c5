//! A received datagram or frame as the service sees it: the payload, and the room around it.

use std::marker::PhantomData;
use std::ops::Range;

use crate::region::{Region, Span};

/// Bytes in front of a received datagram that a header may be written to: a ChannelData header
/// takes 4, a Data indication up to 48.
pub const HEADROOM: usize = 64;
/// Maximum length of a datagram that is received whole, in bytes.
pub const MAX_DATAGRAM: usize = 65_535;
/// Bytes behind a received datagram, for the padding that streams need.
pub const TAILROOM: usize = 4;
/// Maximum number of messages that a worker holds between two flushes.
pub const SLOTS: usize = 64;

/// The distance of two slots, in bytes. With a multiple of the page size, all 64 headers would
/// compete for the same few lines of the first-level cache. Twenty-one cache lines over 64 KiB
/// spread datagrams of up to 1,300 bytes over the second level, too, whose addresses repeat every
/// 64 KiB in a huge page.
pub(crate) const STRIDE: usize = 65_536 + 21 * 64;
const _: () = assert!(HEADROOM + MAX_DATAGRAM + TAILROOM <= STRIDE);

/// Bytes of a region that the slots take.
pub(crate) const SLOTS_LEN: usize = SLOTS * STRIDE;

/// The bytes of a slot that a payload is received into.
pub(crate) fn slot(index: usize) -> Span {
    let start = index * STRIDE + HEADROOM;
    Span { start, end: start + MAX_DATAGRAM }
}

/// A received datagram in a worker's region, with the bytes around it that belong to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) payload: Span,
    /// Bytes in front of the payload.
    pub(crate) headroom: usize,
    /// Bytes behind the payload.
    pub(crate) tailroom: usize,
}

/// A received datagram, or a frame of a stream, in the buffer that it was received into.
///
/// The room around the payload belongs to the packet too: [`front_mut`](Self::front_mut) gives
/// bytes in front of a part of the payload, [`span`](Self::span) names a range to send. A span that
/// was given to [`Io::send`](crate::Io::send) leaves at the end of the batch: do not write over it
/// in the same call.
#[derive(Debug)]
pub struct Packet<'a> {
    region: &'a Region,
    room: Room,
    exclusive: PhantomData<&'a mut [u8]>,
}

impl<'a> Packet<'a> {
    /// # Safety
    /// While the packet lives, only it may touch the bytes of `room` (but for the kernel, which
    /// reads what is sent).
    pub(crate) unsafe fn new(region: &'a Region, room: Room) -> Self {
        Self { region, room, exclusive: PhantomData }
    }

    /// The bytes that arrived.
    pub fn payload(&self) -> &[u8] {
        // SAFETY: the packet has exclusive use of these bytes, and `&self` keeps its own writers
        // away.
        unsafe { self.region.bytes(self.room.payload) }
    }

    /// The bytes that arrived, to be changed in place.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        // SAFETY: the packet has exclusive use of these bytes, and `&mut self` makes this the only
        // slice of them.
        unsafe { self.region.bytes_mut(self.room.payload) }
    }

    /// The range of `part`, a slice of [`payload`](Self::payload), in it. `None` if it is no part
    /// of it.
    pub fn range_of(&self, part: &[u8]) -> Option<Range<usize>> {
        let offset = (part.as_ptr() as usize).checked_sub(self.payload().as_ptr() as usize)?;
        let end = offset.checked_add(part.len())?;
        (end <= self.room.payload.len()).then_some(offset..end)
    }

    /// The `len` bytes in front of `payload()[offset]`, which may reach into the headroom. `None`
    /// if there is not that much room: a frame of a stream, and a datagram that arrived behind
    /// another, has only its own bytes before `offset`.
    pub fn front_mut(&mut self, offset: usize, len: usize) -> Option<&mut [u8]> {
        let end = self.room.payload.start + offset;
        if offset > self.room.payload.len() || len > self.room.headroom + offset {
            return None;
        }
        // SAFETY: the range lies in headroom and payload, of which the packet has exclusive use.
        Some(unsafe { self.region.bytes_mut(Span { start: end - len, end }) })
    }

    /// Names `body` of the payload as something to send.
    ///
    /// # Panics
    /// If `body` is not a range of the payload.
    pub(crate) fn part(&self, body: &Range<usize>) -> Span {
        assert!(
            body.start <= body.end && body.end <= self.room.payload.len(),
            "a range of the payload"
        );
        Span {
            start: self.room.payload.start + body.start,
            end: self.room.payload.start + body.end,
        }
    }

    /// Names `body` of the payload, with `front` bytes before it and `padding` zero bytes behind,
    /// as something to send. `None` if there is not that much room; datagrams that arrived
    /// together have none between them. The bytes in front must have been written by
    /// [`front_mut`](Self::front_mut).
    pub fn span(&mut self, front: usize, body: Range<usize>, padding: usize) -> Option<Span> {
        if body.start > body.end
            || body.end > self.room.payload.len()
            || front > self.room.headroom + body.start
        {
            return None;
        }
        if padding > self.room.payload.len() - body.end + self.room.tailroom {
            return None;
        }
        let start = self.room.payload.start + body.start - front;
        let end = self.room.payload.start + body.end;
        let tail = Span { start: end, end: end + padding };
        if padding > 0 {
            // SAFETY: the range lies in payload and tailroom, of which the packet has exclusive
            // use.
            unsafe { self.region.bytes_mut(tail) }.fill(0);
        }
        Some(Span { start, end: tail.end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_packet(content: &[u8], check: impl FnOnce(Packet<'_>, &Region)) {
        let region = Region::new(SLOTS_LEN).unwrap();
        let start = slot(3).start;
        let payload = Span { start, end: start + content.len() };
        // SAFETY: the region is this test's own.
        unsafe { region.bytes_mut(payload) }.copy_from_slice(content);
        // SAFETY: as above.
        let packet = unsafe {
            Packet::new(&region, Room { payload, headroom: HEADROOM, tailroom: TAILROOM })
        };
        check(packet, &region);
    }

    #[test]
    fn a_header_goes_in_front_and_padding_behind_without_copying_the_payload() {
        with_packet(b"voice", |mut packet, region| {
            packet.front_mut(0, 4).unwrap().copy_from_slice(&[0x40, 0, 0, 5]);
            let span = packet.span(4, 0..5, 3).unwrap();
            // SAFETY: nothing writes meanwhile.
            let sent = unsafe { region.bytes(span) };
            assert_eq!(sent, b"\x40\0\0\x05voice\0\0\0");
        });
    }

    #[test]
    fn room_is_bounded_on_both_sides() {
        with_packet(b"voice", |mut packet, _| {
            assert!(packet.front_mut(0, HEADROOM).is_some());
            assert!(packet.front_mut(0, HEADROOM + 1).is_none());
            assert!(packet.front_mut(5, HEADROOM + 5).is_some());
            assert!(packet.front_mut(6, 1).is_none());
            assert!(packet.span(0, 0..5, TAILROOM).is_some());
            assert!(packet.span(0, 0..5, TAILROOM + 1).is_none());
            assert!(packet.span(0, 0..6, 0).is_none());
        });
    }

    #[test]
    fn a_slice_of_the_payload_is_found_again() {
        with_packet(b"header+body", |packet, _| {
            assert_eq!(packet.range_of(&packet.payload()[7..]), Some(7..11));
            assert_eq!(packet.range_of(b"elsewhere"), None);
        });
    }

    #[test]
    fn pages_that_no_packet_touched_stay_untouched() {
        let region = Region::new(SLOTS_LEN).unwrap();
        for index in 0..SLOTS {
            let start = slot(index).start;
            // SAFETY: the region is this test's own.
            unsafe { region.bytes_mut(Span { start: start - HEADROOM, end: start + 200 }) }.fill(1);
        }
        let mut resident = vec![0u8; SLOTS_LEN.div_ceil(4096)];
        let base = region.address(Span { start: 0, end: 0 }).as_ptr();
        // SAFETY: the vector has a byte for each page of the mapping.
        assert_eq!(unsafe { libc::mincore(base.cast(), SLOTS_LEN, resident.as_mut_ptr()) }, 0);
        let pages = resident.iter().filter(|page| **page & 1 == 1).count();
        assert!((SLOTS..=2 * SLOTS).contains(&pages), "{pages} pages for {SLOTS} small packets");
    }
}
