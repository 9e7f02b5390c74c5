//! A worker's TCP listeners, and their pause while the process is out of descriptors.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use super::listener_options::StreamListenerOptions;
use crate::epoll::{Epoll, Interest, Source};
use crate::keys::{ListenerKey, StreamListener};
use crate::slots::Slots;
use crate::tcp::Listener;

/// The TCP listeners of one worker.
pub(super) struct Listeners {
    listeners: Slots<StreamListener, ListenerEntry>,
    epoll: Arc<Epoll>,
}

/// A TCP listener in the loop.
pub(super) struct ListenerEntry {
    pub(super) listener: Listener,
    pub(super) options: StreamListenerOptions,
    /// Whether it is not watched for the moment: the process is out of descriptors.
    paused: bool,
}

impl Listeners {
    pub(super) fn new(epoll: Arc<Epoll>) -> Self {
        Self { listeners: Slots::new(), epoll }
    }

    /// Adds a listener and watches it.
    pub(super) fn insert(
        &mut self,
        listener: Listener,
        options: StreamListenerOptions,
    ) -> io::Result<ListenerKey> {
        let fd = listener.as_raw_fd();
        let key = self.listeners.insert(ListenerEntry { listener, options, paused: false });
        self.epoll.add(fd, Source::Listener(key), Interest::READ).inspect_err(|_| {
            self.listeners.remove(key);
        })?;
        Ok(key)
    }

    pub(super) fn get(&self, key: ListenerKey) -> Option<&ListenerEntry> {
        self.listeners.get(key)
    }

    pub(super) fn local_addr(&self, key: ListenerKey) -> Option<SocketAddr> {
        Some(self.listeners.get(key)?.listener.local_addr())
    }

    /// Stops watching a listener. Level-triggered, a connection that stays in its backlog would
    /// wake the loop again at once, and again.
    pub(super) fn pause(&mut self, key: ListenerKey) {
        self.set_paused(key, true);
    }

    /// Lets paused listeners try again.
    pub(super) fn resume_all(&mut self) {
        for key in self.paused().collect::<Vec<_>>() {
            self.set_paused(key, false);
        }
    }

    pub(super) fn has_paused(&self) -> bool {
        self.paused().next().is_some()
    }

    fn paused(&self) -> impl Iterator<Item = ListenerKey> {
        let all = (0..self.listeners.places()).filter_map(|index| self.listeners.at(index));
        all.filter(|(_, entry)| entry.paused).map(|(key, _)| key)
    }

    fn set_paused(&mut self, key: ListenerKey, paused: bool) {
        if let Some(entry) = self.listeners.get_mut(key) {
            let interest = if paused { Interest::NONE } else { Interest::READ };
            let fd = entry.listener.as_raw_fd();
            if self.epoll.change(fd, Source::Listener(key), interest).is_ok() {
                entry.paused = paused;
            }
        }
    }
}
