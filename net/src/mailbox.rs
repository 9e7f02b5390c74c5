//! Messages between the control side and a worker: a bounded ring, and an eventfd that wakes the
//! receiver.
//!
//! The same type serves both directions. A worker's [`EventLoop`](crate::EventLoop) watches the
//! descriptor beside its sockets; on the control side any reactor can: with tokio,
//! `AsyncFd::new(receiver)`, then in a loop `readable_mut`, `clear_ready` and
//! [`drain`](Receiver::drain). Sending never blocks and never waits for a reactor, so it may be
//! done from async code and from a worker alike.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

/// The two ends of a mailbox.
#[derive(Debug)]
pub struct Mailbox<T> {
    /// The end that puts letters in; it may be cloned.
    pub sender: Sender<T>,
    /// The end that takes them out.
    pub receiver: Receiver<T>,
}

impl<T> Mailbox<T> {
    /// A mailbox for `capacity` letters.
    ///
    /// # Errors
    /// When the process has no descriptor left for the eventfd.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let (ring_in, ring_out) = mpsc::sync_channel(capacity.max(1));
        let bell = Arc::new(Bell::new()?);
        Ok(Self {
            sender: Sender { ring: ring_in, bell: Arc::clone(&bell) },
            receiver: Receiver { ring: ring_out, bell },
        })
    }
}

/// An eventfd that is rung once for any number of letters.
#[derive(Debug)]
struct Bell {
    event: File,
    rung: AtomicBool,
}

impl Bell {
    fn new() -> io::Result<Self> {
        // SAFETY: `eventfd` takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and is owned by nobody else.
        let event = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Self { event, rung: AtomicBool::new(false) })
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // It fails only when the counter is at its maximum, and then the receiver is awake
            // already.
            let _ = (&self.event).write(&1u64.to_ne_bytes());
        }
    }

    /// Must precede a look into the ring: a letter that comes after the look rings again.
    fn silence(&self) {
        let _ = (&self.event).read(&mut [0; 8]);
        self.rung.store(false, Ordering::SeqCst);
    }
}

/// Puts letters in.
#[derive(Debug)]
pub struct Sender<T> {
    ring: mpsc::SyncSender<T>,
    bell: Arc<Bell>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { ring: self.ring.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<T> Sender<T> {
    /// Puts `letter` in and wakes the receiver.
    ///
    /// # Errors
    /// Gives the letter back when the box is full or the receiver is gone. It never waits.
    pub fn send(&self, letter: T) -> Result<(), Undelivered<T>> {
        let result = self.ring.try_send(letter).map_err(|error| match error {
            mpsc::TrySendError::Full(letter) => Undelivered::Full(letter),
            mpsc::TrySendError::Disconnected(letter) => Undelivered::Closed(letter),
        });
        self.bell.ring();
        result
    }
}

/// Why a letter came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered<T> {
    /// The box is full.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

/// Takes letters out. Its descriptor is readable while there may be some.
#[derive(Debug)]
pub struct Receiver<T> {
    ring: mpsc::Receiver<T>,
    bell: Arc<Bell>,
}

impl<T> Receiver<T> {
    /// Hands up to `limit` letters to `take`. If more are left, the descriptor stays readable.
    pub fn drain(&self, limit: usize, mut take: impl FnMut(T)) {
        self.bell.silence();
        for _ in 0..limit {
            match self.ring.try_recv() {
                Ok(letter) => take(letter),
                Err(_) => return,
            }
        }
        self.bell.ring();
    }
}

impl<T> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.event.as_fd()
    }
}

impl<T> AsRawFd for Receiver<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.bell.event.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(fd: RawFd, wait_ms: i32) -> bool {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, on this stack.
        unsafe { libc::poll(&raw mut poll, 1, wait_ms) == 1 }
    }

    #[test]
    fn a_full_box_gives_the_letter_back_at_once() {
        let mailbox = Mailbox::new(2).unwrap();
        assert_eq!(mailbox.sender.send(1), Ok(()));
        assert_eq!(mailbox.sender.send(2), Ok(()));
        assert_eq!(mailbox.sender.send(3), Err(Undelivered::Full(3)));
        let mut letters = Vec::new();
        mailbox.receiver.drain(10, |letter| letters.push(letter));
        assert_eq!(letters, [1, 2]);
        drop(mailbox.receiver);
        assert_eq!(mailbox.sender.send(4), Err(Undelivered::Closed(4)));
    }

    #[test]
    fn the_descriptor_is_readable_while_letters_are_left() {
        let mailbox = Mailbox::new(8).unwrap();
        let fd = mailbox.receiver.as_raw_fd();
        assert!(!is_readable(fd, 0));
        for letter in 0..5 {
            mailbox.sender.send(letter).unwrap();
        }
        assert!(is_readable(fd, 0));
        mailbox.receiver.drain(3, drop);
        assert!(is_readable(fd, 0), "two letters are left");
        mailbox.receiver.drain(3, drop);
        assert!(!is_readable(fd, 0));
    }

    #[test]
    fn no_letter_of_many_senders_is_lost_or_slept_through() {
        const EACH: u64 = 20_000;
        let Mailbox { sender, receiver } = Mailbox::new(64).unwrap();
        let senders: Vec<_> = (0..4u64)
            .map(|id| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for n in 0..EACH {
                        let mut letter = (id, n);
                        while let Err(Undelivered::Full(back)) = sender.send(letter) {
                            letter = back;
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        while next != [EACH; 4] {
            assert!(is_readable(receiver.as_raw_fd(), 10_000), "a lost wakeup");
            receiver.drain(16, |(id, n): (u64, u64)| {
                assert_eq!(n, next[id as usize], "in order, each once");
                next[id as usize] += 1;
            });
        }
        senders.into_iter().for_each(|s| s.join().unwrap());
    }
}
