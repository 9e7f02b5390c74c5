//! The floor of a relay on epoll: `recvmmsg` and `sendmmsg` on the listener, a socket for each
//! allocation, `recvfrom` and `sendto` on those.

#[allow(dead_code, reason = "each floor uses its part")]
mod floor;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use floor::{Allocations, Arguments, BATCH, Batch, HEADER, Name, SLOT};

const EVENTS: usize = 256;
const LISTENER: u64 = u64::MAX;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse()?;
    let mut floor = Floor::new(&arguments)?;
    loop {
        floor.turn(arguments.binding);
    }
}

struct Floor {
    listener: RawFd,
    epoll: OwnedFd,
    allocations: Allocations,
    inbox: Batch,
    outbox: Batch,
    received: &'static mut [[u8; SLOT]],
    /// The memory that the outbox points to.
    leaving: &'static mut [[u8; SLOT]],
    events: Box<[libc::epoll_event]>,
}

impl Floor {
    fn new(arguments: &Arguments) -> io::Result<Self> {
        // SAFETY: no memory is passed; the descriptor that comes back is ours alone.
        let epoll = unsafe {
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if epoll < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(epoll)
        };
        let (received, leaving) = floor::slots(2 * BATCH).split_at_mut(BATCH);
        let floor = Self {
            listener: arguments.listener.as_raw_fd(),
            epoll,
            allocations: Allocations::new(arguments.relay),
            inbox: Batch::new(),
            outbox: Batch::new(),
            received,
            leaving,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS].into(),
        };
        floor.watch(floor.listener, LISTENER);
        Ok(floor)
    }

    fn watch(&self, socket: RawFd, token: u64) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the kernel reads `event` during the call.
        unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &mut event) };
    }

    fn turn(&mut self, binding: bool) {
        // SAFETY: the kernel writes at most EVENTS events.
        let count = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), EVENTS as i32, -1)
        };
        let mut leaving = 0;
        for place in 0..count.max(0) as usize {
            match self.events[place].u64 {
                LISTENER if binding => self.answer_bindings(),
                LISTENER => self.relay_from_clients(),
                index => {
                    if leaving == BATCH {
                        self.outbox.send(self.listener);
                        leaving = 0;
                    }
                    leaving += usize::from(self.relay_from_peer(index as usize, leaving));
                }
            }
        }
        self.outbox.send(self.listener);
    }

    fn relay_from_clients(&mut self) {
        let count = self.inbox.receive(self.listener, self.received);
        for slot in 0..count {
            let (client, data) =
                (&self.inbox.names[slot], &self.received[slot][..self.inbox.received(slot)]);
            if data.starts_with(b"FLR1") {
                self.allocate(slot);
            } else if let Some(index) = self.allocations.of(client) {
                let allocation = &self.allocations.list[index as usize];
                let data = data.get(HEADER..).unwrap_or_default();
                send_to(allocation.socket.as_raw_fd(), data, &allocation.peer);
            }
        }
    }

    fn allocate(&mut self, slot: usize) {
        let (client, request) =
            (self.inbox.names[slot], &self.received[slot][..self.inbox.received(slot)]);
        if let Some((answer, new)) = self.allocations.answer(&client, request) {
            if let (true, Some(last)) = (new, self.allocations.list.last()) {
                self.watch(last.socket.as_raw_fd(), self.allocations.list.len() as u64 - 1);
            }
            send_to(self.listener, &answer, &client);
        }
    }

    /// Whether a datagram of the peer is on its way to the client, in this slot.
    fn relay_from_peer(&mut self, index: usize, slot: usize) -> bool {
        let allocation = &self.allocations.list[index];
        let buffer = &mut self.leaving[slot];
        let mut from = allocation.peer;
        let mut from_len = size_of::<Name>() as libc::socklen_t;
        let data = &mut buffer[HEADER..];
        // SAFETY: the kernel writes to `data` and `from`, at most as many bytes as it is told.
        let len = unsafe {
            libc::recvfrom(
                allocation.socket.as_raw_fd(),
                data.as_mut_ptr().cast(),
                data.len(),
                0,
                (&raw mut from).cast(),
                &mut from_len,
            )
        };
        let Ok(len) = u16::try_from(len) else { return false };
        buffer[..2].copy_from_slice(&[0x40, 0]);
        buffer[2..HEADER].copy_from_slice(&len.to_be_bytes());
        // SAFETY: the slot is not written again before the outbox is sent.
        unsafe { self.outbox.push(&allocation.client, buffer.as_ptr(), HEADER + usize::from(len)) };
        true
    }

    /// Sends 32 bytes for 20: the minimum work of a server for Binding requests.
    fn answer_bindings(&mut self) {
        let count = self.inbox.receive(self.listener, self.received);
        for slot in (0..count).filter(|&slot| self.inbox.received(slot) == 20) {
            let (name, data) = (self.inbox.names[slot], &mut self.received[slot]);
            data[..4].copy_from_slice(&[0x01, 0x01, 0, 12]);
            data[20..28].copy_from_slice(&[0, 0x20, 0, 8, 0, 1, 0, 0]);
            let port = u16::from_be(name.sin_port) ^ 0x2112;
            data[26..28].copy_from_slice(&port.to_be_bytes());
            data[28..32].copy_from_slice(
                &(name.sin_addr.s_addr ^ u32::from_ne_bytes([0x21, 0x12, 0xA4, 0x42]))
                    .to_ne_bytes(),
            );
            // SAFETY: the slot is not written again before the outbox is sent.
            unsafe { self.outbox.push(&name, data.as_ptr(), 32) };
        }
        self.outbox.send(self.listener);
    }
}

fn send_to(socket: RawFd, data: &[u8], to: &Name) {
    // SAFETY: the kernel reads the data and the address during the call. What it refuses is lost,
    // as in a network.
    unsafe {
        libc::sendto(
            socket,
            data.as_ptr().cast(),
            data.len(),
            0,
            (to as *const Name).cast(),
            size_of::<Name>() as u32,
        )
    };
}
