//! One UDP socket with many addresses, 64 datagrams a system call: for load generators that play
//! thousands of clients.
//!
//! [`bind`] a wildcard address; each datagram then leaves from the local address that
//! [`BatchSender::push`] names, and [`BatchReceiver::datagram`] says to which one it came. Nothing
//! is allocated after `bind`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::{ptr, slice};

use socket2::{Domain, Protocol, Socket, Type};

use crate::address::{RAW_ADDRESS_LEN, RawAddress};
use crate::udp::ancillary::{self, Ancillary, CONTROL_LEN, Control};

/// Datagrams (or joined runs of them) in one system call.
pub const BATCH: usize = 64;

/// Options of [`bind`].
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Maximum length of a datagram, or of a joined run of datagrams, in bytes: at most 65,507.
    pub longest: usize,
    /// Wanted socket buffers, in bytes; the system may allow less.
    pub kernel_buffers: usize,
    /// Whether the kernel may hand over datagrams of one flow joined (UDP_GRO), where it can.
    pub joined: bool,
}

/// Queues datagrams and sends them together.
#[derive(Debug)]
pub struct BatchSender {
    socket: Socket,
    ipv6: bool,
    longest: usize,
    bytes: Box<[u8]>,
    queued: Vec<Queued>,
    frame: Frame,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    from: IpAddr,
    to: SocketAddr,
    len: usize,
    /// Length of each joined datagram in bytes; 0 for a single one.
    segment: u16,
}

/// Receives datagrams with one system call for many.
#[derive(Debug)]
pub struct BatchReceiver {
    socket: Socket,
    longest: usize,
    bytes: Box<[u8]>,
    count: usize,
    frame: Frame,
}

/// One datagram that came, or a joined run of datagrams.
#[derive(Clone, Copy, Debug)]
pub struct BatchDatagram<'a> {
    /// The sender.
    pub source: SocketAddr,
    /// The address of this socket that it was sent to.
    pub destination: IpAddr,
    /// The payload.
    pub bytes: &'a [u8],
    /// The length of each of the joined datagrams; the last may be shorter. For a single datagram:
    /// the length of `bytes`.
    pub segment: usize,
}

/// Binds a non-blocking socket and returns both of its ends.
///
/// # Errors
/// The system refuses the address.
pub fn bind(
    address: SocketAddr,
    options: &BatchOptions,
) -> io::Result<(BatchSender, BatchReceiver)> {
    let socket =
        Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    let ipv6 = address.is_ipv6();
    let (level, info) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    set(&socket, level, info, 1)?;
    // DF set: it spares the kernel the choice of an identification for each datagram. `PROBE`: what
    // ICMP says of MTUs changes nothing.
    let (level, discover, probe) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    };
    set(&socket, level, discover, probe)?;
    let buffers = options.kernel_buffers.min(1 << 30) as i32;
    if set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffers).is_err() {
        socket.set_recv_buffer_size(options.kernel_buffers)?;
    }
    if set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, buffers).is_err() {
        socket.set_send_buffer_size(options.kernel_buffers)?;
    }
    if options.joined {
        set(&socket, libc::IPPROTO_UDP, libc::UDP_GRO, 1)?;
    }
    socket.bind(&address.into())?;
    let longest = options.longest.min(65_507);
    // What the kernel joins may be longer than what is sent in one piece.
    let room = if options.joined { 65_536 } else { longest };
    let bytes = |room: usize| vec![0; room * BATCH].into_boxed_slice();
    let sender = BatchSender {
        socket: socket.try_clone()?,
        ipv6,
        longest,
        bytes: bytes(longest),
        queued: Vec::with_capacity(BATCH),
        frame: Frame::new(),
    };
    Ok((
        sender,
        BatchReceiver { socket, longest: room, bytes: bytes(room), count: 0, frame: Frame::new() },
    ))
}

impl BatchSender {
    /// Where the socket is bound.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether [`flush`](Self::flush) must come before the next [`push`](Self::push).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queued.len() == BATCH
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Queues what `fill` writes: it gets room for the longest datagram, with undefined content,
    /// and returns the length that it wrote. With a `segment` above 0 the kernel cuts these bytes
    /// into datagrams of that length (UDP_SEGMENT), the last of which may be shorter.
    ///
    /// # Panics
    /// If the sender is full, or `fill` returns more bytes than it got.
    pub fn push(
        &mut self,
        from: IpAddr,
        to: SocketAddr,
        segment: u16,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) {
        assert!(!self.is_full(), "flush comes first");
        let start = self.queued.len() * self.longest;
        let len = fill(&mut self.bytes[start..start + self.longest]);
        assert!(len <= self.longest, "no more than fits");
        self.queued.push(Queued { from, to, len, segment });
    }

    /// Sends everything that is queued, waiting where the kernel's buffer is full. Returns how many
    /// datagrams the kernel refused.
    ///
    /// # Errors
    /// The socket itself fails.
    pub fn flush(&mut self) -> io::Result<usize> {
        let (mut next, mut refused) = (0, 0);
        self.describe();
        while next < self.queued.len() {
            let headers = &mut self.frame.headers[next..self.queued.len()];
            // SAFETY: `describe` pointed each of these headers at a name, a vector, a control
            // buffer and bytes of `self`, which live through the call and which the
            // kernel only reads.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as u32,
                    0,
                )
            };
            if sent >= 0 {
                next += sent as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) => wait_writable(&self.socket)?,
                Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => return Err(error),
                // The first of them was refused (no route, no permission, too long, an address that
                // is not ours).
                _ => (next, refused) = (next + 1, refused + 1),
            }
        }
        self.queued.clear();
        Ok(refused)
    }

    /// Points the headers at what is queued.
    fn describe(&mut self) {
        let frame = &mut self.frame;
        for (index, queued) in self.queued.iter().enumerate() {
            let name_len = frame.names[index].set(queued.to);
            let start = index * self.longest;
            let bytes = &mut self.bytes[start..start + queued.len];
            frame.vectors[index] =
                libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            let control = &mut frame.controls[index];
            let mut control_len = ancillary::write(control, self.ipv6, Some(queued.from), 0);
            if queued.segment > 0 {
                control_len = ancillary::write_segment_len(control, control_len, queued.segment);
            }
            frame.point(index, name_len, control_len);
        }
    }
}

impl AsFd for BatchReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl BatchReceiver {
    /// Receives up to [`BATCH`] datagrams, in place of those received before. Returns how many
    /// came; 0 if none was there.
    ///
    /// # Errors
    /// The socket fails.
    pub fn receive(&mut self) -> io::Result<usize> {
        self.count = 0;
        let frame = &mut self.frame;
        for (index, bytes) in self.bytes.chunks_exact_mut(self.longest).enumerate() {
            frame.vectors[index] =
                libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            frame.point(index, RAW_ADDRESS_LEN, CONTROL_LEN);
        }
        // SAFETY: each header was just pointed at a name, a vector, a control buffer and bytes of
        // `self`, disjoint from all others, which live through the call.
        let count = unsafe {
            // musl's flags are unsigned.
            let flags = libc::MSG_DONTWAIT as _;
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                frame.headers.as_mut_ptr(),
                BATCH as u32,
                flags,
                ptr::null_mut(),
            )
        };
        if count >= 0 {
            self.count = count as usize;
            return Ok(self.count);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
            _ => Err(error),
        }
    }

    /// The datagram with this number of those that the last [`receive`](Self::receive) counted.
    /// `None` for other numbers, and where the kernel did not tell an address.
    #[must_use]
    pub fn datagram(&self, index: usize) -> Option<BatchDatagram<'_>> {
        if index >= self.count {
            return None;
        }
        let header = &self.frame.headers[index];
        let len = (header.msg_len as usize).min(self.longest);
        let bytes = &self.bytes[index * self.longest..][..len];
        // SAFETY: the kernel filled this control buffer and set its length; nothing has written to
        // it since.
        let Ancillary { destination, segment_len, .. } =
            unsafe { ancillary::read(&header.msg_hdr) };
        let segment = segment_len.map_or(0, usize::from);
        Some(BatchDatagram {
            source: self.frame.names[index].read()?,
            destination: destination?,
            bytes,
            segment: if segment > 0 { segment } else { len },
        })
    }
}

/// The arguments of a system call for up to [`BATCH`] datagrams. The headers' pointers lead into
/// the boxes beside them and into the owner's bytes; they are set again before each call.
struct Frame {
    headers: Box<[libc::mmsghdr]>,
    names: Box<[RawAddress]>,
    vectors: Box<[libc::iovec]>,
    controls: Box<[Control]>,
}

// SAFETY: the pointers are used only by the owner's calls, which set them first; what they lead to
// moves along with the owner, or stays on the heap.
unsafe impl Send for Frame {}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Frame")
    }
}

impl Frame {
    fn new() -> Self {
        // SAFETY: all-zero is a valid `mmsghdr`; on some targets it has private padding, so it
        // cannot be written out.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            headers: vec![header; BATCH].into_boxed_slice(),
            names: vec![RawAddress::EMPTY; BATCH].into_boxed_slice(),
            vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH]
                .into_boxed_slice(),
            controls: vec![Control::EMPTY; BATCH].into_boxed_slice(),
        }
    }

    fn point(&mut self, index: usize, name_len: libc::socklen_t, control_len: usize) {
        let header = &mut self.headers[index].msg_hdr;
        header.msg_name = (&raw mut self.names[index]).cast();
        header.msg_namelen = name_len;
        header.msg_iov = &raw mut self.vectors[index];
        header.msg_iovlen = 1;
        header.msg_control = self.controls[index].as_mut_ptr();
        header.msg_controllen = control_len as _;
    }
}

fn wait_writable(socket: &Socket) -> io::Result<()> {
    let mut wanted = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one `pollfd`, which lives through the call.
    let found = unsafe { libc::poll(slice::from_mut(&mut wanted).as_mut_ptr(), 1, 100) };
    if found < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

fn set(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads the four bytes of `value` during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    use super::*;

    fn pair(joined: bool) -> (BatchSender, BatchReceiver, SocketAddr) {
        let options = BatchOptions { longest: 8_192, kernel_buffers: 1 << 20, joined };
        let (sender, receiver) = bind(SocketAddr::from(([0, 0, 0, 0], 0)), &options).unwrap();
        let port = sender.local_addr().unwrap().port();
        (sender, receiver, SocketAddr::from(([127, 2, 0, 1], port)))
    }

    fn until(receiver: &mut BatchReceiver) -> usize {
        (0..1_000)
            .find_map(|_| Some(receiver.receive().unwrap()).filter(|count| *count > 0))
            .expect("loopback delivers at once")
    }

    #[test]
    fn each_datagram_has_its_own_addresses() {
        let (mut sender, _, _) = pair(false);
        let (_, mut receiver, to) = pair(false);
        let own = sender.local_addr().unwrap().port();
        for number in 0..BATCH as u8 {
            let to = SocketAddr::from(([127, 2, 0, 1 + number], to.port()));
            sender.push(Ipv4Addr::new(127, 1, 0, 1 + number).into(), to, 0, |room| {
                room[..3].copy_from_slice(&[number; 3]);
                3
            });
        }
        assert!(sender.is_full());
        assert_eq!(sender.flush().unwrap(), 0);
        assert_eq!(until(&mut receiver), BATCH);
        for number in 0..BATCH as u8 {
            let datagram = receiver.datagram(number.into()).unwrap();
            assert_eq!(datagram.source, SocketAddr::from(([127, 1, 0, 1 + number], own)));
            assert_eq!(datagram.destination, IpAddr::from([127, 2, 0, 1 + number]));
            assert_eq!((datagram.bytes, datagram.segment), (&[number; 3][..], 3));
        }
        assert!(receiver.datagram(BATCH).is_none());
        assert_eq!(receiver.receive().unwrap(), 0);
    }

    #[test]
    fn a_run_is_cut_for_who_wants_single_datagrams() {
        let (mut sender, _, _) = pair(false);
        let plain = UdpSocket::bind("127.2.0.1:0").unwrap();
        plain.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        sender.push(Ipv4Addr::new(127, 1, 0, 1).into(), plain.local_addr().unwrap(), 100, |room| {
            room[..250].fill(7);
            250
        });
        assert_eq!(sender.flush().unwrap(), 0);
        let lengths: Vec<usize> = (0..3).map(|_| plain.recv(&mut [0; 500]).unwrap()).collect();
        assert_eq!(lengths, [100, 100, 50]);
    }

    #[test]
    fn a_run_arrives_joined_where_that_is_wanted() {
        let (mut sender, _, _) = pair(false);
        let (_, mut receiver, to) = pair(true);
        sender.push(Ipv4Addr::new(127, 1, 0, 1).into(), to, 100, |room| {
            room[..250].fill(7);
            250
        });
        sender.flush().unwrap();
        let mut found = Vec::new();
        while found.iter().sum::<usize>() < 250 {
            for index in 0..until(&mut receiver) {
                let datagram = receiver.datagram(index).unwrap();
                found.extend(datagram.bytes.chunks(datagram.segment).map(<[u8]>::len));
            }
        }
        assert_eq!(found, [100, 100, 50]);
    }

    #[test]
    fn what_the_kernel_refuses_does_not_hold_up_the_others() {
        let (mut sender, _, _) = pair(false);
        let (_, mut receiver, to) = pair(false);
        for from in [[127, 1, 0, 1], [203, 0, 113, 9], [127, 1, 0, 2]] {
            sender.push(from.into(), to, 0, |room| {
                room[0] = 1;
                1
            });
        }
        assert_eq!(sender.flush().unwrap(), 1, "an address that is not ours");
        let mut count = 0;
        while count < 2 {
            count += until(&mut receiver);
        }
    }
}
