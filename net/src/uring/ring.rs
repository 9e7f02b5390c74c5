//! The ring of requests: what is submitted, what has completed, and the one system call for both.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, opcode};

use super::buffers::{BufferId, Buffers, GROUP, NAME_LEN};
use super::completion::{Completion, Token};
use super::refusal::Refusal;
use crate::keys::SocketKey;
use crate::region::Region;
use crate::udp::{CONTROL_LEN, Received};

/// Maximum number of requests in one submission: a full outbox, and as many sockets bound, armed
/// again or released. Beyond that, a submission comes in between.
const REQUESTS: u32 = 256;
/// Maximum number of completions that wait in the kernel. A thousand would be enough: one for each
/// buffer, for each request submitted, and for each of the sockets that it serves in one `enter`;
/// in a full queue, receives would end and be armed again. But the kernel looks up the receive that
/// a release cancels in a table whose size follows from this one: with 8,192 it has its maximum,
/// 256 chains, for 112 KiB more. Beside 13,500 allocations a release then costs 25 µs instead of
/// 70.
const COMPLETIONS: u32 = 8192;
/// Completions that are taken at a time, usually at most. More of them cost an allocation, once.
const TAKEN: usize = 1024;

/// Completions that are enough for one turn: the ring does not ask for more.
pub(crate) const PLENTY: usize = 64;
/// Maximum number of further `enter` calls in one turn: the kernel serves some twenty sockets in
/// each.
const ROUNDS: usize = 3;
/// Maximum number of attempts of a submission that finds no memory, and of looks at receives that
/// are to end, before it is a defect.
const PATIENCE: usize = 4096;

/// A worker's ring. Only the thread that has called [`enable`](Self::enable) may use it.
pub(crate) struct Ring {
    // Dropped first: from then on the kernel serves no request of this ring.
    uring: IoUring,
    buffers: Buffers,
    /// The room that receives leave for name and control messages.
    layout: Box<libc::msghdr>,
    /// Completions that the loop has not served yet.
    done: VecDeque<Completion>,
    /// Messages of the outbox that were not sent, each with its error.
    unsent: Vec<(usize, i32)>,
    /// Buffers that were served since the last [`recycle`](Self::recycle).
    spent: Vec<BufferId>,
    /// How many receives have not ended.
    receives: usize,
    /// The sockets whose receives were cancelled and have not ended.
    ending: HashSet<SocketKey>,
    /// Whether a poll of the epoll instance is under way.
    watching: bool,
    /// How often the kernel was entered.
    enters: u64,
}

// SAFETY: the raw pointers lead into mappings that the ring owns and into a box; nothing of it is
// bound to a thread before `enable`, and no thread shares it.
unsafe impl Send for Ring {}

impl Ring {
    /// A ring that is not enabled yet. Its buffers take [`Buffers::LEN`] bytes of `region` from
    /// `first` on, which must have no other user.
    pub(crate) fn new(region: Arc<Region>, first: usize) -> Result<Self, Refusal> {
        let uring = on_another_thread(make).map_err(Refusal::at("making a ring"))?;
        let buffers = Buffers::new(region, first)
            .map_err(Refusal::at("mapping memory for a ring of buffers"))?;
        // SAFETY: the ring is dropped before its buffers.
        unsafe { buffers.register(&uring.submitter()) }
            .map_err(Refusal::at("registering a ring of buffers"))?;
        // SAFETY: all-zero is a valid `msghdr`.
        let mut layout: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        layout.msg_namelen = NAME_LEN as _;
        layout.msg_controllen = CONTROL_LEN as _;
        Ok(Self {
            uring,
            buffers,
            layout,
            done: VecDeque::with_capacity(TAKEN),
            unsent: Vec::new(),
            spent: Vec::with_capacity(PLENTY),
            receives: 0,
            ending: HashSet::new(),
            watching: false,
            enters: 0,
        })
    }

    /// Makes the calling thread the one that the ring belongs to.
    pub(crate) fn enable(&mut self) -> io::Result<()> {
        self.uring.submitter().register_enable_rings()
    }

    /// How often the kernel was entered so far.
    pub(crate) fn enters(&self) -> u64 {
        self.enters
    }

    /// Receives from a socket until it is cancelled or fails. The socket must not block.
    pub(crate) fn receive(&mut self, socket: SocketKey, fd: RawFd) -> io::Result<()> {
        self.receives += 1;
        let receive = opcode::RecvMsgMulti::new(Fd(fd), &raw const *self.layout, GROUP).build();
        // SAFETY: the layout is a box of the ring's own, the buffers are registered, and the kernel
        // holds the socket open.
        unsafe { self.push(&receive.user_data(Token::Receive(socket).to_bits())) }
    }

    /// Cancels the receive of a socket that is released. Its last completion will be ignored.
    pub(crate) fn cancel(&mut self, socket: SocketKey) -> io::Result<()> {
        self.ending.insert(socket);
        let cancel = opcode::AsyncCancel::new(Token::Receive(socket).to_bits())
            .build()
            .flags(Flags::SKIP_SUCCESS);
        // SAFETY: the request has no pointers.
        unsafe { self.push(&cancel.user_data(Token::Cancel(socket).to_bits())) }
    }

    /// Polls the epoll instance for events, once, unless a poll is under way.
    pub(crate) fn watch(&mut self, fd: RawFd) -> io::Result<()> {
        if self.watching {
            return Ok(());
        }
        self.watching = true;
        let poll = opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).build();
        // SAFETY: the request has no pointers, and the kernel holds the instance open.
        unsafe { self.push(&poll.user_data(Token::Watch.to_bits())) }
    }

    /// Sends the message of this position in the outbox, with the next submission.
    ///
    /// # Safety
    /// What `header` points to must stay as it is until that submission has returned.
    pub(crate) unsafe fn send_message(
        &mut self,
        position: usize,
        fd: RawFd,
        header: &libc::msghdr,
    ) -> io::Result<()> {
        let send = opcode::SendMsg::new(Fd(fd), header).flags(libc::MSG_DONTWAIT as u32).build();
        // SAFETY: as the caller promises. It is over then: with MSG_DONTWAIT the kernel does not
        // try again later.
        unsafe {
            self.push(&send.flags(Flags::SKIP_SUCCESS).user_data(Token::Send(position).to_bits()))
        }
    }

    /// The same for a message that is one run of bytes without control messages, which is cheaper.
    ///
    /// # Safety
    /// As for [`send_message`](Self::send_message), for the bytes of `part` and the address.
    pub(crate) unsafe fn send_plain(
        &mut self,
        position: usize,
        fd: RawFd,
        header: &libc::msghdr,
        part: &libc::iovec,
    ) -> io::Result<()> {
        let send = opcode::Send::new(Fd(fd), part.iov_base.cast(), part.iov_len as u32)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr(header.msg_name.cast())
            .dest_addr_len(header.msg_namelen)
            .build();
        // SAFETY: as in `send_message`.
        unsafe {
            self.push(&send.flags(Flags::SKIP_SUCCESS).user_data(Token::Send(position).to_bits()))
        }
    }

    /// # Safety
    /// What the request points to must stay valid as long as the kernel may look at it.
    unsafe fn push(&mut self, entry: &Entry) -> io::Result<()> {
        if self.uring.submission().is_full() {
            self.submit()?;
        }
        // SAFETY: as the caller promises.
        let pushed = unsafe { self.uring.submission().push(entry) };
        pushed.map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    /// Submits what is queued, without asking for completions.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        self.enter(EnterFlags::empty())
    }

    /// Submits what is queued, and waits for at most `patience` until there is a completion; within
    /// the first `rest` it waits for [`PLENTY`] of them. While that many wait to be served, it asks
    /// for no more.
    pub(crate) fn turn(&mut self, rest: Duration, patience: Duration) -> io::Result<()> {
        if self.done.len() >= PLENTY {
            return self.submit();
        }
        let want = match () {
            () if patience.is_zero() || !self.done.is_empty() => 0,
            () if rest.is_zero() => 1,
            () if self.uring.params().is_feature_min_timeout() => PLENTY as u32,
            () => {
                self.submit()?;
                std::thread::sleep(rest);
                1
            }
        };
        self.enter_and_wait(want, rest, patience)?;
        for _ in 0..ROUNDS {
            if self.done.len() >= PLENTY || !self.uring.submission().taskrun() {
                break;
            }
            self.enter(EnterFlags::GETEVENTS)?;
        }
        Ok(())
    }

    /// Waits until all cancelled receives have ended, so that the ports of their sockets are free
    /// once they are closed.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        for _ in 0..PATIENCE {
            if self.ending.is_empty() {
                return Ok(());
            }
            self.enter(EnterFlags::GETEVENTS)?;
        }
        Err(io::Error::other("a cancelled receive does not end"))
    }

    /// Cancels the receives of `sockets`, which must be all that have one and were not released,
    /// and waits for their end. The ring must not be used afterwards.
    pub(crate) fn shut_down(
        &mut self,
        sockets: impl IntoIterator<Item = SocketKey>,
    ) -> io::Result<()> {
        self.cancel_each(sockets)?;
        for _ in 0..PATIENCE {
            self.enter(EnterFlags::GETEVENTS)?;
            self.discard();
            if self.receives == 0 {
                return Ok(());
            }
        }
        Err(io::Error::other("a cancelled receive does not end"))
    }

    /// Cancels the receives of `sockets` by their tokens, and few in one submission: the kernel
    /// finds a token at once, but would walk over all receives for each of them if it were told to
    /// cancel all.
    fn cancel_each(&mut self, sockets: impl IntoIterator<Item = SocketKey>) -> io::Result<()> {
        for (number, socket) in (1..).zip(sockets) {
            self.cancel(socket)?;
            if number % REQUESTS == 0 {
                self.enter(EnterFlags::GETEVENTS)?;
                self.discard();
            }
        }
        Ok(())
    }

    /// Drops the completions that were not served.
    fn discard(&mut self) {
        while let Some(completion) = self.next() {
            if let Completion::Receive { buffer: Some(buffer), .. } = completion {
                self.spend(buffer);
            }
        }
        self.recycle();
    }

    /// Submits everything that is queued, and takes all completions.
    fn enter(&mut self, flags: EnterFlags) -> io::Result<()> {
        self.enter_to(0, flags, &SubmitArgs::new())
    }

    /// The same, but waits until `want` completions have come, or one and `rest` is over, or
    /// `patience` is over.
    fn enter_and_wait(&mut self, want: u32, rest: Duration, patience: Duration) -> io::Result<()> {
        let timespec = Timespec::from(patience);
        let mut args = SubmitArgs::new().timespec(&timespec);
        if want > 1 {
            args = args.min_wait_usec(rest.as_micros() as u32);
        }
        self.enter_to(want, EnterFlags::GETEVENTS, &args)
    }

    fn enter_to(
        &mut self,
        want: u32,
        flags: EnterFlags,
        args: &SubmitArgs<'_, '_>,
    ) -> io::Result<()> {
        let (mut want, mut failures) = (want, 0);
        loop {
            let queued = self.uring.submission().len();
            if queued == 0 && flags.is_empty() {
                return Ok(());
            }
            self.enters += 1;
            let submitter = self.uring.submitter();
            let result = if want > 0 {
                // SAFETY: the arguments live through the call. Each request was valid when it was
                // pushed, and still is: see `push`.
                unsafe {
                    submitter.enter(
                        queued as u32,
                        want,
                        (flags | EnterFlags::EXT_ARG).bits(),
                        Some(args),
                    )
                }
            } else {
                // SAFETY: as above.
                unsafe { submitter.enter::<libc::sigset_t>(queued as u32, 0, flags.bits(), None) }
            };
            self.take();
            match result.map_err(|error| (error.raw_os_error(), error)) {
                Ok(submitted) if submitted < queued => failures += 1,
                Err((Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM), _))
                    if failures < PATIENCE =>
                {
                    failures += 1;
                }
                Ok(_) | Err((Some(libc::ETIME | libc::EINTR), _))
                    if self.uring.submission().is_empty() =>
                {
                    return self.take_overflow();
                }
                Err((Some(libc::ETIME | libc::EINTR), _)) => {}
                Ok(_) => return Err(io::Error::other("the ring does not take what it is given")),
                Err((_, error)) => return Err(error),
            }
            if failures > PATIENCE {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            want = 0; // the wait was interrupted by other work
        }
    }

    /// Takes the completions that found no room in the queue.
    fn take_overflow(&mut self) -> io::Result<()> {
        while self.uring.submission().cq_overflow() {
            self.enters += 1;
            // SAFETY: nothing is submitted.
            unsafe {
                self.uring.submitter().enter::<libc::sigset_t>(
                    0,
                    0,
                    EnterFlags::GETEVENTS.bits(),
                    None,
                )?
            };
            self.take();
        }
        Ok(())
    }

    /// Takes all completions that the kernel has reported.
    fn take(&mut self) {
        for entry in self.uring.completion() {
            match Token::from_bits(entry.user_data()) {
                Token::Send(position) => self.unsent.push((position, -entry.result())),
                // The receive had ended by itself before.
                Token::Cancel(socket) if entry.result() == -libc::ENOENT => {
                    self.ending.remove(&socket);
                }
                _ => {}
            }
            let Some(completion) = Completion::of(&entry) else { continue };
            match completion {
                Completion::Receive { socket, last: Some(_), .. } => {
                    self.receives -= 1;
                    self.ending.remove(&socket);
                }
                Completion::Receive { .. } => {}
                Completion::Watch => self.watching = false,
            }
            self.done.push_back(completion);
        }
    }

    /// The next completion to serve.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    /// Whether a poll of the epoll instance is under way: there was no event since.
    pub(crate) fn is_watching(&self) -> bool {
        self.watching
    }

    /// Whether cancelled receives still hold their sockets.
    pub(crate) fn is_ending(&self) -> bool {
        !self.ending.is_empty()
    }

    /// How many completions wait to be served.
    pub(crate) fn backlog(&self) -> usize {
        self.done.len()
    }

    /// Whether the kernel has all buffers: nothing received waits to be served, or to be sent.
    pub(crate) fn holds_no_buffer(&self) -> bool {
        let holds = |completion: &Completion| {
            matches!(completion, Completion::Receive { buffer: Some(_), .. })
        };
        self.spent.is_empty() && !self.done.iter().any(holds)
    }

    /// The messages of the outbox that were not sent, in their order, each with the error.
    pub(crate) fn take_unsent(&mut self) -> Vec<(usize, i32)> {
        std::mem::take(&mut self.unsent)
    }

    /// Reads a buffer that a completion has named. `None`: its source is neither IPv4 nor IPv6.
    pub(crate) fn received(&self, buffer: BufferId) -> Option<Received> {
        // SAFETY: a completion named it, and it goes back by `recycle` only, which is for after it
        // was served.
        unsafe { self.buffers.received(buffer) }
    }

    /// Notes that a buffer was served; what was queued meanwhile may lie in it.
    pub(crate) fn spend(&mut self, buffer: BufferId) {
        self.spent.push(buffer);
    }

    /// Gives the kernel the buffers that were served. Nothing that is queued may lie in them.
    pub(crate) fn recycle(&mut self) {
        if self.spent.is_empty() {
            return;
        }
        for buffer in self.spent.drain(..) {
            self.buffers.put(buffer);
        }
        self.buffers.publish();
    }
}

/// Runs `act` on a thread that ends with it: when a ring ends, the kernel interrupts each thread
/// that made or used it, in whatever system call that thread is by then.
pub(super) fn on_another_thread<T: Send>(
    act: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("ring".to_owned()).spawn_scoped(scope, act)?;
        thread.join().map_err(|_| io::Error::other("the thread that makes a ring panicked"))?
    })
}

fn make() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_r_disabled() // the thread that enables it is the one it belongs to
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS)
        .build(REQUESTS)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixDatagram;

    use super::super::completion::Last;
    use super::*;

    fn ring() -> Ring {
        let region = Arc::new(Region::new(Buffers::LEN).unwrap());
        let mut ring = Ring::new(region, 0).expect("this machine has a ring");
        ring.enable().unwrap();
        ring
    }

    #[test]
    fn a_send_that_finds_no_room_is_over_at_once_and_never_made_later() {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let mut ring = ring();
        let mut words = [[0u8; 4]; 2];
        // SAFETY: all-zero is a valid `msghdr`.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        let mut sent = 0;
        for word in &mut words {
            let vector = &mut libc::iovec { iov_base: word.as_mut_ptr().cast(), iov_len: 4 };
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            for index in 0..1_000 {
                // SAFETY: header, vector and word live through the `submit` below, and stay as they
                // are.
                unsafe { ring.send_message(index, far.as_raw_fd(), &header).unwrap() };
            }
            ring.submit().unwrap();
            let unsent = ring.take_unsent();
            assert!(unsent.iter().all(|(_, error)| *error == libc::EAGAIN));
            assert!(!unsent.is_empty(), "the queue of a Unix socket is shorter than that");
            sent += 1_000 - unsent.len();
            *word = *b"late";
        }
        let mut buffer = [1; 8];
        let mut arrived = 0;
        loop {
            while near.recv(&mut buffer).is_ok() {
                assert_eq!(buffer[..4], [0; 4], "as it was when it was submitted");
                arrived += 1;
            }
            if arrived >= sent {
                break;
            }
        }
        ring.turn(Duration::ZERO, Duration::from_millis(50)).unwrap();
        assert!(near.recv(&mut buffer).is_err(), "room came too late for the others");
        assert!(ring.take_unsent().is_empty());
    }

    #[test]
    fn a_receive_is_cancelled_once_whether_or_not_it_has_ended() {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut ring = ring();
        let keys = [SocketKey::from_bits(1), SocketKey::from_bits(2)];
        for key in keys {
            ring.receive(key, near.as_raw_fd()).unwrap();
        }
        ring.cancel(keys[0]).unwrap();
        ring.settle().unwrap();
        ring.cancel(keys[0]).unwrap(); // it has ended already
        ring.settle().unwrap();
        far.send(b"word").unwrap();
        ring.turn(Duration::ZERO, Duration::from_secs(5)).unwrap();
        let completions: Vec<_> = std::iter::from_fn(|| ring.next()).collect();
        assert_eq!(
            completions[0],
            Completion::Receive { socket: keys[0], buffer: None, last: Some(Last::Cancelled) }
        );
        let Completion::Receive { socket, buffer: Some(_), last: None } = completions[1] else {
            panic!("a datagram")
        };
        assert_eq!(socket, keys[1]);
        assert_eq!(completions.len(), 2);
        ring.shut_down([keys[1]]).unwrap();
    }

    #[test]
    fn many_receives_end_a_submission_at_a_time() {
        const MANY: u32 = 3_000;
        let (near, _far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut ring = ring();
        let keys: Vec<SocketKey> = (0..u64::from(MANY)).map(SocketKey::from_bits).collect();
        for key in &keys {
            ring.receive(*key, near.as_raw_fd()).unwrap();
        }
        // Half of them: no more than these end, and no submission ends more than it holds.
        let (half, others) = keys.split_at(keys.len() / 2);
        let before = ring.enters();
        ring.cancel_each(half.iter().copied()).unwrap();
        assert!(ring.enters() - before >= u64::from(MANY / 2 / REQUESTS));
        ring.settle().unwrap();
        assert_eq!(ring.receives, others.len());
        // The kernel reports some twenty in each `enter`.
        ring.cancel(others[0]).unwrap();
        ring.shut_down(others[1..].iter().copied()).unwrap();
        assert_eq!(ring.receives, 0);
        let enters = ring.enters() - before;
        assert!(enters <= u64::from(MANY / 10), "{enters} enters for {MANY} receives");
    }
}
