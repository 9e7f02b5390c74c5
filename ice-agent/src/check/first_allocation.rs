//! The first allocation: at one of the server's addresses, or at a server that it redirects to.

use std::time::Instant;

use causeway_client::{Allocated, Alternate, Failure, Redirections};
use causeway_wire::ErrorCode;

use super::checker::{Checker, describe_allocation};
use super::report::Report;
use super::targets::Remaining;
use crate::discovery::Discovered;
use crate::probe::ProbeError;
use crate::transport::target::Target;
use crate::transport::turn::TurnConnection;
use crate::transport::{OpenError, Usage};

/// Maximum number of redirections that are followed (RFC 8489 §10).
const MAX_REDIRECTIONS: usize = 3;

/// An allocation, and the server that made it.
pub(super) struct FirstAllocation {
    pub(super) connection: TurnConnection,
    pub(super) allocated: Allocated,
    pub(super) target: Target,
}

impl Checker {
    /// Tries one address after the other until one makes an allocation. The report keeps the steps
    /// of the last attempt only, and a note about each of the others.
    pub(super) async fn first_allocation(
        &self,
        discovered: &Discovered,
        report: &mut Report,
    ) -> Result<FirstAllocation, ProbeError> {
        let mark = report.mark();
        let (start, mut redirections) = (Instant::now(), Redirections::default());
        let mut followed = 0;
        let mut remaining = Remaining::of(discovered);
        let mut redirected: Option<Target> = None;
        let mut last = ProbeError::Failed(Failure::TimedOut);
        loop {
            let is_redirected = redirected.is_some();
            let next = match redirected.take() {
                Some(target) => Some(target),
                None => self.next_target(&mut remaining, Usage::Turn, report).await,
            };
            let Some(target) = next else { break };
            // The same address over another transport is not a redirection in a circle.
            if !redirections.send_to(target.address, start.elapsed()) && is_redirected {
                break;
            }
            report.rewind(mark);
            match self.allocation_at(&target, report).await {
                Ok((connection, allocated)) => {
                    return Ok(FirstAllocation { connection, allocated, target });
                }
                Err(error) => last = error,
            }
            if let Some(Alternate { server, domain }) =
                alternate(&last).filter(|_| followed < MAX_REDIRECTIONS)
            {
                followed += 1;
                report.notes.push(format!("{} redirects to {server}.", target.address));
                // "If the attribute is not found, the same domain that was used for the original
                // request MUST be used to validate the certificate" (RFC 8489 §10).
                redirected = Some(Target {
                    address: server,
                    server_name: domain.or(target.server_name),
                    ..target
                });
            } else if last.stun().is_some()
                || matches!(last, ProbeError::Open(OpenError::Untrusted(_)))
            {
                // A server that answers with an error will not do better under its other address.
                break;
            } else if !remaining.is_empty() {
                report.notes.push(format!("{} over {}: {last}.", target.address, target.transport));
            }
        }
        Err(last)
    }

    async fn allocation_at(
        &self,
        target: &Target,
        report: &mut Report,
    ) -> Result<(TurnConnection, Allocated), ProbeError> {
        report.server = Some(target.address);
        report.transport = Some(target.transport);
        let connection = if target.transport.is_secure() {
            Some(self.handshake(target, Usage::Turn, report).await?)
        } else {
            None
        };
        let start = Instant::now();
        let allocation = self.allocation(target, connection, |_| {}).await;
        report.step("Allocate", start, allocation, |(connection, allocated)| {
            describe_allocation(allocated, connection.security())
        })
    }
}

fn alternate(error: &ProbeError) -> Option<Alternate> {
    match error {
        ProbeError::Failed(Failure::Refused(refusal))
            if refusal.code == ErrorCode::TRY_ALTERNATE =>
        {
            refusal.alternate.clone()
        }
        _ => None,
    }
}
