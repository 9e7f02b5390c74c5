//! The steps of a check in their order.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_client::{Allocated, Failure, Timing};
use causeway_wire::ErrorCode;

use super::binding::binding;
use super::relay::Relay;
use super::relayed_loop::{End, Load, RelayedLoop};
use super::report::Report;
use super::step::StepError;
use crate::credentials::Credentials;
use crate::net::leg::Leg;
use crate::uri::{Scheme, ServerUri};

/// So many of the addresses that the name resolves to are tried.
const MAX_ADDRESSES: usize = 4;
/// "The client SHOULD try three different client transport addresses before giving up on this server" (RFC 8656 §7.4, 437).
const LOCAL_ADDRESSES: u32 = 3;
/// So many redirections are followed (RFC 8489 §10).
const MAX_REDIRECTIONS: usize = 3;
/// A single datagram through the relay is sent again after so long.
const ONCE: Duration = Duration::from_millis(500);

/// What is checked, and how.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) uri: ServerUri,
    pub(super) credentials: Option<Credentials>,
    pub(super) timing: Timing,
    pub(super) load: Load,
    pub(super) max_loss_percent: f64,
}

impl Check {
    /// Runs the steps until one fails.
    pub(super) async fn run(&self) -> Report {
        let mut report = Report::new(self.uri.to_string());
        let start = Instant::now();
        let resolved = self.uri.resolve().await.map_err(StepError::from);
        let Ok(addresses) = report.step("resolve", start, resolved, |found| list(found)) else { return report };
        // What failed is in the report.
        let _ = match self.uri.scheme {
            Scheme::Stun => self.stun(&addresses, &mut report).await,
            Scheme::Turn => self.turn(&addresses, &mut report).await,
        };
        report
    }

    async fn stun(&self, addresses: &[SocketAddr], report: &mut Report) -> Result<(), StepError> {
        let mut last = Err(StepError::Failed(Failure::TimedOut));
        let start = Instant::now();
        for server in addresses.iter().take(MAX_ADDRESSES) {
            report.server = Some(*server);
            last = match Leg::connect(*server, self.uri.transport).await {
                Ok(mut leg) => binding(&mut leg, *server, self.uri.transport, self.timing).await,
                Err(error) => Err(error.into()),
            };
            if last.is_ok() {
                break;
            }
        }
        let bound = report.step("Binding", start, last, |binding| format!("mapped {}", binding.mapped))?;
        report.mapped = Some(bound.mapped);
        Ok(())
    }

    async fn turn(&self, addresses: &[SocketAddr], report: &mut Report) -> Result<(), StepError> {
        let start = Instant::now();
        let first = self.first_allocation(addresses, report).await;
        if self.credentials.is_none() && first.as_ref().is_err_and(|error| error.stun().is_some_and(|(code, _)| code == 401)) {
            report.notes.push("The server wants a user name and a password: see --username and --password-file.".into());
        }
        let (mut near, at_near) = report.step("Allocate", start, first, |(_, allocated)| told(allocated))?;
        report.mapped = Some(at_near.mapped);
        report.relayed = Some(at_near.relayed);
        report.lifetime_s = Some(at_near.lifetime.as_secs());
        let server = near.server();
        let start = Instant::now();
        let second = self.allocation(server).await;
        let result = match report.step("Allocate, second", start, second, |(_, allocated)| told(allocated)) {
            Ok((mut far, at_far)) => {
                let result = self.between(&mut near, at_near, &mut far, at_far, report).await;
                let closed = far.close().await;
                result.and(closed)
            }
            Err(error) => Err(error),
        };
        let start = Instant::now();
        let closed = near.close().await;
        report.step("Refresh with lifetime 0", start, closed, |()| "deleted".into())?;
        result
    }

    /// Permission, indications, channel, loop.
    async fn between(
        &self,
        near: &mut Relay,
        at_near: Allocated,
        far: &mut Relay,
        at_far: Allocated,
        report: &mut Report,
    ) -> Result<(), StepError> {
        let start = Instant::now();
        let permitted = match near.permit(at_far.relayed.ip()).await {
            Ok(()) => far.permit(at_near.relayed.ip()).await,
            error => error,
        };
        report.step("CreatePermission", start, permitted, |()| format!("for {} and {}", at_far.relayed.ip(), at_near.relayed.ip()))?;

        let start = Instant::now();
        let relayed = RelayedLoop::new(End { relay: near, other: at_far.relayed }, End { relay: far, other: at_near.relayed });
        let once = relayed.once(ONCE).await;
        report.step("Send and Data indications", start, once, |_| "there and back".into())?;

        let start = Instant::now();
        let bound = match near.bind(at_far.relayed).await {
            Ok(number) => far.bind(at_near.relayed).await.map(|other| (number, other)),
            Err(error) => Err(error),
        };
        report.step("ChannelBind", start, bound, |(number, other)| format!("{number:#06x} and {other:#06x}"))?;

        let start = Instant::now();
        let relayed = RelayedLoop::new(End { relay: near, other: at_far.relayed }, End { relay: far, other: at_near.relayed });
        let quality = match relayed.run(self.load).await {
            Ok(quality) => {
                let verdict = match quality.loss_percent {
                    _ if quality.received == 0 && quality.sent > 0 => Err(StepError::NothingRelayed),
                    loss if loss > self.max_loss_percent => Err(StepError::Loss(loss)),
                    _ => Ok(format!("{} of {} came back", quality.received, quality.sent)),
                };
                report.relay = Some(quality);
                verdict
            }
            Err(error) => Err(error),
        };
        report.step("relayed loop", start, quality, Clone::clone)?;
        Ok(())
    }

    /// An allocation at the first address that answers, or where it redirects to.
    async fn first_allocation(&self, addresses: &[SocketAddr], report: &mut Report) -> Result<(Relay, Allocated), StepError> {
        let mut last = StepError::Failed(Failure::TimedOut);
        for address in addresses.iter().take(MAX_ADDRESSES) {
            let mut server = *address;
            // "If the client has been redirected to a server to which it has already sent this request within the last five minutes, it
            // MUST ignore the redirection" (RFC 8489 §10).
            let mut tried = HashSet::new();
            while tried.insert(server) && tried.len() <= 1 + MAX_REDIRECTIONS {
                report.server = Some(server);
                match self.allocation(server).await {
                    Ok(allocation) => return Ok(allocation),
                    Err(error) => {
                        let alternate = alternate(&error);
                        last = error;
                        server = alternate.unwrap_or(server);
                    }
                }
            }
            // A server that answers with an error will not do better under its other address.
            if last.stun().is_some() {
                break;
            }
        }
        Err(last)
    }

    /// An allocation, from another port if the first one is still known to the server.
    async fn allocation(&self, server: SocketAddr) -> Result<(Relay, Allocated), StepError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut relay = Relay::connect(server, self.uri.transport, self.credentials.as_ref(), self.timing).await?;
            match relay.allocate().await {
                Ok(allocated) => return Ok((relay, allocated)),
                Err(error) if attempts < LOCAL_ADDRESSES && is_mismatch(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn alternate(error: &StepError) -> Option<SocketAddr> {
    match error {
        StepError::Failed(Failure::Refused(refusal)) if refusal.code == ErrorCode::TRY_ALTERNATE => refusal.alternate,
        _ => None,
    }
}

fn is_mismatch(error: &StepError) -> bool {
    matches!(error, StepError::Failed(Failure::Refused(refusal)) if refusal.code == ErrorCode::ALLOCATION_MISMATCH)
}

fn told(allocated: &Allocated) -> String {
    format!("relayed {}, mapped {}, for {} s", allocated.relayed, allocated.mapped, allocated.lifetime.as_secs())
}

fn list(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
