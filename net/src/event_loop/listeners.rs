//! TCP listeners in the loop: what is accepted, and what happens when no descriptor is left.

use std::io;
use std::os::fd::AsRawFd;

use super::budget::take;
use super::io::{Io, ListenerEntry};
use super::service::{Admission, Service};
use super::{EventLoop, ListenerKey, StreamKey, StreamListenerOptions, TENDING_WAIT};
use crate::clock::Sample;
use crate::descriptors::{Use, shortage};
use crate::epoll::{Interest, Source};
use crate::tcp::{Listener, Stream};

/// Connections accepted from one listener in one turn.
const ACCEPTS: usize = 16;

impl Io {
    /// Takes in a TCP listener.
    ///
    /// # Errors
    /// `InvalidInput` for neither plain nor TLS, or for TLS without a handshaker; or when the
    /// kernel has no memory to watch it.
    pub fn listen_tcp(
        &mut self,
        listener: Listener,
        listening: StreamListenerOptions,
    ) -> io::Result<ListenerKey> {
        if listening.tls && self.post.is_none() || !listening.tls && !listening.plain {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fd = listener.as_raw_fd();
        let key = self.listeners.insert(ListenerEntry { listener, listening, paused: false });
        self.epoll.add(fd, Source::Listener(key), Interest::READ).inspect_err(|_| {
            self.listeners.remove(key);
        })?;
        Ok(key)
    }

    fn pause(&mut self, key: ListenerKey, paused: bool) {
        if let Some(entry) = self.listeners.get_mut(key) {
            let interest = if paused { Interest::NONE } else { Interest::READ };
            let fd = entry.listener.as_raw_fd();
            if self.epoll.change(fd, Source::Listener(key), interest).is_ok() {
                entry.paused = paused;
            }
        }
    }

    pub(super) fn has_paused_listener(&self) -> bool {
        self.paused_listeners().next().is_some()
    }

    fn paused_listeners(&self) -> impl Iterator<Item = ListenerKey> {
        let all = (0..self.listeners.places()).filter_map(|index| self.listeners.at(index));
        all.filter(|(_, entry)| entry.paused).map(|(key, _)| key)
    }

    /// Lets listeners try again.
    pub(super) fn resume_listeners(&mut self) {
        for key in self.paused_listeners().collect::<Vec<_>>() {
            self.pause(key, false);
        }
    }
}

impl EventLoop {
    pub(super) fn accept<S: Service>(&mut self, now: Sample, key: ListenerKey, service: &mut S) {
        for _ in 0..ACCEPTS {
            let Some(entry) = self.io.listeners.get(key) else {
                return;
            };
            if !take(&mut self.budget.accepts) {
                return; // they stay in the backlog, and the listener is ready in the next turn
            }
            let tag = entry.listening.tag;
            match entry.listener.accept() {
                Ok((fd, peer, local)) => {
                    let mut stream = Stream::new(fd, peer, local);
                    // Refused by a reset rather than left in the backlog, where the client would
                    // wait and others behind it.
                    stream.descriptor = self.io.descriptors.take(Use::Connection);
                    if stream.descriptor.is_none() {
                        stream.close_by_reset();
                        continue;
                    }
                    stream.tag = tag;
                    stream.listener = Some(key);
                    let proxied = entry
                        .listening
                        .proxies
                        .as_ref()
                        .is_some_and(|proxies| proxies.contains(peer.ip()));
                    self.admit(now, stream, proxied, service);
                }
                Err(error) if shortage(&error).is_some() => {
                    // The connection stays in the backlog; level-triggered, it would wake us again
                    // at once, and again.
                    self.io.stats.accept_exhausted.add(1);
                    self.io.pause(key, true);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {} // that connection was gone before it was accepted
            }
        }
    }

    fn admit<S: Service>(&mut self, now: Sample, stream: Stream, proxied: bool, service: &mut S) {
        self.io.stats.streams_accepted.add(1);
        let fd = stream.raw_fd();
        let key = self.io.streams.insert(stream);
        self.io.stats.streams_open.set(self.io.streams.len() as u64);
        if self.io.epoll.add(fd, Source::Stream(key), Interest::READ).is_err() {
            self.io.stats.streams_refused.add(1);
            self.io.reset_stream(key);
        } else if proxied {
            self.io.await_proxy(key);
            self.next_tending = self.next_tending.min(now.monotonic + TENDING_WAIT);
        } else {
            self.announce(now, key, service);
        }
    }

    /// Asks the service about a connection, once it is known whose it is.
    pub(super) fn announce<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(info) = self.io.info(key) else {
            return;
        };
        let admission = service.accepted(now, &info, &mut self.io);
        let listening = info
            .listener
            .and_then(|listener| self.io.listeners.get(listener))
            .map(|entry| entry.listening.clone());
        let Some(stream) = self.io.streams.get_mut(key) else {
            return; // the service closed it
        };
        match admission {
            Admission::Accept { tag } => {
                stream.tag = tag;
                self.io.await_first_byte(
                    key,
                    &listening.unwrap_or_else(|| StreamListenerOptions::plain(tag)),
                );
                self.next_tending = self.next_tending.min(now.monotonic + TENDING_WAIT);
            }
            Admission::Refuse => {
                self.io.stats.streams_refused.add(1);
                self.io.reset_stream(key);
            }
        }
    }
}
