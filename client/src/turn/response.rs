//! How the end of a request, with or without an answer, changes the allocation.

use std::time::Duration;

use causeway_wire::attribute::AddressFamily;
use causeway_wire::{ErrorCode, Message};

use super::allocation::{Allocation, read_allocated, read_lifetime};
use super::client::{State, TurnClient};
use super::event::{Event, Loss};
use super::request::{AllocateRequest, TurnRequest};
use crate::failure::Failure;

/// The effects of responses on the allocation.
impl TurnClient {
    /// Applies a success response (RFC 8656 §7.3, §8.3, §10.3, §12.3).
    pub(super) fn succeeded(
        &mut self,
        now: Duration,
        request: &TurnRequest,
        message: &Message<'_>,
    ) {
        match *request {
            TurnRequest::Allocate(wanted) => {
                self.allocate_succeeded(now, request, &wanted, message);
            }
            TurnRequest::DELETE => self.deleted(),
            TurnRequest::Refresh { lifetime: Some(0), family: Some(family) } => {
                self.family_deleted(family);
            }
            TurnRequest::Refresh { .. } => match (read_lifetime(message), &mut self.state) {
                (Some(lifetime), State::Allocated(allocation)) if !lifetime.is_zero() => {
                    allocation.extend(lifetime, now);
                    self.events.push_back(Event::Refreshed { lifetime });
                }
                (Some(_), _) => self.lose(Loss::Expired),
                (None, _) => self.fail(request, Failure::Malformed),
            },
            // The relayed address may have been deleted since: see `release_family`.
            TurnRequest::CreatePermission { peer } if self.check_family(peer).is_err() => {}
            TurnRequest::ChannelBind { peer, .. } if self.check_family(peer.ip()).is_err() => {}
            TurnRequest::CreatePermission { peer } => {
                if self.permissions.installed(peer, now) {
                    self.events.push_back(Event::PermissionInstalled { peer });
                }
            }
            TurnRequest::ChannelBind { number, peer } => {
                self.permissions.installed(peer.ip(), now);
                if self.channels.bound(number, now) {
                    self.events.push_back(Event::ChannelBound { peer, number });
                }
            }
        }
    }

    /// Applies a refusal or the lack of an answer.
    pub(super) fn failed(&mut self, now: Duration, request: &TurnRequest, failure: Failure) {
        let mismatch = matches!(&failure, Failure::Refused(refusal)
            if refusal.code == ErrorCode::ALLOCATION_MISMATCH);
        // After silence, the client repeats the request until what it keeps alive has expired; a
        // refusal is final.
        let silence =
            matches!(failure, Failure::TimedOut | Failure::IntegrityViolated | Failure::Transport);
        let again = silence.then(|| now + self.config.timing.rto);
        match *request {
            TurnRequest::Allocate(_)
                if matches!(self.state, State::Allocating { closing: true }) =>
            {
                self.state = State::Idle;
                return self.events.push_back(Event::Closed);
            }
            TurnRequest::Allocate(_) => self.state = State::Idle,
            // "the allocation no longer exists and it should consider its request as having
            // effectively succeeded" (RFC 8656 §8.3). Without an answer, the allocation expires at
            // the server by itself.
            TurnRequest::DELETE => return self.deleted(),
            _ if mismatch => {
                self.fail(request, failure);
                return self.lose(Loss::Mismatch);
            }
            // A Refresh for one family only deletes it; the allocation is refreshed by itself.
            TurnRequest::Refresh { family: Some(_), .. } => {}
            TurnRequest::Refresh { .. } => {
                if let State::Allocated(allocation) = &mut self.state {
                    allocation.refresh = again;
                }
            }
            TurnRequest::CreatePermission { peer } => self.permissions.failed(peer, again),
            TurnRequest::ChannelBind { number, .. } => self.channels.failed(number, now, again),
        }
        self.fail(request, failure);
    }

    fn allocate_succeeded(
        &mut self,
        now: Duration,
        request: &TurnRequest,
        wanted: &AllocateRequest,
        message: &Message<'_>,
    ) {
        if matches!(self.state, State::Allocating { closing: true }) {
            self.state = State::Deleting { announced: true };
            return self.request(now, TurnRequest::DELETE);
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
                self.fail(request, Failure::Malformed);
                self.state = State::Deleting { announced: false };
                self.request(now, TurnRequest::DELETE);
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
