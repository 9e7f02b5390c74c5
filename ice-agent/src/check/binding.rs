//! One Binding request over an open leg.

use std::net::SocketAddr;
use std::time::Instant;

use causeway_client::{Binding, BindingRequest, StunClient, StunConfig, Timing};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::step::StepError;
use crate::net::leg::Leg;
use crate::net::target::Transport;

/// Asks once, repeated as `timing` says.
///
/// # Errors
/// What came instead of a success response.
pub async fn binding(
    leg: &mut Leg,
    server: SocketAddr,
    transport: Transport,
    timing: Timing,
) -> Result<Binding, StepError> {
    let config = StunConfig { transport: transport.for_client(), timing, ..StunConfig::default() };
    let mut client = StunClient::new(config, StdRng::from_rng(&mut rand::rng()));
    client.bind(Instant::now(), server, BindingRequest::default());
    loop {
        while let Some(transmit) = client.poll_transmit() {
            leg.send(&transmit.payload).await?;
        }
        if let Some(event) = client.poll_event() {
            return Ok(event.outcome?);
        }
        let due = client.poll_timeout().unwrap_or_else(Instant::now);
        tokio::select! {
            received = leg.receive() => drop(client.handle_input(Instant::now(), server, &received?)),
            () = tokio::time::sleep_until(due.into()) => client.handle_timeout(Instant::now()),
        }
    }
}
