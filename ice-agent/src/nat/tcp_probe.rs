//! Whether a server answers over TCP, on a path that may lose packets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_client::{Failure, Timing};
use causeway_wire::Transport;
use tokio::net::TcpStream;

use crate::probe::{ProbeError, binding};
use crate::transport::connection::Connection;
use crate::transport::staggered::staggered;

/// The timing of one request over a stream.
pub(super) fn timing(timeout: Duration) -> Timing {
    Timing { reliable: timeout, ..Timing::default() }
}

/// Whether the server answers a Binding request over any connection within the timeout. An error
/// response is an answer too.
pub(super) async fn answers(server: SocketAddr, timeout: Duration) -> bool {
    let attempt = || async move {
        let silent = |_| ProbeError::Socket(io::ErrorKind::TimedOut.into());
        let asking = async {
            let mut connection = Connection::over(TcpStream::connect(server).await?)?;
            binding(&mut connection, server, Transport::Tcp, timing(timeout)).await
        };
        tokio::time::timeout(timeout, asking).await.map_err(silent)?
    };
    match staggered(timeout, is_silence, attempt).await {
        Ok(_) | Err(ProbeError::Failed(Failure::Refused(_))) => true,
        Err(_) => false,
    }
}

/// Whether the error means that no answer came, as opposed to an error that the server sent.
pub(super) fn is_silence(error: &ProbeError) -> bool {
    match error {
        ProbeError::Socket(error) => error.kind() == io::ErrorKind::TimedOut,
        ProbeError::Failed(failure) => *failure == Failure::TimedOut,
        _ => false,
    }
}
