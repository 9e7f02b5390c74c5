//! The floor of a relay on io_uring: multishot `recvmsg` into provided buffers on the sockets of
//! the allocations, one submission for the sends of many of them, `recvmmsg` and `sendmmsg` on the
//! listener.

#[allow(dead_code, reason = "each floor uses its part")]
mod floor;

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use floor::{ALLOCATIONS, Allocations, Arguments, BATCH, Batch, HEADER, Name, SLOT};
use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};

/// Number of provided buffers: few, so that they stay in the cache.
const BUFFERS: u16 = 512;
const GROUP: u16 = 0;
/// The kernel's header before the data of a multishot `recvmsg`: four lengths, then the sender.
const BEFORE_DATA: usize = 16 + size_of::<Name>();
const LISTENER: u64 = u64::MAX;
const SENT: u64 = 1 << 32;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse()?;
    if arguments.binding {
        return Err(io::Error::other(
            "Binding requests are floor_epoll's: there is one socket only",
        ));
    }
    let mut floor = Floor::new(&arguments)?;
    loop {
        floor.turn()?;
    }
}

struct Floor {
    ring: IoUring,
    listener: RawFd,
    allocations: Allocations,
    inbox: Batch,
    outbox: Batch,
    /// The memory that the sends of the ring point to, until it is entered.
    received: &'static mut [[u8; SLOT]],
    buffers: Buffers,
    /// The layout of the buffers of each multishot receive.
    shape: Box<libc::msghdr>,
    completed: Vec<(u64, i32, u32)>,
}

impl Floor {
    fn new(arguments: &Arguments) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(4 * ALLOCATIONS as u32)
            .build(1024)?;
        ring.submitter().register_files_sparse(ALLOCATIONS as u32)?;
        let (received, slots) = floor::slots(BATCH + usize::from(BUFFERS)).split_at_mut(BATCH);
        let buffers = Buffers::new(slots);
        // SAFETY: the entries are a page-aligned array of BUFFERS, and live as long as the ring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                buffers.entries as u64,
                BUFFERS,
                GROUP,
                0,
            )?;
        };
        // SAFETY: a plain C structure, for which zeroes are a value.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = size_of::<Name>() as u32;
        let mut floor = Self {
            ring,
            listener: arguments.listener.as_raw_fd(),
            allocations: Allocations::new(arguments.relay),
            inbox: Batch::new(),
            outbox: Batch::new(),
            received,
            buffers,
            shape,
            completed: Vec::with_capacity(4 * ALLOCATIONS),
        };
        floor.watch_listener()?;
        Ok(floor)
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: what the entry points to lives in `self` and is not moved; data in `received`
        // stays until the ring is entered, and sends on sockets that do not block are done
        // by then.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    fn watch_listener(&mut self) -> io::Result<()> {
        let poll = opcode::PollAdd::new(Fd(self.listener), libc::POLLIN as u32)
            .build()
            .user_data(LISTENER);
        self.push(&poll)
    }

    fn receive_from(&mut self, index: u32) -> io::Result<()> {
        let receive = opcode::RecvMsgMulti::new(Fixed(index), &*self.shape, GROUP)
            .build()
            .user_data(index.into());
        self.push(&receive)
    }

    /// Enters the kernel once: submits what was pushed, and waits for a completion.
    fn turn(&mut self) -> io::Result<()> {
        match self.ring.submit_and_wait(1) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.completed.clear(),
        }
        let completed =
            self.ring.completion().map(|entry| (entry.user_data(), entry.result(), entry.flags()));
        self.completed.extend(completed);
        let mut ended = Vec::new();
        let mut is_readable = false;
        for place in 0..self.completed.len() {
            let (whose, result, flags) = self.completed[place];
            match whose {
                LISTENER => is_readable = true,
                SENT.. => {} // Refused: lost, as in a network.
                index => {
                    if let Some(buffer) = cqueue::buffer_select(flags) {
                        self.relay_from_peer(index as usize, buffer, result);
                    }
                    if !cqueue::more(flags) {
                        ended.push(index as u32);
                    }
                }
            }
        }
        self.outbox.send(self.listener);
        self.buffers.give_back();
        for index in ended {
            self.receive_from(index)?;
        }
        if is_readable {
            self.relay_from_clients()?;
            self.watch_listener()?;
        }
        Ok(())
    }

    fn relay_from_clients(&mut self) -> io::Result<()> {
        let count = self.inbox.receive(self.listener, self.received);
        for slot in 0..count {
            let (client, data) =
                (&self.inbox.names[slot], &self.received[slot][..self.inbox.received(slot)]);
            if data.starts_with(b"FLR1") {
                self.allocate(slot)?;
            } else if let Some(index) = self.allocations.of(client) {
                let peer = &raw const self.allocations.list[index as usize].peer;
                let data = data.get(HEADER..).unwrap_or_default();
                let send = opcode::Send::new(Fixed(index), data.as_ptr(), data.len() as u32)
                    .dest_addr(peer.cast())
                    .dest_addr_len(size_of::<Name>() as u32)
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(SENT);
                self.push(&send)?;
            }
        }
        Ok(())
    }

    fn allocate(&mut self, slot: usize) -> io::Result<()> {
        let (client, request) =
            (self.inbox.names[slot], &self.received[slot][..self.inbox.received(slot)]);
        let Some((answer, new)) = self.allocations.answer(&client, request) else { return Ok(()) };
        if let (true, Some(last)) = (new, self.allocations.list.last()) {
            let index = self.allocations.list.len() as u32 - 1;
            self.ring.submitter().register_files_update(index, &[last.socket.as_raw_fd()])?;
            self.receive_from(index)?;
        }
        // SAFETY: the answer lives until the outbox is sent, which is now.
        unsafe { self.outbox.push(&client, answer.as_ptr(), answer.len()) };
        self.outbox.send(self.listener);
        Ok(())
    }

    fn relay_from_peer(&mut self, index: usize, buffer: u16, result: i32) {
        let slot = self.buffers.take(buffer);
        let len = usize::try_from(result).unwrap_or(0).saturating_sub(BEFORE_DATA);
        if self.outbox.is_full() {
            self.outbox.send(self.listener);
        }
        let header = BEFORE_DATA - HEADER;
        slot[header..BEFORE_DATA].copy_from_slice(&[0x40, 0, (len >> 8) as u8, len as u8]);
        // SAFETY: the kernel gets the buffer back only after the outbox was sent.
        unsafe {
            self.outbox.push(
                &self.allocations.list[index].client,
                slot[header..].as_ptr(),
                HEADER + len,
            );
        };
    }
}

/// The buffers that the kernel fills, and the ring of those that it may fill.
struct Buffers {
    slots: &'static mut [[u8; SLOT]],
    entries: *mut BufRingEntry,
    taken: Vec<u16>,
    tail: u16,
}

impl Buffers {
    fn new(slots: &'static mut [[u8; SLOT]]) -> Self {
        let layout = Layout::array::<BufRingEntry>(BUFFERS.into())
            .and_then(|layout| layout.align_to(4096))
            .expect("a few pages");
        // SAFETY: the layout is not empty.
        let entries = unsafe { alloc_zeroed(layout) }.cast::<BufRingEntry>();
        if entries.is_null() {
            handle_alloc_error(layout);
        }
        let mut buffers = Self { slots, entries, taken: (0..BUFFERS).collect(), tail: 0 };
        buffers.give_back();
        buffers
    }

    /// A buffer that the kernel has filled.
    fn take(&mut self, buffer: u16) -> &mut [u8; SLOT] {
        self.taken.push(buffer);
        &mut self.slots[usize::from(buffer)]
    }

    /// Gives the buffers that were taken back to the kernel.
    fn give_back(&mut self) {
        for buffer in self.taken.drain(..) {
            // SAFETY: the place is inside the array, and the kernel does not read it before the
            // tail has passed it.
            let entry = unsafe { &mut *self.entries.add(usize::from(self.tail % BUFFERS)) };
            entry.set_addr(self.slots[usize::from(buffer)].as_mut_ptr() as u64);
            entry.set_len(SLOT as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
        }
        // SAFETY: the tail is two aligned bytes of the first entry, which live as long as `self`.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
