use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Result, bail};
use causeway_wire::attribute::{ErrorCodeAttribute, XorMappedAddress, XorRelayedAddress};
use causeway_wire::{Class, Message};

use crate::load::credentials::Credentials;
use crate::load::legs::Legs;
use crate::load::request::Request;

/// Nanoseconds after which a request that nobody answered is sent again.
const AGAIN: u64 = 500_000_000;
/// A request is sent so often.
const TRIES: u8 = 7;

/// The clients' requests: one of each client at a time, sent again when they are lost, with new
/// credentials when they are challenged.
pub(crate) struct Dialogue {
    server: SocketAddr,
    pub(crate) credentials: Credentials,
    /// Where the server must see each client.
    addresses: Vec<SocketAddr>,
    pending: Vec<Option<Pending>>,
    /// In the order in which they were sent; those that were answered stay until their turn.
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

/// How the server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The challenge that was wanted.
    Challenged,
    /// With this relayed address.
    Allocated(SocketAddr),
    /// It was done.
    Done,
    /// It was refused, with this code.
    Refused(u16),
    /// A success that does not say what it must, or is not signed with the key.
    Wrong,
}

/// An answer to what was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) client: usize,
    pub(crate) request: Request,
    pub(crate) answer: Answer,
}

impl Dialogue {
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

    /// Requests without an answer yet.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(crate) fn is_busy(&self, client: usize) -> bool {
        self.pending[client].is_some()
    }

    /// Asks; the client must not be busy.
    pub(crate) fn ask(
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

    /// With a new transaction, or the same once more.
    fn send(&mut self, legs: &mut Legs, client: usize, anew: bool, now: u64) -> Result<()> {
        let Some(pending) = &mut self.pending[client] else { return Ok(()) };
        if anew {
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

    /// Reads a STUN message that came to `client`; what it answers, if it is an answer to what is
    /// asked.
    pub(crate) fn hear(&mut self, client: usize, bytes: &[u8]) -> Option<Answered> {
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

    /// Sends what must be sent again: to those that were challenged at once, to those that nobody
    /// answered after a while.
    pub(crate) fn tend(&mut self, legs: &mut Legs, now: u64) -> Result<()> {
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

/// A transaction id says whose it is, too.
fn transaction(client: usize, serial: u64) -> [u8; 12] {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&(client as u32).to_be_bytes());
    id[4..].copy_from_slice(&serial.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id
}
