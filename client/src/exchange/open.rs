//! An open request: its bytes, its transaction and the state of its attempts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_wire::attribute::Software;
use causeway_wire::{Class, EncodeError, Message, MessageWriter, Method, TransactionId};

use super::{Challenge, Settings};
use crate::failure::Failure;
use crate::timing::Timing;
use crate::transaction::Transaction;

/// Number of bytes that are enough for every attribute of the longest credentials (RFC 8489 §14.3,
/// §14.9, §14.10) and a request's own.
const USUAL_SIZE: usize = 4096;

/// The content of a request: enough to write it again, with another transaction id and other
/// credentials.
pub(crate) trait Request {
    /// The method of the message.
    fn method(&self) -> Method;

    /// Writes the attributes, without those of the credential mechanism.
    fn write(&self, writer: &mut MessageWriter<'_>) -> Result<(), EncodeError>;

    /// Number of bytes that the attributes may need beyond the usual size.
    fn size(&self) -> usize {
        0
    }

    /// Whether the response may come from another address than the request's destination (RFC 5780
    /// §4.4).
    fn answered_from_elsewhere(&self) -> bool {
        false
    }
}

/// A request that waits for its response.
#[derive(Debug)]
pub(crate) struct Open<A> {
    pub(crate) request: A,
    pub(crate) destination: SocketAddr,
    pub(crate) transaction: Transaction,
    timing: Timing,
    /// Whether it has been sent.
    pub(crate) begun: bool,
    pub(crate) bytes: Vec<u8>,
    /// The challenge that it was authenticated with.
    pub(crate) challenge: Option<Arc<Challenge>>,
    pub(crate) challenges: u32,
    pub(crate) server_errors: u32,
    /// Whether a response was discarded because its integrity was missing or wrong.
    pub(crate) violated: bool,
}

impl<A: Request> Open<A> {
    pub(crate) fn new(
        request: A,
        destination: SocketAddr,
        transaction: Transaction,
        challenge: Option<Arc<Challenge>>,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let bytes = write(&request, transaction.id(), challenge.as_deref(), settings)
            .map_err(|_| Failure::TooLong)?;
        let timing = transaction.timing();
        Ok(Self {
            request,
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

    /// Starts again at `start`, with another transaction.
    pub(crate) fn again(
        &mut self,
        id: TransactionId,
        start: Duration,
        challenge: Option<Arc<Challenge>>,
        settings: &Settings,
    ) -> Result<(), Failure> {
        self.bytes = write(&self.request, id, challenge.as_deref(), settings)
            .map_err(|_| Failure::TooLong)?;
        self.challenge = challenge;
        self.transaction = Transaction::new(id, settings.transport, self.timing, start);
        Ok(())
    }

    /// Whether the message is its response: the same transaction and method, from the request's
    /// destination.
    pub(crate) fn awaits(&self, source: SocketAddr, message: &Message<'_>) -> bool {
        message.transaction_id() == self.transaction.id()
            && message.method() == self.request.method()
            && (source == self.destination || self.request.answered_from_elsewhere())
    }
}

fn write<A: Request>(
    request: &A,
    id: TransactionId,
    challenge: Option<&Challenge>,
    settings: &Settings,
) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = vec![0; USUAL_SIZE + request.size()];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, request.method(), id)?;
    if let Some(software) = &settings.software {
        writer.put(&Software(software))?;
    }
    request.write(&mut writer)?;
    if let (Some(challenge), Some(credentials)) = (challenge, &settings.credentials) {
        challenge.write(credentials, &mut writer)?;
    }
    if settings.fingerprint {
        writer.fingerprint()?;
    }
    let len = writer.finish();
    buffer.truncate(len);
    buffer.shrink_to_fit();
    Ok(buffer)
}
