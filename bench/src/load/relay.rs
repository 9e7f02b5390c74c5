//! Runs that relay data: sending at a pace, receiving, and giving up after silence.

use anyhow::Result;
use causeway_net::load_socket::BATCH;

use crate::load::flows::{Flows, Held};
use crate::load::schedule::{self, Departure};
use crate::load::setup::done;
use crate::load::{Direction, Fleet, Pace, Traffic};

/// Nanoseconds of silence after which what is under way is given up.
const PATIENCE: u64 = 300_000_000;
/// The same at the end of a run in which nothing has arrived yet: a server that stands still for a
/// while is slow, not silent.
const LAST_PATIENCE: u64 = 3_000_000_000;
/// Maximum number of datagrams sent before the load receives again.
const AT_ONCE: usize = 256;

impl Fleet {
    /// Relays data for `time` nanoseconds.
    pub(super) fn relay(&mut self, time: u64) -> Result<()> {
        let start = self.clock.now();
        self.ledger.begin(start);
        let mut silence = Silence::since(start);
        loop {
            let now = self.clock.now();
            // The run is not over for a load that could not run before it sent anything.
            let is_over = now >= start + time && self.ledger.sent() > 0;
            if is_over && self.ledger.under_way() == 0 {
                break;
            }
            let sent = if is_over { 0 } else { self.offer(start, now)? };
            self.renew(now)?;
            self.transactions.retransmit(&mut self.legs, now)?;
            self.legs.flush()?;
            self.peers.flush()?;
            if self.take()? + sent > 0 {
                silence = Silence::since(now);
                self.idle.busy();
            } else if self.ledger.under_way() > 0 && silence.at(now) > self.patience(is_over) {
                if is_over {
                    break;
                }
                self.ledger.give_up();
            } else {
                let due = if is_over { None } else { self.due(start) };
                self.idle.wait(self.clock, due, [self.legs.fd(), self.peers.fd()])?;
            }
            for answered in std::mem::take(&mut self.heard) {
                done(&answered)?;
            }
        }
        self.ledger.give_up();
        Ok(())
    }

    fn patience(&self, is_over: bool) -> u64 {
        if is_over && self.ledger.delivered() == 0 { LAST_PATIENCE } else { PATIENCE }
    }

    /// Sends what is due; returns its number.
    fn offer(&mut self, start: u64, now: u64) -> Result<usize> {
        let burst = self.scenario.burst;
        let room = match self.scenario.pace {
            // Half of the window at once, so that the server works in batches, too.
            Pace::Auto | Pace::Window(_) => {
                let window = self.scenario.window();
                let room = window.saturating_sub(self.ledger.under_way());
                if room * 2 >= window { room.max(burst) } else { 0 }
            }
            Pace::Rate(_) if self.schedule.is_some() => self
                .schedule
                .as_ref()
                .map_or(0, |schedule| schedule.due(self.ledger.sent(), now - start, AT_ONCE)),
            Pace::Rate(rate) => {
                let due = 1 + u128::from(now - start) * u128::from(rate) / 1_000_000_000;
                (due as u64).saturating_sub(self.ledger.sent()).min(AT_ONCE as u64) as usize
            }
        };
        let bursts = match self.scenario.pace {
            Pace::Rate(_) => room.div_ceil(burst),
            Pace::Auto | Pace::Window(_) => room / burst,
        };
        let (mut now, mut since) = (now, 0);
        for _ in 0..bursts {
            if since >= BATCH {
                (now, since) = (self.clock.now(), 0);
            }
            self.burst(now)?;
            since += burst;
        }
        Ok(bursts * burst)
    }

    /// When the next burst is due, if the pace is a rate.
    fn due(&self, start: u64) -> Option<u64> {
        let Pace::Rate(rate) = self.scenario.pace else { return None };
        if let Some(schedule) = &self.schedule {
            return Some(start + schedule.time(self.ledger.sent()));
        }
        Some(start + (u128::from(self.ledger.sent()) * 1_000_000_000 / u128::from(rate)) as u64)
    }

    /// Queues one burst of one flow; returns its number of datagrams.
    fn burst(&mut self, now: u64) -> Result<()> {
        let Departure { client, up, size } = self.departure();
        self.turn += 1;
        let Self { scenario, legs, peers, flows, ledger, server, .. } = self;
        let flow = Flows::flow(client, up);
        let mut one = |room: &mut [u8]| {
            if up {
                let id = ledger.sent();
                flows.wrap(room, client, size, id, |data| ledger.send(flow, now, data))
            } else {
                ledger.send(flow, now, &mut room[..size]);
                size
            }
        };
        let mut push = |segment, fill: &mut dyn FnMut(&mut [u8]) -> usize| {
            if up {
                legs.push(client, *server, segment, fill)
            } else {
                peers.push(client, flows.relayed[client], segment, fill)
            }
        };
        if scenario.offload {
            let wrapped = if up { flows.wrapped(size) } else { size };
            push(wrapped as u16, &mut |room| {
                (0..scenario.burst).fold(0, |end, _| end + one(&mut room[end..]))
            })
        } else {
            (0..scenario.burst).try_for_each(|_| push(0, &mut one))
        }
    }

    fn departure(&self) -> Departure {
        match (&self.schedule, self.scenario.traffic) {
            (Some(schedule), _) => schedule.departure(self.ledger.sent()),
            (None, Traffic::Mixed) => schedule::mixed(self.turn, &self.scenario),
            (None, Traffic::Even | Traffic::Frames) => {
                let (client, up) = self.flows.turn(self.turn);
                Departure { client, up, size: self.scenario.size }
            }
        }
    }

    /// Receives at clients and peers; returns the number of messages.
    fn take(&mut self) -> Result<usize> {
        let Self {
            scenario, legs, peers, flows, ledger, transactions, heard, server, clock, ..
        } = self;
        let mut stamp = None;
        let at_clients = legs.receive(*server, |client, message, genuine| {
            match flows.unwrap(client, message) {
                Held::Data { data, right } => {
                    let now = *stamp.get_or_insert_with(|| clock.now());
                    ledger.arrive(data, flows.flow_to(client), genuine && right, now);
                }
                Held::Stun if genuine => heard.extend(transactions.receive(client, message)),
                Held::Stun | Held::Broken => ledger.corrupt(),
            }
        })?;
        let at_peers = peers.receive()?;
        let now = if at_peers > 0 { clock.now() } else { 0 };
        let is_echo = scenario.direction == Direction::Echo;
        peers.each(at_peers, |client, source, data| {
            let (flow, genuine) = (Flows::flow(client, true), source == flows.relayed[client]);
            if is_echo {
                return ledger.passes(data, flow, genuine);
            }
            ledger.arrive(data, flow, genuine, now);
            false
        })?;
        Ok(at_clients + at_peers)
    }
}

/// How long nothing has arrived, as far as this program looked: while it, or the machine, does not
/// run, datagrams can wait unseen.
struct Silence {
    looked: u64,
    lasted: u64,
}

impl Silence {
    /// Maximum time in nanoseconds that one look without a result counts. An idle load looks each
    /// millisecond.
    const LOOK: u64 = 10_000_000;

    fn since(now: u64) -> Self {
        Self { looked: now, lasted: 0 }
    }

    /// Counts a look without a result.
    fn at(&mut self, now: u64) -> u64 {
        self.lasted += now.saturating_sub(self.looked).min(Self::LOOK);
        self.looked = now;
        self.lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_could_not_look_has_not_waited() {
        let mut silence = Silence::since(5_000_000);
        assert_eq!(silence.at(6_000_000), 1_000_000);
        // The load did not run for a second.
        assert_eq!(silence.at(1_006_000_000), 11_000_000);
        let looks = (1..=400).map(|look| 1_006_000_000 + look * 1_000_000);
        assert_eq!(looks.map(|now| silence.at(now)).last(), Some(411_000_000));
    }
}
