//! Runs that measure requests instead of data: Allocate, Refresh, ChannelBind, Binding.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Result, bail};

use crate::load::request::Request;
use crate::load::setup::done;
use crate::load::transactions::{Answer, Answered};
use crate::load::{Fleet, Operation, Pace};

/// Maximum number of allocations released in a run.
const RELEASED: usize = 1_000;
/// The first channel number; the ports of its peers start there, too.
const FIRST_CHANNEL: u16 = 0x4000;
const FIRST_PORT: u16 = 10_000;
/// The errors for a client that may have no more channels: Insufficient Capacity (RFC 8656 §12.2),
/// or Forbidden.
const NO_MORE: [u16; 4] = [403, 486, 500, 508];

/// The clients that wait, and when the open requests started.
struct Rota {
    idle: VecDeque<usize>,
    begun: Vec<u64>,
    active: usize,
}

impl Fleet {
    /// Repeats the scenario's operation for `time` nanoseconds, one request a client at a time.
    pub(super) fn request(&mut self, time: u64) -> Result<()> {
        let count = self.scenario.allocations;
        let active_clients =
            if self.is_release() { (count / 10).clamp(1, RELEASED) } else { count };
        let idle = (0..active_clients).map(|client| (client + self.turn) % count).collect();
        let mut rota = Rota { idle, begun: vec![0; count], active: 0 };
        let start = self.clock.now();
        self.ledger.begin(start);
        loop {
            let now = self.clock.now();
            let is_over = now >= start + time && self.ledger.sent() > 0;
            let is_done = is_over || (self.is_release() && rota.idle.is_empty());
            if is_done && self.transactions.under_way() == 0 {
                break;
            }
            if !is_done {
                self.begin_operations(&mut rota, start, now)?;
                if !self.is_release() {
                    self.renew(now)?;
                }
            }
            self.transactions.retransmit(&mut self.legs, now)?;
            self.legs.flush()?;
            if self.receive_answers()? > 0 {
                self.idle.busy();
            } else {
                self.idle.wait(self.clock, None, [self.legs.fd(), self.peers.fd()])?;
            }
            let now = self.clock.now();
            for index in 0..self.heard.len() {
                self.conclude(self.heard[index], &mut rota, now)?;
            }
            self.heard.clear();
        }
        // The next run starts with the clients that waited longest; for releases, with the oldest
        // allocations, which the server has to search for longest.
        let next = if self.is_release() {
            Some((self.turn + self.released.len()) % count)
        } else {
            rota.idle.front().copied()
        };
        self.turn = next.unwrap_or(0);
        Ok(())
    }

    fn is_release(&self) -> bool {
        self.scenario.operation == Operation::Release
    }

    /// Sends the requests that are due.
    fn begin_operations(&mut self, rota: &mut Rota, start: u64, now: u64) -> Result<()> {
        let room = match self.scenario.pace {
            Pace::Auto | Pace::Window(_) => self.scenario.window().saturating_sub(rota.active),
            Pace::Rate(rate) => {
                let due = 1 + u128::from(now - start) * u128::from(rate) / 1_000_000_000;
                (due as u64).saturating_sub(self.ledger.sent()) as usize
            }
        };
        for _ in 0..room {
            let Some(client) = rota.idle.pop_front() else { break };
            if self.transactions.is_busy(client) {
                // It has to renew its channels.
                rota.idle.push_back(client);
                break;
            }
            let request = match self.scenario.operation {
                Operation::Allocate => Request::Challenge,
                Operation::Release => Request::Refresh { lifetime: 0 },
                Operation::ChannelBind => self.next_channel(client),
                Operation::Binding | Operation::Channel | Operation::Send => Request::Binding,
            };
            self.transactions.request(&mut self.legs, client, request, now)?;
            self.ledger.ask();
            rota.begun[client] = now;
            rota.active += 1;
        }
        Ok(())
    }

    /// A new channel while the client may have more, then its channels again in turn.
    fn next_channel(&mut self, client: usize) -> Request {
        let (bound, limit) = &mut self.channels[client];
        let number = *bound % *limit;
        *bound = if *bound + 1 >= 2 * *limit { *limit } else { *bound + 1 };
        let peer = SocketAddr::new(self.flows.peers[client].ip(), FIRST_PORT + number);
        Request::Bind { channel: FIRST_CHANNEL + number, peer }
    }

    fn conclude(&mut self, answered: Answered, rota: &mut Rota, now: u64) -> Result<()> {
        let Answered { client, request, answer, .. } = answered;
        match (self.scenario.operation, request, answer) {
            (Operation::Allocate, Request::Challenge, Answer::Challenged) => {
                return self.transactions.request(&mut self.legs, client, Request::Allocate, now);
            }
            (Operation::Allocate, Request::Allocate, Answer::Allocated(_)) => {
                self.ledger.answer(rota.begun[client], now);
                return self.transactions.request(
                    &mut self.legs,
                    client,
                    Request::Refresh { lifetime: 0 },
                    now,
                );
            }
            (Operation::Allocate, Request::Refresh { .. }, _) => done(&answered)?,
            (Operation::Release, Request::Refresh { .. }, _) => {
                done(&answered)?;
                self.ledger.answer(rota.begun[client], now);
                self.released.push(client);
                rota.active -= 1;
                return Ok(());
            }
            // A renewal, which is not measured.
            (_, Request::Refresh { .. }, _) => return done(&answered),
            (Operation::ChannelBind, Request::Bind { .. }, Answer::Refused(code))
                if NO_MORE.contains(&code) =>
            {
                let (bound, limit) = &mut self.channels[client];
                if *bound <= 1 || *bound > *limit {
                    bail!("ChannelBind: refused with {code}");
                }
                // This request does not count: the client repeats it for a channel that it has.
                *limit = *bound - 1;
                let again = self.next_channel(client);
                return self.transactions.request(&mut self.legs, client, again, now);
            }
            (_, _, Answer::Done) => self.ledger.answer(rota.begun[client], now),
            (_, _, Answer::Wrong) => self.ledger.corrupt(),
            (_, request, answer) => bail!("{request:?}: {answer:?}"),
        }
        rota.active -= 1;
        rota.idle.push_back(client);
        Ok(())
    }
}
