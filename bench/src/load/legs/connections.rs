//! The connections of all clients over TCP, TLS or DTLS.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::connection::{Connection, context};
use crate::load::{Scenario, Target, Transport};

/// Number of handshakes at a time: fewer than a server allows half open.
const HANDSHAKES: usize = 16;
/// Number of descriptors besides those of the connections.
const OTHER_FILES: u64 = 64;
/// Maximum number of open files of a process of the measurement.
const MAX_FILES: u64 = 20_000;
const EVENTS: usize = 256;

/// A connection for each client.
pub(crate) struct Connections {
    connections: Vec<Connection>,
    transport: Transport,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    scratch: Vec<u8>,
    message: Vec<u8>,
    /// Clients with queued bytes, each once.
    dirty: Vec<usize>,
    is_dirty: Vec<bool>,
}

impl Connections {
    pub(crate) fn open(scenario: &Scenario, target: &Target) -> Result<Self> {
        let count = scenario.allocations;
        allow_files(count as u64 + OTHER_FILES)?;
        let context = context(scenario.transport)?;
        let connect = |client: usize| {
            let local = SocketAddr::from((target.clients.address(client), 0));
            Connection::open(scenario.transport, context.as_ref(), local, target.address)
        };
        let threads = HANDSHAKES.min(count);
        let parts: Vec<Result<Vec<Connection>>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        (count * thread / threads..count * (thread + 1) / threads)
                            .map(connect)
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a connection is an error at worst"))
                .collect()
        });
        let mut connections = Vec::with_capacity(count);
        for part in parts {
            connections.extend(part?);
        }
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (client, connection) in connections.iter().enumerate() {
            epoll.add(connection, EpollEvent::new(EpollFlags::EPOLLIN, client as u64))?;
        }
        Ok(Self {
            connections,
            transport: scenario.transport,
            epoll,
            events: vec![EpollEvent::empty(); EVENTS],
            scratch: vec![0; 64 << 10],
            message: vec![0; (scenario.size + 640) * scenario.burst],
            dirty: Vec::with_capacity(count),
            is_dirty: vec![false; count],
        })
    }

    pub(crate) fn address(&self, client: usize) -> SocketAddr {
        self.connections[client].local()
    }

    pub(crate) fn is_lossy(&self) -> bool {
        self.transport == Transport::Dtls
    }

    pub(crate) fn push(
        &mut self,
        client: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<()> {
        let length = fill(&mut self.message);
        self.connections[client].push(&self.message[..length]).context("a connection failed")?;
        if self.transport != Transport::Dtls && !self.is_dirty[client] {
            self.is_dirty[client] = true;
            self.dirty.push(client);
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        let Self { connections, dirty, is_dirty, .. } = self;
        let mut failed: io::Result<()> = Ok(());
        dirty.retain(|&client| {
            let done = connections[client].flush().unwrap_or_else(|error| {
                failed = Err(error);
                true
            });
            is_dirty[client] = !done;
            !done
        });
        failed.context("a connection failed")
    }

    pub(crate) fn receive(&mut self, mut each: impl FnMut(usize, &[u8])) -> Result<usize> {
        let ready = match self.epoll.wait(&mut self.events, EpollTimeout::ZERO) {
            Ok(ready) => ready,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for event in &self.events[..ready] {
            let client = event.data() as usize;
            count += self.connections[client]
                .receive(&mut self.scratch, &mut |message| each(client, message))?;
        }
        Ok(count)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// Raises the limit of open files if it is too low and may be raised.
fn allow_files(wanted: u64) -> Result<()> {
    ensure!(wanted <= MAX_FILES, "no more than {} connections", MAX_FILES - OTHER_FILES);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        ensure!(wanted <= hard, "the system allows {hard} open files, and {wanted} are needed");
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}
