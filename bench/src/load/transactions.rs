//! The open requests of all clients: retransmitted when they are lost, authenticated when they are
//! challenged.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Result, bail};
use causeway_wire::attribute::{ErrorCodeAttribute, XorMappedAddress, XorRelayedAddress};
use causeway_wire::{Class, Message};

use crate::load::credentials::Credentials;
use crate::load::legs::Legs;
use crate::load::request::Request;

/// Nanoseconds after which an unanswered request is sent again.
const AGAIN: u64 = 500_000_000;
/// Maximum number of times that a request is sent.
const TRIES: u8 = 7;

/// The open requests: at most one of each client, sent again when it is lost, with new credentials
/// when it is challenged.
pub(crate) struct Transactions {
    server: SocketAddr,
    pub(crate) credentials: Credentials,
    /// The address at which the server must see each client.
    addresses: Vec<SocketAddr>,
    pending: Vec<Option<Pending>>,
    /// The requests in the order in which they were sent; answered ones stay until they are due.
    sent: VecDeque<(usize, u64, u64)>,
    serial: u64,
    again: Vec<usize>,
    under_way: usize,
}

#[derive(Clone, Copy)]
struct Pending {
    request: Request,
    serial: u64,
    tries: u8,
    challenges: u8,
}

/// The server's answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The expected challenge.
    Challenged,
    /// Success, with this relayed address.
    Allocated(SocketAddr),
    /// Success without a relayed address.
    Done,
    /// An error response with this code.
    Refused(u16),
    /// A success response that lacks an attribute, or is not signed with the key.
    Wrong,
}

/// The answer to an open request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) client: usize,
    pub(crate) request: Request,
    pub(crate) answer: Answer,
}

impl Transactions {
    pub(crate) fn new(
        server: SocketAddr,
        credentials: Credentials,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        let pending = vec![None; addresses.len()];
        Self {
            server,
            credentials,
            addresses,
            pending,
            sent: VecDeque::new(),
            serial: 0,
            again: Vec::new(),
            under_way: 0,
        }
    }

    /// Number of requests without an answer.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(crate) fn is_busy(&self, client: usize) -> bool {
        self.pending[client].is_some()
    }

    /// Sends a request; the client must have no open one.
    pub(crate) fn request(
        &mut self,
        legs: &mut Legs,
        client: usize,
        request: Request,
        now: u64,
    ) -> Result<()> {
        debug_assert!(!self.is_busy(client), "one request of a client at a time");
        self.pending[client] = Some(Pending { request, serial: 0, tries: 0, challenges: 0 });
        self.under_way += 1;
        self.send(legs, client, true, now)
    }

    /// Sends the request with a new transaction id, or as before.
    fn send(&mut self, legs: &mut Legs, client: usize, is_new: bool, now: u64) -> Result<()> {
        let Some(pending) = &mut self.pending[client] else { return Ok(()) };
        if is_new {
            self.serial += 1;
            (pending.serial, pending.tries) = (self.serial, 0);
        }
        pending.tries += 1;
        let (request, serial) = (pending.request, pending.serial);
        self.sent.push_back((client, serial, now));
        let mut written = Ok(0);
        legs.push(client, self.server, 0, |room| {
            written = request.write(room, transaction(client, serial), client, &self.credentials);
            *written.as_ref().unwrap_or(&0)
        })?;
        written.map(drop)
    }

    /// Processes a STUN message for `client`; returns the answer if it belongs to the open request.
    pub(crate) fn receive(&mut self, client: usize, bytes: &[u8]) -> Option<Answered> {
        let pending = self.pending[client].as_mut()?;
        let message = Message::decode(bytes).ok()?;
        if message.transaction_id().0 != transaction(client, pending.serial)
            || message.method() != pending.request.method()
        {
            return None;
        }
        let request = pending.request;
        let answer = match message.class() {
            Class::SuccessResponse => self.success(client, request, &message),
            Class::ErrorResponse => {
                let code = message
                    .attribute::<ErrorCodeAttribute<'_>>()
                    .ok()
                    .flatten()
                    .map_or(0, |error| error.code.number());
                if matches!(code, 401 | 438) && pending.challenges < 3 {
                    pending.challenges += 1;
                    let is_signed = request.is_signed();
                    match self.credentials.challenged(client, &message) {
                        Ok(()) if is_signed => {
                            self.again.push(client);
                            return None;
                        }
                        Ok(()) => Answer::Challenged,
                        Err(_) => Answer::Wrong,
                    }
                } else {
                    Answer::Refused(code)
                }
            }
            Class::Request | Class::Indication => return None,
        };
        self.pending[client] = None;
        self.under_way -= 1;
        Some(Answered { client, request, answer })
    }

    fn success(&self, client: usize, request: Request, message: &Message<'_>) -> Answer {
        let seen_at = self.addresses[client];
        let is_signed = !request.is_signed()
            || self.credentials.key.as_ref().is_some_and(|key| message.verify_integrity(key));
        let mapped = message.attribute::<XorMappedAddress>().ok().flatten();
        let relayed = message.attribute::<XorRelayedAddress>().ok().flatten();
        match request {
            _ if !is_signed => Answer::Wrong,
            Request::Binding if mapped == Some(XorMappedAddress(seen_at)) => Answer::Done,
            Request::Allocate if mapped == Some(XorMappedAddress(seen_at)) => {
                relayed.map_or(Answer::Wrong, |relayed| Answer::Allocated(relayed.0))
            }
            Request::Binding | Request::Allocate | Request::Challenge => Answer::Wrong,
            Request::Bind { .. } | Request::Permit { .. } | Request::Refresh { .. } => Answer::Done,
        }
    }

    /// Sends requests again: after a challenge at once, without an answer after a while.
    pub(crate) fn retransmit(&mut self, legs: &mut Legs, now: u64) -> Result<()> {
        while let Some(client) = self.again.pop() {
            self.send(legs, client, true, now)?;
        }
        while let Some(&(client, serial, sent)) = self.sent.front() {
            let waits = self.pending[client].filter(|pending| pending.serial == serial);
            if waits.is_some() && now < sent + AGAIN {
                break;
            }
            self.sent.pop_front();
            let Some(pending) = waits else { continue };
            if pending.tries >= TRIES {
                bail!("{:?} of client {client}: no answer", pending.request.method());
            }
            if legs.is_lossy() {
                self.send(legs, client, false, now)?;
            } else {
                self.sent.push_back((client, serial, now));
                if let Some(pending) = &mut self.pending[client] {
                    pending.tries += 1;
                }
            }
        }
        Ok(())
    }
}

/// The transaction id includes the client's number.
fn transaction(client: usize, serial: u64) -> [u8; 12] {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&(client as u32).to_be_bytes());
    id[4..].copy_from_slice(&serial.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id
}
