use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_wire::attribute::Software;
use causeway_wire::{Class, EncodeError, Message, MessageWriter, TransactionId};

use super::{Ask, Challenge, Manner};
use crate::failure::Failure;
use crate::timing::Timing;
use crate::transaction::Transaction;

/// Enough for every attribute of the longest credentials (RFC 8489 §14.3, §14.9, §14.10) and a
/// request's own.
const USUAL_SIZE: usize = 4096;

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Open<A> {
    pub(crate) ask: A,
    pub(crate) destination: SocketAddr,
    pub(crate) transaction: Transaction,
    timing: Timing,
    /// It has been sent.
    pub(crate) begun: bool,
    pub(crate) bytes: Vec<u8>,
    /// What it was authenticated with.
    pub(crate) challenge: Option<Arc<Challenge>>,
    pub(crate) challenges: u32,
    pub(crate) server_errors: u32,
    /// An answer has been discarded because its integrity was missing or wrong.
    pub(crate) violated: bool,
}

impl<A: Ask> Open<A> {
    pub(crate) fn new(
        ask: A,
        destination: SocketAddr,
        transaction: Transaction,
        challenge: Option<Arc<Challenge>>,
        manner: &Manner,
    ) -> Result<Self, Failure> {
        let bytes = write(&ask, transaction.id(), challenge.as_deref(), manner)
            .map_err(|_| Failure::TooLong)?;
        let timing = transaction.timing();
        Ok(Self {
            ask,
            destination,
            transaction,
            timing,
            begun: false,
            bytes,
            challenge,
            challenges: 0,
            server_errors: 0,
            violated: false,
        })
    }

    /// Begins again at `start`, with another transaction.
    pub(crate) fn again(
        &mut self,
        id: TransactionId,
        start: Duration,
        challenge: Option<Arc<Challenge>>,
        manner: &Manner,
    ) -> Result<(), Failure> {
        self.bytes =
            write(&self.ask, id, challenge.as_deref(), manner).map_err(|_| Failure::TooLong)?;
        self.challenge = challenge;
        self.transaction = Transaction::new(id, manner.transport, self.timing, start);
        Ok(())
    }

    /// Whether this is its answer: same transaction and method, from where it was sent to.
    pub(crate) fn awaits(&self, source: SocketAddr, message: &Message<'_>) -> bool {
        message.transaction_id() == self.transaction.id()
            && message.method() == self.ask.method()
            && (source == self.destination || self.ask.answered_from_elsewhere())
    }
}

fn write<A: Ask>(
    ask: &A,
    id: TransactionId,
    challenge: Option<&Challenge>,
    manner: &Manner,
) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = vec![0; USUAL_SIZE + ask.size()];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, ask.method(), id)?;
    if let Some(software) = &manner.software {
        writer.put(&Software(software))?;
    }
    ask.write(&mut writer)?;
    if let (Some(challenge), Some(credentials)) = (challenge, &manner.credentials) {
        challenge.write(credentials, &mut writer)?;
    }
    if manner.fingerprint {
        writer.fingerprint()?;
    }
    let len = writer.finish();
    buffer.truncate(len);
    buffer.shrink_to_fit();
    Ok(buffer)
}
