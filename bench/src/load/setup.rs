//! The fleet's setup: allocations, permissions, channels, and their renewal.

use anyhow::{Context, Result, bail, ensure};

use crate::load::flows::{Flows, Held, Wrapping, partner};
use crate::load::request::{LIFETIME, Request};
use crate::load::transactions::{Answer, Answered};
use crate::load::{Direction, Fleet, Operation};

/// Number of requests under way during setup: every server's buffer is large enough for them.
const UNDER_WAY: usize = 64;
/// Nanoseconds after which allocations, permissions and channels are renewed: a permission lives
/// 300 s (RFC 8656 §9).
const RENEWAL: u64 = 120_000_000_000;

impl Fleet {
    pub(super) fn set_up(&mut self) -> Result<()> {
        if self.is_floor {
            return self.bind_floor();
        }
        let count = self.scenario.allocations;
        if self.scenario.operation != Operation::Binding {
            self.send_all(std::iter::once((0, Request::Challenge)), |_, answered| {
                ensure!(
                    answered.answer == Answer::Challenged,
                    "asked for a challenge: {:?}",
                    answered.answer
                );
                Ok(())
            })?;
        }
        if !self.has_allocations() {
            return Ok(());
        }
        self.allocate((0..count).map(|client| (client, Request::Allocate)))?;
        self.renewed = self.clock.now();
        if self.scenario.direction == Direction::Relay {
            for client in 0..count {
                self.flows.peers[client] = self.flows.relayed[partner(client)];
            }
        }
        if matches!(self.scenario.operation, Operation::ChannelBind | Operation::Release) {
            return Ok(());
        }
        let binds: Vec<_> = (0..count).map(|client| (client, self.way(client))).collect();
        self.send_all(binds.into_iter(), |_, answered| done(&answered))
    }

    /// Sends these Allocate requests and stores the relayed addresses.
    pub(super) fn allocate(
        &mut self,
        requests: impl Iterator<Item = (usize, Request)>,
    ) -> Result<()> {
        self.send_all(requests, |fleet, answered| {
            let Answer::Allocated(relayed) = answered.answer else {
                bail!("Allocate: {:?}", answered.answer)
            };
            fleet.flows.relayed[answered.client] = relayed;
            Ok(())
        })
    }

    /// Whether the clients have allocations from start to end.
    pub(super) fn has_allocations(&self) -> bool {
        !self.is_floor
            && !matches!(self.scenario.operation, Operation::Binding | Operation::Allocate)
    }

    /// The request that lets a client reach its peer.
    fn way(&self, client: usize) -> Request {
        let peer = self.flows.peers[client];
        match self.flows.wrapping {
            Wrapping::Indication => Request::Permit { peer },
            Wrapping::Channel | Wrapping::Floor => {
                Request::Bind { channel: Flows::channel(client).number(), peer }
            }
        }
    }

    /// Sends all of these requests in order and passes each answer to `each`.
    pub(super) fn send_all(
        &mut self,
        mut requests: impl Iterator<Item = (usize, Request)>,
        mut each: impl FnMut(&mut Self, Answered) -> Result<()>,
    ) -> Result<()> {
        let mut more = true;
        while more || self.transactions.under_way() > 0 {
            let now = self.clock.now();
            while more && self.transactions.under_way() < UNDER_WAY {
                match requests.next() {
                    Some((client, request)) => {
                        self.transactions.request(&mut self.legs, client, request, now)?;
                    }
                    None => more = false,
                }
            }
            self.transactions.retransmit(&mut self.legs, now)?;
            self.legs.flush()?;
            if self.receive_answers()? > 0 {
                self.idle.busy();
            } else {
                self.idle.wait(self.clock, None, [self.legs.fd(), self.peers.fd()])?;
            }
            for answered in std::mem::take(&mut self.heard) {
                each(self, answered)?;
            }
        }
        Ok(())
    }

    /// Receives answers while nothing is relayed.
    pub(super) fn receive_answers(&mut self) -> Result<usize> {
        let Self { legs, transactions, heard, flows, server, .. } = self;
        legs.receive(*server, |client, message, genuine| {
            if genuine && flows.unwrap(client, message) == Held::Stun {
                heard.extend(transactions.receive(client, message));
            }
        })
    }

    /// Before a run: renews everything that is old.
    pub(super) fn renew_if_old(&mut self) -> Result<()> {
        if !self.has_allocations() || self.clock.now() < self.renewed + RENEWAL {
            return Ok(());
        }
        self.renewing = None;
        let requests: Vec<_> =
            (0..2 * self.scenario.allocations).map(|step| self.renewal(step)).collect();
        self.send_all(requests.into_iter(), |_, answered| done(&answered)).context("renewal")?;
        self.renewed = self.clock.now();
        Ok(())
    }

    /// In a run: sends the next renewals, a few at once, if they are due.
    pub(super) fn renew(&mut self, now: u64) -> Result<()> {
        if self.renewing.is_none() && (!self.has_allocations() || now < self.renewed + RENEWAL) {
            return Ok(());
        }
        let mut step = self.renewing.unwrap_or(0);
        let all = 2 * self.scenario.allocations;
        while step < all && self.transactions.under_way() < UNDER_WAY / 4 {
            let (client, request) = self.renewal(step);
            if self.transactions.is_busy(client) {
                break;
            }
            self.transactions.request(&mut self.legs, client, request, now)?;
            step += 1;
        }
        self.renewing = (step < all).then_some(step);
        if self.renewing.is_none() {
            self.renewed = now;
        }
        Ok(())
    }

    fn renewal(&self, step: usize) -> (usize, Request) {
        let count = self.scenario.allocations;
        let client = step % count;
        // A client that measures channels keeps its own and needs no other; one that measures
        // releases has none.
        let is_lifetime = step < count
            || matches!(self.scenario.operation, Operation::ChannelBind | Operation::Release);
        (
            client,
            if is_lifetime { Request::Refresh { lifetime: LIFETIME } } else { self.way(client) },
        )
    }

    pub(super) fn release(&mut self) -> Result<()> {
        if !self.has_allocations() || !self.transactions.credentials.is_known() {
            return Ok(());
        }
        let own: Vec<usize> = (0..self.scenario.allocations)
            .filter(|client| !self.transactions.is_busy(*client))
            .collect();
        let deadline = self.clock.now() + 3_000_000_000;
        self.send_all(
            own.into_iter().map(|client| (client, Request::Refresh { lifetime: 0 })),
            |fleet, _| {
                ensure!(
                    fleet.clock.now() < deadline,
                    "the server is too slow to be told that this is the end"
                );
                Ok(())
            },
        )
    }
}

pub(super) fn done(answered: &Answered) -> Result<()> {
    ensure!(answered.answer == Answer::Done, "{:?}: {:?}", answered.request, answered.answer);
    Ok(())
}
