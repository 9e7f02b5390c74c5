use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_wire::{ChannelData, ChannelNumber};

use crate::client::Client;
use crate::cpu;
use crate::leg::Transport;
use crate::server::Server;

/// Datagrams under way at a time: enough that the server never waits, few enough that no buffer overflows.
const WINDOW: usize = 128;

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From clients to their peer, in ChannelData.
    ToPeer,
    /// From the peer to the clients.
    ToClient,
    /// One each way in turn.
    Both,
}

/// What one slice showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// Server time on the processor for each datagram delivered, in nanoseconds.
    pub(crate) nanoseconds: f64,
    /// Datagrams delivered a second.
    pub(crate) rate: f64,
    /// Datagrams that were sent and never came.
    pub(crate) lost: usize,
}

/// The clients of one server, and the one peer of them all.
pub(crate) struct Fleet {
    clients: Vec<Client>,
    peer: UdpSocket,
    frame: Vec<u8>,
    next: usize,
}

impl Fleet {
    pub(crate) fn new(transport: Transport, server: SocketAddr, allocations: usize, size: usize, peer: SocketAddr) -> Result<Self> {
        let peer = UdpSocket::bind(peer)?;
        peer.set_read_timeout(Some(Duration::from_millis(50)))?;
        let address = peer.local_addr()?;
        let clients = (0..allocations).map(|_| Client::new(transport, server, address)).collect::<Result<Vec<_>>>().context("no fleet")?;
        for client in &clients {
            client.leg.set_patience(Duration::from_millis(50))?;
        }
        let frame = [&ChannelData::header(ChannelNumber::FIRST, size as u16)[..], &vec![0xA5; size]].concat();
        Ok(Self { clients, peer, frame, next: 0 })
    }

    /// One window of datagrams, each sent by or to another client, and each waited for. How many came.
    fn round(&mut self, direction: Direction) -> Result<usize> {
        let count = self.clients.len();
        let turn: Vec<usize> = (0..WINDOW).map(|offset| (self.next + offset) % count).collect();
        self.next = (self.next + WINDOW) % count;
        let goes_up = |position: usize| match direction {
            Direction::ToPeer => true,
            Direction::ToClient => false,
            Direction::Both => position.is_multiple_of(2),
        };
        let data = &self.frame[ChannelData::HEADER_LEN..];
        for (position, &index) in turn.iter().enumerate() {
            let client = &mut self.clients[index];
            if goes_up(position) {
                client.leg.send(&self.frame)?;
            } else {
                self.peer.send_to(data, client.relayed)?;
            }
        }
        let mut delivered = 0;
        let mut buffer = [0; 2048];
        for (position, &index) in turn.iter().enumerate() {
            if goes_up(position) {
                delivered += usize::from(self.peer.recv(&mut buffer).is_ok_and(|len| buffer[..len] == *data));
            } else {
                let leg = &mut self.clients[index].leg;
                delivered += usize::from(leg.receive(&mut buffer).is_ok_and(|len| buffer[..len] == self.frame[..]));
            }
        }
        Ok(delivered)
    }
}

/// Loads a server for `slice` and reads what that cost it. Every delivery's content is checked.
pub(crate) fn measure(fleet: &mut Fleet, server: &Server, direction: Direction, slice: Duration) -> Result<Slice> {
    let (start, before) = (Instant::now(), cpu::nanoseconds(server.pid())?);
    let (mut sent, mut delivered) = (0, 0);
    while start.elapsed() < slice {
        sent += WINDOW;
        delivered += fleet.round(direction)?;
    }
    let (spent, elapsed) = (cpu::nanoseconds(server.pid())? - before, start.elapsed());
    ensure!(delivered > 0, "nothing was relayed");
    Ok(Slice { nanoseconds: spent as f64 / delivered as f64, rate: delivered as f64 / elapsed.as_secs_f64(), lost: sent - delivered })
}
