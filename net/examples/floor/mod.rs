//! The parts that both floors share: the listener's batches of datagrams, and the table of clients.
//!
//! A floor relays without any protocol logic: it is the minimum cost of a relay on plain sockets,
//! and turnd is measured against it. A client sends `FLR1` with the IPv4 address and port of its
//! peer (10 bytes), and gets `FLR1` with the IPv4 address and port of the relayed socket that was
//! bound for it. From then on the client sends a header of 4 bytes and data; the peer gets the
//! data, and data of the peer comes back behind such a header.

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Maximum number of datagrams in one system call.
pub(crate) const BATCH: usize = 64;
/// Maximum length of a datagram, in bytes.
pub(crate) const SLOT: usize = 2048;
/// Length of the header of ChannelData, in bytes.
pub(crate) const HEADER: usize = 4;
/// Maximum number of allocations of one floor.
pub(crate) const ALLOCATIONS: usize = 8192;

/// An IPv4 transport address in the form of the kernel.
pub(crate) type Name = libc::sockaddr_in;

/// The arguments of a floor: its listening address, its relay address, and whether it answers 20
/// bytes with 32 instead of relaying.
pub(crate) struct Arguments {
    pub(crate) listener: UdpSocket,
    pub(crate) relay: Ipv4Addr,
    pub(crate) binding: bool,
}

impl Arguments {
    /// Reads the command line: `floor_… LISTEN RELAY [binding]`.
    pub(crate) fn parse() -> io::Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let usage = || io::Error::other("usage: floor LISTEN-ADDRESS:PORT RELAY-ADDRESS [binding]");
        let listen: SocketAddrV4 =
            words.first().and_then(|word| word.parse().ok()).ok_or_else(usage)?;
        let relay = words.get(1).and_then(|word| word.parse().ok()).ok_or_else(usage)?;
        let listener = UdpSocket::bind(listen)?;
        set_buffers(listener.as_raw_fd(), 4 << 20);
        set_dont_fragment(listener.as_raw_fd());
        listener.set_nonblocking(true)?;
        raise_open_files();
        Ok(Self { listener, relay, binding: words.get(2).is_some_and(|word| word == "binding") })
    }
}

/// One client, its peer and its relayed socket.
pub(crate) struct Allocation {
    pub(crate) socket: OwnedFd,
    pub(crate) client: Name,
    pub(crate) peer: Name,
}

/// All allocations, and the index from a client's address to its allocation.
pub(crate) struct Allocations {
    pub(crate) list: Vec<Allocation>,
    /// Open addressing: the client's address, and the index of its allocation.
    slots: Box<[(u64, u32)]>,
    relay: Ipv4Addr,
}

impl Allocations {
    pub(crate) fn new(relay: Ipv4Addr) -> Self {
        Self {
            list: Vec::with_capacity(ALLOCATIONS),
            slots: vec![(0, 0); 4 * ALLOCATIONS].into(),
            relay,
        }
    }

    /// The allocation of the client at this address.
    #[inline]
    pub(crate) fn of(&self, client: &Name) -> Option<u32> {
        let (found, index) = self.slots[self.slot(key(client))];
        (found != 0).then_some(index)
    }

    /// Answers a request: binds a socket for a new client, which is the last of the list
    /// afterwards. `None`: no request, or no room.
    pub(crate) fn answer(&mut self, client: &Name, request: &[u8]) -> Option<([u8; 10], bool)> {
        let peer = request.strip_prefix(b"FLR1")?.first_chunk::<6>()?;
        let (index, new) = match self.of(client) {
            Some(index) => (index as usize, false),
            None if self.list.len() == ALLOCATIONS => return None,
            None => {
                let socket = UdpSocket::bind((self.relay, 0)).ok()?;
                socket.set_nonblocking(true).ok()?;
                set_buffers(socket.as_raw_fd(), 256 << 10);
                set_dont_fragment(socket.as_raw_fd());
                let slot = self.slot(key(client));
                self.slots[slot] = (key(client), self.list.len() as u32);
                self.list.push(Allocation {
                    socket: socket.into(),
                    client: *client,
                    peer: *client,
                });
                (self.list.len() - 1, true)
            }
        };
        let allocation = &mut self.list[index];
        allocation.peer.sin_addr.s_addr = u32::from_ne_bytes(*peer.first_chunk()?);
        allocation.peer.sin_port = u16::from_ne_bytes([peer[4], peer[5]]);
        let relayed = bound(allocation.socket.as_raw_fd())?;
        let mut answer = *b"FLR1\0\0\0\0\0\0";
        answer[4..8].copy_from_slice(&relayed.sin_addr.s_addr.to_ne_bytes());
        answer[8..].copy_from_slice(&relayed.sin_port.to_ne_bytes());
        Some((answer, new))
    }

    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & mask;
        while self.slots[slot].0 != 0 && self.slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// Address and port, which are not both 0.
fn key(name: &Name) -> u64 {
    u64::from(u32::from_be(name.sin_addr.s_addr)) << 16 | u64::from(u16::from_be(name.sin_port))
}

/// The datagrams of one system call, for or from one socket.
pub(crate) struct Batch {
    pub(crate) names: Box<[Name]>,
    vectors: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
    len: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        // SAFETY: all of them are plain C structures, for which zeroes are a value.
        let (name, vector, message): (Name, libc::iovec, libc::mmsghdr) =
            unsafe { std::mem::zeroed() };
        let mut batch = Self {
            names: vec![name; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            messages: vec![message; BATCH].into(),
            len: 0,
        };
        for (index, message) in batch.messages.iter_mut().enumerate() {
            message.msg_hdr.msg_name = (&raw mut batch.names[index]).cast();
            message.msg_hdr.msg_namelen = size_of::<Name>() as u32;
            message.msg_hdr.msg_iov = &raw mut batch.vectors[index];
            message.msg_hdr.msg_iovlen = 1;
        }
        batch
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// Queues a datagram for the next `send`.
    ///
    /// # Safety
    /// `data` must be valid for `len` bytes until then.
    #[inline]
    pub(crate) unsafe fn push(&mut self, to: &Name, data: *const u8, len: usize) {
        self.names[self.len] = *to;
        self.vectors[self.len] = libc::iovec { iov_base: data.cast_mut().cast(), iov_len: len };
        self.len += 1;
    }

    /// Sends all queued datagrams. Those that the socket has no room for are lost, as in a network.
    pub(crate) fn send(&mut self, socket: RawFd) {
        let mut done = 0;
        while done < self.len {
            let rest = &mut self.messages[done..self.len];
            // SAFETY: each message names its address and its vector, which live in `self`, and its
            // data, which the caller of `push` vouched for.
            let sent = unsafe { libc::sendmmsg(socket, rest.as_mut_ptr(), rest.len() as u32, 0) };
            done += if sent > 0 { sent as usize } else { 1 };
        }
        self.len = 0;
    }

    /// Receives as many datagrams as are there, at most one for each of the slots.
    pub(crate) fn receive(&mut self, socket: RawFd, slots: &mut [[u8; SLOT]]) -> usize {
        for (vector, slot) in self.vectors.iter_mut().zip(&mut *slots) {
            *vector = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT };
        }
        // SAFETY: each message names its address and its vector, which live in `self`, and a slot
        // of its own.
        let got = unsafe {
            libc::recvmmsg(
                socket,
                self.messages.as_mut_ptr(),
                slots.len() as u32,
                0,
                std::ptr::null_mut(),
            )
        };
        got.max(0) as usize
    }

    /// The length of the datagram that `receive` put into the slot.
    pub(crate) fn received(&self, slot: usize) -> usize {
        self.messages[slot].msg_len as usize
    }
}

fn bound(socket: RawFd) -> Option<Name> {
    // SAFETY: a plain C structure, for which zeroes are a value.
    let mut name: Name = unsafe { std::mem::zeroed() };
    let mut len = size_of::<Name>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `name`.
    let result = unsafe { libc::getsockname(socket, (&raw mut name).cast(), &mut len) };
    (result == 0).then_some(name)
}

fn set_buffers(socket: RawFd, len: libc::c_int) {
    for (forced, asked) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        // SAFETY: the kernel reads the four bytes of `len`.
        let set = |name| unsafe {
            libc::setsockopt(socket, libc::SOL_SOCKET, name, (&raw const len).cast(), 4)
        };
        if set(forced) != 0 {
            set(asked);
        }
    }
}

/// Sets DF on all datagrams, whatever ICMP reports about MTUs: without it the kernel draws an
/// identification for each from a table that all sockets share.
fn set_dont_fragment(socket: RawFd) {
    let probe = libc::IP_PMTUDISC_PROBE;
    // SAFETY: the kernel reads the four bytes of `probe`.
    unsafe {
        libc::setsockopt(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            (&raw const probe).cast(),
            4,
        )
    };
}

/// Slots in huge pages, where the kernel has some; they live as long as the process.
pub(crate) fn slots(count: usize) -> &'static mut [[u8; SLOT]] {
    const HUGE_PAGE: usize = 2 << 20;
    let len = (count * SLOT).next_multiple_of(HUGE_PAGE);
    let layout = Layout::from_size_align(len, HUGE_PAGE).expect("a few megabytes");
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc(layout) };
    if start.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: the range was just allocated, whole pages of it, and holds at least `count` slots,
    // whose bytes are all written here. Nothing else refers to it.
    unsafe {
        libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE);
        start.write_bytes(0, count * SLOT);
        std::slice::from_raw_parts_mut(start.cast(), count)
    }
}

/// Raises the limit of descriptors to its hard limit: each allocation has a socket.
fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes to and reads from `limit`.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max.min(20_000);
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}
