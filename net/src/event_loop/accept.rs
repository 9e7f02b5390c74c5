//! Accepting TCP connections, and admitting them once the client's address is known.

use std::io;

use super::budget::take;
use super::service::{Admission, Service};
use super::{EventLoop, StreamListenerOptions};
use crate::clock::Sample;
use crate::descriptors::{Use, shortage};
use crate::keys::{ListenerKey, StreamKey};
use crate::tcp::Stream;

/// Maximum number of connections accepted from one listener in one turn.
const ACCEPTS: usize = 16;

impl EventLoop {
    pub(super) fn accept<S: Service>(&mut self, now: Sample, key: ListenerKey, service: &mut S) {
        for _ in 0..ACCEPTS {
            let Some(entry) = self.io.listeners.get(key) else {
                return;
            };
            if !take(&mut self.budget.accepts) {
                return; // they stay in the backlog, and the listener is ready in the next turn
            }
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
                    stream.tag = entry.options.tag;
                    stream.listener = Some(key);
                    let proxies = entry.options.proxies.as_ref();
                    let proxied = proxies.is_some_and(|proxies| proxies.contains(peer.ip()));
                    self.admit(now, stream, proxied, service);
                }
                Err(error) if shortage(&error).is_some() => {
                    self.io.stats.accept_exhausted.add(1);
                    self.io.listeners.pause(key); // the connection stays in the backlog
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {} // that connection was gone before it was accepted
            }
        }
    }

    fn admit<S: Service>(&mut self, now: Sample, stream: Stream, proxied: bool, service: &mut S) {
        let Some(key) = self.io.streams.insert(stream) else {
            return;
        };
        if proxied {
            self.io.streams.await_proxy(key, self.io.now);
            self.tend_soon(now);
        } else {
            self.announce(now, key, service);
        }
    }

    /// Asks the service about a connection, once the client's address is known.
    pub(super) fn announce<S: Service>(&mut self, now: Sample, key: StreamKey, service: &mut S) {
        let Some(info) = self.io.streams.info(key) else {
            return;
        };
        let admission = service.accepted(now, &info, &mut self.io);
        let Some(stream) = self.io.streams.get_mut(key) else {
            return; // the service closed it
        };
        match admission {
            Admission::Accept { tag } => {
                stream.tag = tag;
                let listener = info.listener.and_then(|listener| self.io.listeners.get(listener));
                let options = listener.map_or_else(
                    || StreamListenerOptions::plain(tag),
                    |entry| entry.options.clone(),
                );
                self.io.streams.await_first_byte(key, &options, self.io.now);
                self.tend_soon(now);
            }
            Admission::Refuse => self.io.streams.refuse(key),
        }
    }
}
