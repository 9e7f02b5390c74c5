//! What a check is about, and the two requests that all of its steps build on: the handshake and
//! the allocation.

use std::time::Instant;

use causeway_client::{Algorithm, Allocated, Security, Timing, TurnConfig};
use causeway_wire::ErrorCode;
use causeway_wire::Transport;

use super::relayed_loop::Load;
use super::report::Report;
use super::requests;
use super::secure::SecureReport;
use crate::credentials::Credentials;
use crate::probe::ProbeError;
use crate::reach::Reach;
use crate::transport::connection::Connection;
use crate::transport::target::Target;
use crate::transport::turn::TurnConnection;
use crate::transport::{OpenError, Secured, Usage};
use crate::uri::ServerUri;

/// "The client SHOULD try three different client transport addresses before giving up on this
/// server" (RFC 8656 §7.4, 437).
const LOCAL_ADDRESSES: u32 = 3;

/// The server to check, and how.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) uri: ServerUri,
    /// Set when no URI was given: the domain that this host is in, if it is known.
    pub(super) network: Option<Option<String>>,
    pub(super) reach: Reach,
    pub(super) credentials: Option<Credentials>,
    pub(super) timing: Timing,
    pub(super) load: Load,
    pub(super) max_loss_percent: f64,
}

impl Checker {
    /// Makes an allocation, from another port if the server still knows the first one. `open` is
    /// used for the first attempt, if there is a connection already.
    pub(super) async fn allocation(
        &self,
        target: &Target,
        mut open: Option<Connection>,
        change: impl Fn(&mut TurnConfig),
    ) -> Result<(TurnConnection, Allocated), ProbeError> {
        let mut config = target.turn_config(self.credentials.as_ref());
        config.timing = self.timing;
        change(&mut config);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let connection = match open.take() {
                Some(connection) => connection,
                None => Connection::open(target, Usage::Turn, self.reach.trust()).await?,
            };
            let mut connection = TurnConnection::over(connection, config.clone())?;
            match requests::allocated(&mut connection).await {
                Ok(allocated) => return Ok((connection, allocated)),
                Err(error)
                    if attempts < LOCAL_ADDRESSES
                        && error.stun_code() == Some(ErrorCode::ALLOCATION_MISMATCH) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens a connection over TLS or DTLS as a step of its own, which reports the certificates.
    pub(super) async fn handshake(
        &self,
        target: &Target,
        usage: Usage,
        report: &mut Report,
    ) -> Result<Connection, ProbeError> {
        self.reach.trust().prepare();
        let start = Instant::now();
        let opened = Connection::open(target, usage, self.reach.trust()).await;
        let secure = match &opened {
            Ok(connection) => connection.secured().map(SecureReport::of),
            Err(OpenError::Untrusted(presented)) => Some(SecureReport::refused(presented)),
            Err(_) => None,
        };
        if let Some(secure) = &secure {
            report.warnings = secure.warnings();
            report.notes.extend(secure.notes());
        }
        report.secure = secure;
        let name =
            if target.transport == Transport::Dtls { "DTLS handshake" } else { "TLS handshake" };
        report.step(name, start, opened.map_err(ProbeError::from), |connection| {
            connection.secured().map_or_else(String::new, describe_handshake)
        })
    }
}

fn describe_handshake(secured: &Secured) -> String {
    let alpn = secured.alpn.as_ref().map_or_else(String::new, |alpn| format!(", ALPN {alpn}"));
    let verified =
        if secured.presented.verdict.is_ok() { "verified for" } else { "NOT VERIFIED for" };
    format!("{}, {}{alpn}; {verified} {}", secured.version, secured.cipher, secured.presented.name)
}

/// The allocation's addresses and lifetime, and how it was authenticated.
pub(super) fn describe_allocation(allocated: &Allocated, security: Option<Security>) -> String {
    let key = security.map_or_else(String::new, |security| match security.algorithm {
        Algorithm::Md5 => ", MD5 key".into(),
        Algorithm::Sha256 => ", SHA-256 key".into(),
    });
    format!(
        "relayed {}, mapped {}, for {} s{key}",
        allocated.relayed,
        allocated.mapped,
        allocated.lifetime.as_secs()
    )
}
