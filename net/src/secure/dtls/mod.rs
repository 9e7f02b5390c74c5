//! DTLS over datagrams.

use std::error::Error;
use std::time::Instant;

use super::Offer;
use super::thread::{Outgoing, Protocol};

/// From a worker.
pub(crate) enum Letter {}

/// To a worker.
pub(crate) enum Answer {}

/// What new associations are offered.
pub(super) struct Offered;

impl Offered {
    pub(super) fn new(_: &Offer) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }
}

/// The handshakes under way.
#[derive(Default)]
pub(super) struct Handshakes;

impl Protocol for Handshakes {
    type Letter = Letter;

    fn letter(&mut self, _: Instant, _: usize, letter: Letter, _: &mut Outgoing<'_>) {
        match letter {}
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn timeout(&mut self, _: Instant, _: &mut Outgoing<'_>) {}
}
