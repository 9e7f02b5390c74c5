//! Numbered datagrams from one allocation to another at the same server, and back. They need no
//! path but the one between this host and the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use super::quality::{Measurement, Quality};
use crate::probe::ProbeError;
use crate::transport::turn::{PeerDatagram, TurnConnection};

/// Length of the header of each datagram: the run's mark and the datagram's number.
const HEADER: usize = 8 + 4;
/// How often a single datagram is sent before it counts as lost. There and back are four passes: if
/// each loses one of five, the chance that none of twenty comes back is below 0.01 %.
const ATTEMPTS: u32 = 20;

/// How long to wait before a single datagram is sent again: twenty of them outlast an outage of two
/// seconds.
pub(super) const ONCE: Duration = Duration::from_millis(125);
/// How long to wait for the last datagram.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// An allocation and the relayed address of the other one.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) relay: &'a mut TurnConnection,
    pub(super) other: SocketAddr,
}

/// The datagrams to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) count: u32,
    pub(super) interval: Duration,
    /// Size of each datagram in bytes; at least that of the header.
    pub(super) size: usize,
    /// How long to wait for the last datagrams.
    pub(super) patience: Duration,
}

/// The loop between two ends.
#[derive(Debug)]
pub(super) struct RelayedLoop<'a> {
    near: End<'a>,
    far: End<'a>,
    mark: [u8; 8],
    measure: Measurement,
}

impl<'a> RelayedLoop<'a> {
    pub(super) fn new(near: End<'a>, far: End<'a>) -> Self {
        let mut mark = [0; 8];
        rand::rng().fill_bytes(&mut mark);
        Self { near, far, mark, measure: Measurement::default() }
    }

    /// Sends one datagram there and back, repeats it if it is lost, and returns its round trip.
    pub(super) async fn once(mut self, interval: Duration) -> Result<Duration, ProbeError> {
        for attempt in 1..=ATTEMPTS {
            self.send(HEADER).await?;
            let until = Instant::now() + if attempt == ATTEMPTS { LAST_WAIT } else { interval };
            while Instant::now() < until {
                self.step(until).await?;
                if let Some(round_trip) = self.measure.first_round_trip() {
                    return Ok(round_trip);
                }
            }
        }
        Err(ProbeError::NothingRelayed)
    }

    /// Sends all datagrams at their interval and returns the figures.
    pub(super) async fn run(mut self, load: Load) -> Result<Quality, ProbeError> {
        let mut next = Instant::now();
        for _ in 0..load.count {
            while Instant::now() < next {
                self.step(next).await?;
            }
            self.send(load.size.max(HEADER)).await?;
            next += load.interval;
        }
        let end = Instant::now() + load.patience;
        while !self.measure.is_complete() && Instant::now() < end {
            self.step(end).await?;
        }
        Ok(self.measure.quality())
    }

    async fn send(&mut self, size: usize) -> Result<(), ProbeError> {
        let mut data = vec![0; size];
        let number = self.measure.send(Instant::now());
        data[..8].copy_from_slice(&self.mark);
        data[8..HEADER].copy_from_slice(&number.to_be_bytes());
        Ok(self.near.relay.send(self.near.other, &data).await?)
    }

    /// Waits until `until` for one message at either end.
    async fn step(&mut self, until: Instant) -> Result<(), ProbeError> {
        self.near.relay.flush().await?;
        self.far.relay.flush().await?;
        tokio::select! {
            datagram = self.near.relay.wait() => {
                if let Some(number) = self.number(datagram?.as_ref(), self.near.other) {
                    self.measure.returned(number, Instant::now());
                }
            }
            datagram = self.far.relay.wait() => {
                let datagram = datagram?;
                let number = self.number(datagram.as_ref(), self.far.other);
                if let (Some(number), Some(datagram)) = (number, &datagram)
                    && self.measure.arrived(number, Instant::now())
                {
                    self.far.relay.send(self.far.other, &datagram.data).await?;
                }
            }
            () = tokio::time::sleep_until(until.into()) => {}
        }
        Ok(())
    }

    /// The number of a datagram, if it is of this run and comes from the other end.
    fn number(&self, datagram: Option<&PeerDatagram>, other: SocketAddr) -> Option<u32> {
        let datagram = datagram.filter(|datagram| datagram.peer == other)?;
        let number = datagram.data.strip_prefix(&self.mark)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*number))
    }
}
