use std::time::Duration;

use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ErrorCode, Message};

use super::allocation::{Allocation, read_allocated, read_lifetime};
use super::ask::{AllocateAsk, TurnAsk};
use super::client::{State, TurnClient};
use super::event::{Event, Loss};
use crate::failure::Failure;

/// What the answers mean for the allocation.
impl TurnClient {
    /// A success response (RFC 8656 §7.3, §8.3, §10.3, §12.3).
    pub(super) fn succeeded(&mut self, now: Duration, ask: &TurnAsk, message: &Message<'_>) {
        match *ask {
            TurnAsk::Allocate(wanted) => self.allocate_succeeded(now, ask, &wanted, message),
            TurnAsk::DELETE => self.deleted(),
            TurnAsk::Refresh { lifetime: Some(0), family: Some(family) } => {
                self.family_deleted(family);
            }
            TurnAsk::Refresh { .. } => match (read_lifetime(message), &mut self.state) {
                (Some(lifetime), State::Allocated(allocation)) if !lifetime.is_zero() => {
                    allocation.extend(lifetime, now);
                    self.events.push_back(Event::Refreshed { lifetime });
                }
                (Some(_), _) => self.lose(Loss::Expired),
                (None, _) => self.fail(ask, Failure::Malformed),
            },
            // The relayed address may be gone since: see `release_family`.
            TurnAsk::CreatePermission { peer } if self.check_family(peer).is_err() => {}
            TurnAsk::ChannelBind { peer, .. } if self.check_family(peer.ip()).is_err() => {}
            TurnAsk::CreatePermission { peer } => {
                if self.permissions.installed(peer, now) {
                    self.events.push_back(Event::PermissionInstalled { peer });
                }
            }
            TurnAsk::ChannelBind { number, peer } => {
                self.permissions.installed(peer.ip(), now);
                if self.channels.bound(number, now) {
                    self.events.push_back(Event::ChannelBound { peer, number });
                }
            }
        }
    }

    /// A request that was refused or not answered.
    pub(super) fn failed(&mut self, now: Duration, ask: &TurnAsk, failure: Failure) {
        let mismatch = matches!(&failure, Failure::Refused(refusal) if refusal.code == ErrorCode::ALLOCATION_MISMATCH);
        // What exists is kept alive by asking again until it expires, if silence was the answer; a
        // refusal is final.
        let silence =
            matches!(failure, Failure::TimedOut | Failure::IntegrityViolated | Failure::Transport);
        let again = silence.then(|| now + self.config.timing.rto);
        match *ask {
            TurnAsk::Allocate(_) if matches!(self.state, State::Allocating { closing: true }) => {
                self.state = State::Idle;
                return self.events.push_back(Event::Closed);
            }
            TurnAsk::Allocate(_) => self.state = State::Idle,
            // "the allocation no longer exists and it should consider its request as having
            // effectively succeeded" (RFC 8656 §8.3). What was not answered expires at
            // the server by itself.
            TurnAsk::DELETE => return self.deleted(),
            _ if mismatch => {
                self.fail(ask, failure);
                return self.lose(Loss::Mismatch);
            }
            // The other family is refreshed and deleted by itself.
            TurnAsk::Refresh { family: Some(_), .. } => {}
            TurnAsk::Refresh { .. } => {
                if let State::Allocated(allocation) = &mut self.state {
                    allocation.refresh = again;
                }
            }
            TurnAsk::CreatePermission { peer } => self.permissions.failed(peer, again),
            TurnAsk::ChannelBind { number, .. } => self.channels.failed(number, now, again),
        }
        self.fail(ask, failure);
    }

    fn allocate_succeeded(
        &mut self,
        now: Duration,
        ask: &TurnAsk,
        wanted: &AllocateAsk,
        message: &Message<'_>,
    ) {
        if matches!(self.state, State::Allocating { closing: true }) {
            self.state = State::Deleting { announced: true };
            return self.request(now, TurnAsk::DELETE);
        }
        match read_allocated(message, wanted) {
            Some(allocated) => {
                self.state = State::Allocated(Allocation::new(allocated, now));
                self.events.push_back(Event::Allocated(allocated));
            }
            // "the client MUST delete the allocation (Section 8) and MUST NOT attempt to create
            // another allocation on that server until it believes the mismatch has been
            // fixed" (RFC 8656 §7.3).
            None => {
                self.fail(ask, Failure::Malformed);
                self.state = State::Deleting { announced: false };
                self.request(now, TurnAsk::DELETE);
            }
        }
    }

    /// "Deleting a single allocation destroys any permissions or channels associated with that
    /// particular allocation; it MUST NOT affect any permissions or channels associated with
    /// allocations for the other address family" (RFC 8656 §8.1).
    fn family_deleted(&mut self, family: AddressFamily) {
        let State::Allocated(allocation) = &mut self.state else { return };
        if allocation.release(family) {
            self.permissions.release(family);
            self.channels.release_family(family);
            self.events.push_back(Event::FamilyReleased { family });
        }
    }

    fn deleted(&mut self) {
        if let State::Deleting { announced } = self.state {
            self.state = State::Idle;
            if announced {
                self.events.push_back(Event::Closed);
            }
        }
    }
}
