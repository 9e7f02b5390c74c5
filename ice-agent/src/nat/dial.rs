//! Whether a server answers over TCP at all, on a path that may lose packets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_client::{Failure, Timing};
use tokio::net::TcpStream;

use crate::check::{StepError, binding};
use crate::net::leg::Leg;
use crate::net::persist::persist;
use crate::net::target::Transport;

/// How one request over a stream is waited for.
pub(super) fn timing(timeout: Duration) -> Timing {
    Timing { reliable: timeout, ..Timing::default() }
}

/// Whether a Binding request over some connection is answered within the time. An error response,
/// too, is an answer.
pub(super) async fn answers(server: SocketAddr, timeout: Duration) -> bool {
    let attempt = || async move {
        let silent = |_| StepError::Socket(io::ErrorKind::TimedOut.into());
        let asking = async {
            let mut leg = Leg::over(TcpStream::connect(server).await?)?;
            binding(&mut leg, server, Transport::Tcp, timing(timeout)).await
        };
        tokio::time::timeout(timeout, asking).await.map_err(silent)?
    };
    match persist(timeout, is_silence, attempt).await {
        Ok(_) | Err(StepError::Failed(Failure::Refused(_))) => true,
        Err(_) => false,
    }
}

/// Whether nothing came, as opposed to an error that was sent.
pub(super) fn is_silence(error: &StepError) -> bool {
    match error {
        StepError::Socket(error) => error.kind() == io::ErrorKind::TimedOut,
        StepError::Failed(failure) => *failure == Failure::TimedOut,
        _ => false,
    }
}
