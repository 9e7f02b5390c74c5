use anyhow::{Context, Result, bail, ensure};

use crate::load::dialogue::{Answer, Answered};
use crate::load::flows::{Flows, Held, Wrapping, partner};
use crate::load::request::Request;
use crate::load::{Direction, Fleet, Operation};

/// So many requests are under way at a time while the fleet is set up: no server's buffer is too
/// small for them.
const UNDER_WAY: usize = 64;
/// Nanoseconds after which allocations, permissions and channels are renewed: a permission lives
/// 300 s (RFC 8656 §9).
const RENEWAL: u64 = 120_000_000_000;
/// What the clients ask for, in seconds.
pub(super) const LIFETIME: u32 = 600;

impl Fleet {
    pub(super) fn set_up(&mut self) -> Result<()> {
        if self.is_floor {
            return self.bind_floor();
        }
        let count = self.scenario.allocations;
        if self.scenario.operation != Operation::Binding {
            self.converse(std::iter::once((0, Request::Challenge)), |_, answered| {
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
        self.converse(binds.into_iter(), |_, answered| done(&answered))
    }

    /// Asks these Allocate requests, and notes the relayed addresses.
    pub(super) fn allocate(
        &mut self,
        requests: impl Iterator<Item = (usize, Request)>,
    ) -> Result<()> {
        self.converse(requests, |fleet, answered| {
            let Answer::Allocated(relayed) = answered.answer else {
                bail!("Allocate: {:?}", answered.answer)
            };
            fleet.flows.relayed[answered.client] = relayed;
            Ok(())
        })
    }

    /// Whether clients hold allocations from the first to the last.
    pub(super) fn has_allocations(&self) -> bool {
        !self.is_floor
            && !matches!(self.scenario.operation, Operation::Binding | Operation::Allocate)
    }

    /// What opens a client's way to its peer.
    fn way(&self, client: usize) -> Request {
        let peer = self.flows.peers[client];
        match self.flows.wrapping {
            Wrapping::Indication => Request::Permit { peer },
            Wrapping::Channel | Wrapping::Floor => {
                Request::Bind { channel: Flows::channel(client).number(), peer }
            }
        }
    }

    /// Asks all of it, in order, and gives each answer to `each`.
    pub(super) fn converse(
        &mut self,
        mut requests: impl Iterator<Item = (usize, Request)>,
        mut each: impl FnMut(&mut Self, Answered) -> Result<()>,
    ) -> Result<()> {
        let mut more = true;
        while more || self.dialogue.under_way() > 0 {
            let now = self.clock.now();
            while more && self.dialogue.under_way() < UNDER_WAY {
                match requests.next() {
                    Some((client, request)) => {
                        self.dialogue.ask(&mut self.legs, client, request, now)?;
                    }
                    None => more = false,
                }
            }
            self.dialogue.tend(&mut self.legs, now)?;
            self.legs.flush()?;
            if self.hear()? > 0 {
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

    /// Takes what came to the clients while nothing is relayed: answers.
    pub(super) fn hear(&mut self) -> Result<usize> {
        let Self { legs, dialogue, heard, flows, server, .. } = self;
        legs.receive(*server, |client, message, genuine| {
            if genuine && flows.unwrap(client, message) == Held::Stun {
                heard.extend(dialogue.hear(client, message));
            }
        })
    }

    /// Before a run: renews all that is not young any more.
    pub(super) fn renew_if_old(&mut self) -> Result<()> {
        if !self.has_allocations() || self.clock.now() < self.renewed + RENEWAL {
            return Ok(());
        }
        self.renewing = None;
        let requests: Vec<_> =
            (0..2 * self.scenario.allocations).map(|step| self.renewal(step)).collect();
        self.converse(requests.into_iter(), |_, answered| done(&answered)).context("renewal")?;
        self.renewed = self.clock.now();
        Ok(())
    }

    /// In a run: asks the next renewals, if it is time for them, a few at once.
    pub(super) fn renew(&mut self, now: u64) -> Result<()> {
        if self.renewing.is_none() && (!self.has_allocations() || now < self.renewed + RENEWAL) {
            return Ok(());
        }
        let mut step = self.renewing.unwrap_or(0);
        let all = 2 * self.scenario.allocations;
        while step < all && self.dialogue.under_way() < UNDER_WAY / 4 {
            let (client, request) = self.renewal(step);
            if self.dialogue.is_busy(client) {
                break;
            }
            self.dialogue.ask(&mut self.legs, client, request, now)?;
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
        // One that measures channels has no other way, and keeps its own; one that measures
        // releases has none.
        let is_lifetime = step < count
            || matches!(self.scenario.operation, Operation::ChannelBind | Operation::Release);
        (
            client,
            if is_lifetime { Request::Refresh { lifetime: LIFETIME } } else { self.way(client) },
        )
    }

    pub(super) fn release(&mut self) -> Result<()> {
        if !self.has_allocations() || !self.dialogue.credentials.is_known() {
            return Ok(());
        }
        let own: Vec<usize> = (0..self.scenario.allocations)
            .filter(|client| !self.dialogue.is_busy(*client))
            .collect();
        let deadline = self.clock.now() + 3_000_000_000;
        self.converse(
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
