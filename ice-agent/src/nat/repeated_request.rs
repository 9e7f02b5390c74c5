//! A request that is sent repeatedly, and when it is due next.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_client::BindingRequest;
use tokio::time::Instant;

use super::network::Datagrams;
use super::pacer::Pacer;
use super::probe_socket::ProbeSocket;

/// A request that is repeated from one socket.
#[derive(Debug)]
pub(super) struct RepeatedRequest {
    to: SocketAddr,
    request: BindingRequest,
    due: Option<Instant>,
    has_slot: bool,
}

impl RepeatedRequest {
    /// Creates a request that is due for the first time at `first`.
    pub(super) fn new(to: SocketAddr, request: BindingRequest, first: Instant) -> Self {
        Self { to, request, due: Some(first), has_slot: false }
    }

    /// When [`send_if_due`](Self::send_if_due) has something to do; `None` if no request follows.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sends the request if it is due and the pacer allows it, and returns when. The next one
    /// follows after `interval`.
    pub(super) async fn send_if_due<S: Datagrams>(
        &mut self,
        probe: &mut ProbeSocket<S>,
        pacer: &Pacer,
        interval: Option<Duration>,
    ) -> Option<Instant> {
        let now = Instant::now();
        let due = self.due.filter(|due| *due <= now)?;
        if !self.has_slot {
            let slot = pacer.slot(now);
            if slot > now {
                (self.due, self.has_slot) = (Some(slot), true);
                return None;
            }
        }
        // The schedule keeps its steps even if one of them was late.
        let next = interval.map(|interval| (due + interval).max(now));
        (self.due, self.has_slot) = (next, false);
        probe.ask(now, self.to, self.request).await;
        Some(now)
    }
}
