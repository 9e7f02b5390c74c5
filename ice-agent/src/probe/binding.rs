//! One Binding request over an open connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_client::{Binding, BindingRequest, StunClient, StunConfig, Timing};
use causeway_wire::Transport;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::error::ProbeError;
use crate::transport::connection::Connection;

/// Sends one Binding request, retransmitted as `timing` says, and waits for the response.
///
/// # Errors
/// The server refused the request or did not answer, or the socket failed.
pub async fn binding(
    connection: &mut Connection,
    server: SocketAddr,
    transport: Transport,
    timing: Timing,
) -> Result<Binding, ProbeError> {
    let config = StunConfig { transport, timing, ..StunConfig::default() };
    let mut client = StunClient::new(config, StdRng::from_rng(&mut rand::rng()));
    let start = Instant::now();
    client.bind(Duration::ZERO, server, BindingRequest::default());
    loop {
        while let Some(transmit) = client.poll_transmit() {
            connection.send(&transmit.payload).await?;
        }
        if let Some(event) = client.poll_event() {
            return Ok(event.outcome?);
        }
        let due = client.poll_timeout().unwrap_or_else(|| start.elapsed());
        tokio::select! {
            received = connection.receive() => {
                let _ = client.handle_input(start.elapsed(), server, &received?);
            }
            () = tokio::time::sleep_until((start + due).into()) => client.handle_timeout(start.elapsed()),
        }
    }
}
