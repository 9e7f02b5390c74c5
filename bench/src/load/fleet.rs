use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use causeway_wire::{ChannelData, ChannelNumber};

use crate::load::{Access, Client, Direction, Measured, Operation, Pace, Scenario, Target};

/// The clients of one server and their peers.
pub struct Fleet {
    direction: Direction,
    window: usize,
    clients: Vec<Client>,
    peer: UdpSocket,
    frame: Vec<u8>,
    next: usize,
}

impl Fleet {
    /// Makes all allocations of the scenario.
    ///
    /// # Errors
    /// When the server refuses, does not answer, or cannot be played this scenario.
    pub fn new(scenario: &Scenario, target: &Target) -> Result<Self> {
        let Access::Turn { username, password } = &target.access else { bail!("only TURN") };
        ensure!(
            scenario.operation == Operation::Channel && scenario.burst == 1 && !scenario.offload,
            "only channels, one datagram at a time"
        );
        ensure!(matches!(scenario.direction, Direction::ToPeer | Direction::ToClient | Direction::Both), "only to peer and to client");
        let Pace::Window(window) = scenario.pace else { bail!("only a closed loop") };
        let peer = UdpSocket::bind((target.peers.address(0), 0))?;
        peer.set_read_timeout(Some(Duration::from_millis(50)))?;
        let address = peer.local_addr()?;
        let clients = (0..scenario.allocations).map(|_| Client::new(scenario.transport, target.address, address, [username, password]));
        let clients = clients.collect::<Result<Vec<_>>>().context("no fleet")?;
        for client in &clients {
            client.leg.set_patience(Duration::from_millis(50))?;
        }
        let frame = [&ChannelData::header(ChannelNumber::FIRST, scenario.size as u16)[..], &vec![0xA5; scenario.size]].concat();
        Ok(Self { direction: scenario.direction, window, clients, peer, frame, next: 0 })
    }

    /// Plays the scenario for so long.
    ///
    /// # Errors
    /// When a socket of the fleet fails.
    pub fn run(&mut self, time: Duration) -> Result<Measured> {
        let start = Instant::now();
        let mut measured = Measured::default();
        while start.elapsed() < time {
            measured.sent += self.window as u64;
            measured.delivered += self.round()?;
        }
        measured.elapsed = start.elapsed();
        Ok(measured)
    }

    /// One window of datagrams, each sent by or to another client, and each waited for. How many came.
    fn round(&mut self) -> Result<u64> {
        let count = self.clients.len();
        let turn: Vec<usize> = (0..self.window).map(|offset| (self.next + offset) % count).collect();
        self.next = (self.next + self.window) % count;
        let direction = self.direction;
        let goes_up = |position: usize| match direction {
            Direction::ToClient => false,
            Direction::Both => position.is_multiple_of(2),
            _ => true,
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
                delivered += u64::from(self.peer.recv(&mut buffer).is_ok_and(|len| buffer[..len] == *data));
            } else {
                let leg = &mut self.clients[index].leg;
                delivered += u64::from(leg.receive(&mut buffer).is_ok_and(|len| buffer[..len] == self.frame[..]));
            }
        }
        Ok(delivered)
    }
}
