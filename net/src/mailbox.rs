//! Messages between the control side and a worker: a bounded queue, and an eventfd that wakes
//! the receiver.
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
    /// The sending end; it can be cloned.
    pub sender: Sender<T>,
    /// The receiving end; there is one.
    pub receiver: Receiver<T>,
}

impl<T> Mailbox<T> {
    /// A mailbox that holds at most `capacity` messages.
    ///
    /// # Errors
    /// When the process has no descriptor left for the eventfd.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let (queue_in, queue_out) = mpsc::sync_channel(capacity.max(1));
        let wakeup = Arc::new(Wakeup::new()?);
        Ok(Self {
            sender: Sender { queue: queue_in, wakeup: Arc::clone(&wakeup) },
            receiver: Receiver { queue: queue_out, wakeup },
        })
    }
}

/// An eventfd that is written once for any number of messages.
#[derive(Debug)]
struct Wakeup {
    event: File,
    signalled: AtomicBool,
}

impl Wakeup {
    fn new() -> io::Result<Self> {
        // SAFETY: `eventfd` takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let event = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Self { event, signalled: AtomicBool::new(false) })
    }

    fn signal(&self) {
        if !self.signalled.swap(true, Ordering::SeqCst) {
            // The write fails only when the counter is at its maximum, and then the receiver is
            // awake already.
            let _ = (&self.event).write(&1u64.to_ne_bytes());
        }
    }

    /// Must precede a look into the queue: a message sent after the look then signals again.
    fn clear(&self) {
        let _ = (&self.event).read(&mut [0; 8]);
        self.signalled.store(false, Ordering::SeqCst);
    }
}

/// Sends messages, from any thread.
#[derive(Debug)]
pub struct Sender<T> {
    queue: mpsc::SyncSender<T>,
    wakeup: Arc<Wakeup>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), wakeup: Arc::clone(&self.wakeup) }
    }
}

impl<T> Sender<T> {
    /// Queues `message` and wakes the receiver. It never waits.
    ///
    /// # Errors
    /// [`Undelivered`] gives the message back: the mailbox is full, or the receiver is gone.
    pub fn send(&self, message: T) -> Result<(), Undelivered<T>> {
        let result = self.queue.try_send(message).map_err(|error| match error {
            mpsc::TrySendError::Full(message) => Undelivered::Full(message),
            mpsc::TrySendError::Disconnected(message) => Undelivered::Closed(message),
        });
        self.wakeup.signal();
        result
    }
}

/// A message that could not be queued, by the reason.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered<T> {
    /// The mailbox holds its maximum.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

/// Receives messages. Its descriptor is readable while some may be queued.
#[derive(Debug)]
pub struct Receiver<T> {
    queue: mpsc::Receiver<T>,
    wakeup: Arc<Wakeup>,
}

impl<T> Receiver<T> {
    /// Passes up to `limit` messages to `take`. If more are left, the descriptor stays readable.
    pub fn drain(&self, limit: usize, mut take: impl FnMut(T)) {
        self.wakeup.clear();
        for _ in 0..limit {
            match self.queue.try_recv() {
                Ok(message) => take(message),
                Err(_) => return,
            }
        }
        self.wakeup.signal();
    }
}

impl<T> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeup.event.as_fd()
    }
}

impl<T> AsRawFd for Receiver<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.wakeup.event.as_raw_fd()
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
    fn a_full_mailbox_gives_the_message_back_at_once() {
        let mailbox = Mailbox::new(2).unwrap();
        assert_eq!(mailbox.sender.send(1), Ok(()));
        assert_eq!(mailbox.sender.send(2), Ok(()));
        assert_eq!(mailbox.sender.send(3), Err(Undelivered::Full(3)));
        let mut messages = Vec::new();
        mailbox.receiver.drain(10, |message| messages.push(message));
        assert_eq!(messages, [1, 2]);
        drop(mailbox.receiver);
        assert_eq!(mailbox.sender.send(4), Err(Undelivered::Closed(4)));
    }

    #[test]
    fn the_descriptor_is_readable_while_messages_are_left() {
        let mailbox = Mailbox::new(8).unwrap();
        let fd = mailbox.receiver.as_raw_fd();
        assert!(!is_readable(fd, 0));
        for message in 0..5 {
            mailbox.sender.send(message).unwrap();
        }
        assert!(is_readable(fd, 0));
        mailbox.receiver.drain(3, drop);
        assert!(is_readable(fd, 0), "two messages are left");
        mailbox.receiver.drain(3, drop);
        assert!(!is_readable(fd, 0));
    }

    #[test]
    fn no_message_of_many_senders_is_lost_or_slept_through() {
        const EACH: u64 = 20_000;
        let Mailbox { sender, receiver } = Mailbox::new(64).unwrap();
        let senders: Vec<_> = (0..4u64)
            .map(|id| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for n in 0..EACH {
                        let mut message = (id, n);
                        while let Err(Undelivered::Full(back)) = sender.send(message) {
                            message = back;
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
