//! The backend without requests: level-triggered epoll, and a system call for each socket that
//! brings or sends something. Twin of `ring`.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use super::super::datagrams::{Datagrams, Released};
use super::super::memory::Memory;
use super::super::moderation;
use crate::epoll::{Epoll, Events, Interest, Source};
use crate::keys::SocketKey;
use crate::stats::Stats;
use crate::udp::{Outbox, Received};
use crate::uring::{BufferId, Completion, Last};

pub(in super::super) struct EpollBackend {
    epoll: Arc<Epoll>,
    stats: Arc<Stats>,
}

impl EpollBackend {
    pub(super) fn new(_: &Memory, epoll: Arc<Epoll>, stats: Arc<Stats>) -> io::Result<Self> {
        Ok(Self { epoll, stats })
    }

    pub(super) fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn submits(&self) -> bool {
        false
    }

    pub(super) fn watch(&mut self, key: SocketKey, fd: RawFd) -> io::Result<()> {
        self.epoll.add(fd, Source::Socket(key), Interest::READ)
    }

    pub(super) fn release(
        &mut self,
        _: SocketKey,
        socket: Released,
        _: bool,
        datagrams: &mut Datagrams,
    ) {
        datagrams.close_after_flush(socket);
    }

    pub(super) fn holds_descriptors(&self) -> bool {
        false
    }

    pub(super) fn holds_ports(&self) -> bool {
        false
    }

    pub(super) fn settle(&mut self, _: &mut Datagrams) {}

    pub(super) fn flush(&mut self, datagrams: &mut Datagrams, now: Duration) {
        datagrams.outbox_mut().flush(now, &self.stats);
    }

    pub(super) fn flushes_with_wait(&self) -> bool {
        false
    }

    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        _: &mut Datagrams,
        _: &mut Memory,
        _: Duration,
        (rest, patience): (Duration, Duration),
    ) -> io::Result<()> {
        moderation::rest(rest);
        self.epoll.wait(events, patience)
    }

    pub(super) fn has_more(&self, _: &Outbox) -> bool {
        false
    }

    pub(super) fn next(&mut self) -> Option<Completion> {
        None
    }

    pub(super) fn take(&mut self, _: BufferId) -> Option<Received> {
        None
    }

    pub(super) fn restart(&mut self, _: SocketKey, _: Last) -> bool {
        false
    }

    pub(super) fn holds_no_buffer(&self) -> bool {
        true
    }

    pub(super) fn shut_down(&mut self, _: &mut Datagrams) -> io::Result<()> {
        Ok(())
    }
}
