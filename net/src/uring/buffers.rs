//! The buffers that the kernel receives into, and the ring from which it takes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::address::{RAW_ADDRESS_LEN, RawAddress};
use crate::packet::{HEADROOM, MAX_DATAGRAM, Room, STRIDE, TAILROOM};
use crate::region::{Region, Span};
use crate::udp::{CONTROL_LEN, Received};

/// The number of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BufferId(pub(super) u16);

/// Number of buffers. One turn serves 64; one `enter` serves some twenty sockets, each with
/// everything that waits in it. More would be used only in a flood of few sockets, whose receives
/// end and are armed again, and would be so much memory that no packet is in the processor's
/// caches.
const COUNT: u16 = 256;
const _: () = assert!(COUNT.is_power_of_two());

/// The group of the ring of buffers; there is one.
pub(super) const GROUP: u16 = 0;

/// Length of the four numbers in front of the name (`io_uring_recvmsg_out`), in bytes.
const REPORT_LEN: usize = 16;
/// Room for the source address, so that the control messages behind it are aligned.
pub(super) const NAME_LEN: usize = (RAW_ADDRESS_LEN as usize).next_multiple_of(8);
/// Offset of a buffer in its slot: report and name then share a cache line.
const FRONT: usize = 16;
/// Offset of the datagram in a buffer.
const PAYLOAD: usize = REPORT_LEN + NAME_LEN + CONTROL_LEN;
const _: () = assert!(PAYLOAD >= HEADROOM && FRONT + PAYLOAD + MAX_DATAGRAM + TAILROOM <= STRIDE);

/// The kernel's `io_uring_recvmsg_out`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Report {
    name_len: u32,
    control_len: u32,
    payload_len: u32,
    flags: u32,
}

/// Receive buffers in a worker's region, each with room for the longest datagram. Only the pages
/// that packets touched are memory.
pub(crate) struct Buffers {
    region: Arc<Region>,
    /// Offset of the first buffer in the region.
    first: usize,
    /// The ring's entries, shared with the kernel; page-aligned.
    entries: Region,
    /// How many buffers were put into the ring since the start, as the kernel counts (it wraps).
    tail: u16,
}

impl Buffers {
    /// Bytes of a region that all buffers take.
    pub(crate) const LEN: usize = COUNT as usize * STRIDE;

    /// All buffers, in the ring. They lie in `region` from `first` on, which must have no other
    /// user.
    pub(super) fn new(region: Arc<Region>, first: usize) -> io::Result<Self> {
        let entries = Region::new(usize::from(COUNT) * size_of::<BufRingEntry>())?;
        let mut buffers = Self { region, first, entries, tail: 0 };
        for id in 0..COUNT {
            buffers.put(BufferId(id));
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Registers the ring with the kernel.
    ///
    /// # Safety
    /// `self` must outlive the requests that use it.
    pub(super) unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.entry(0) as u64;
        // SAFETY: the entries are page-aligned and as many as said; the buffers that they name lie
        // in the region. The caller promises that both outlive the requests.
        unsafe { submitter.register_buf_ring_with_flags(address, COUNT, GROUP, 0) }
    }

    fn entry(&self, index: u16) -> *mut BufRingEntry {
        let start = usize::from(index) * size_of::<BufRingEntry>();
        self.entries.address(Span { start, end: start + size_of::<BufRingEntry>() }).as_ptr().cast()
    }

    /// Puts a buffer into the ring. The kernel sees it after [`publish`](Self::publish).
    pub(super) fn put(&mut self, id: BufferId) {
        let span = self.span(id);
        let address = self.region.address(span).as_ptr() as u64;
        let entry = self.entry(self.tail & (COUNT - 1));
        // SAFETY: the entry lies in our mapping. The kernel reads entries before the published tail
        // only, and there are as many places as buffers: this one was taken out before its
        // buffer could come back. The last word of the first entry is the tail, which these
        // three do not touch.
        unsafe {
            (*entry).set_addr(address);
            (*entry).set_len(span.len() as u32);
            (*entry).set_bid(id.0);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was put into the ring.
    pub(super) fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry, aligned, and is written by this side alone,
        // always as an atomic.
        let tail = unsafe { &*BufRingEntry::tail(self.entry(0)).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    /// The bytes that the kernel uses of a buffer's slot.
    fn span(&self, id: BufferId) -> Span {
        let start = self.first + usize::from(id.0) * STRIDE + FRONT;
        Span { start, end: start + PAYLOAD + MAX_DATAGRAM }
    }

    /// Reads what the kernel has received into a buffer. `None`: its source is neither IPv4 nor
    /// IPv6.
    ///
    /// # Safety
    /// The buffer must belong to the loop: a completion has named it, and it was not put back.
    pub(crate) unsafe fn received(&self, id: BufferId) -> Option<Received> {
        let buffer = self.span(id);
        let at = |offset: usize, len: usize| {
            let start = buffer.start + offset;
            self.region.address(Span { start, end: start + len }).as_ptr()
        };
        // SAFETY: the kernel wrote the report and the name, and every bit pattern of them is valid.
        // The caller promises that nothing writes now.
        let (report, name) = unsafe {
            let report = at(0, REPORT_LEN).cast::<Report>().read_unaligned();
            (report, at(REPORT_LEN, NAME_LEN).cast::<RawAddress>().read_unaligned())
        };
        let start = buffer.start + PAYLOAD;
        let payload = Span { start, end: start + (report.payload_len as usize).min(MAX_DATAGRAM) };
        // SAFETY: all-zero is a valid `msghdr`.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_control = at(REPORT_LEN + NAME_LEN, CONTROL_LEN).cast();
        header.msg_controllen = (report.control_len as usize).min(CONTROL_LEN) as _;
        // SAFETY: the kernel filled the control buffer to this length.
        unsafe {
            Received::read(&name, &header, Room { payload, headroom: HEADROOM, tailroom: TAILROOM })
        }
    }
}
