//! The steps of a check in their order.

use std::time::Instant;

use causeway_client::{Allocated, Binding, Failure};

use super::checker::{Checker, describe_allocation};
use super::first_allocation::FirstAllocation;
use super::quality::Quality;
use super::relayed_loop::{End, ONCE, RelayedLoop};
use super::report::{CredentialReport, Report};
use super::requests;
use super::targets::Remaining;
use crate::discovery::Discovered;
use crate::probe::{ProbeError, binding};
use crate::transport::Usage;
use crate::transport::connection::Connection;
use crate::transport::target::Target;
use crate::transport::turn::TurnConnection;
use crate::uri::Scheme;

/// An allocation and the connection that holds it.
struct Holder<'a> {
    connection: &'a mut TurnConnection,
    allocated: Allocated,
}

impl Checker {
    /// Runs the steps until one fails.
    pub(super) async fn run(&self) -> Report {
        let mut report = Report::new(self.uri.to_string());
        let start = Instant::now();
        let discovered = match &self.network {
            None => self.reach.discover(&self.uri).await,
            Some(domain) => self.reach.discover_local(domain.as_deref()).await,
        };
        let discovered = discovered.map_err(ProbeError::from);
        let Ok(discovered) = report.step("resolve", start, discovered, ToString::to_string) else {
            return report;
        };
        report.notes.extend(discovered.notes.iter().cloned());
        let mark = report.mark();
        // The report has the error.
        let tried = self.steps_at(&discovered, &mut report).await;
        let is_unreachable = tried.is_err() && report.relayed.is_none() && report.mapped.is_none();
        if is_unreachable && let Some(late) = self.reach.discover_late(&self.uri, &discovered).await
        {
            report.rewind(mark);
            report.notes.push(format!("DNS answered late with more addresses: {late}."));
            let _ = self.steps_at(&late, &mut report).await;
        }
        report
    }

    async fn steps_at(
        &self,
        discovered: &Discovered,
        report: &mut Report,
    ) -> Result<(), ProbeError> {
        match self.uri.scheme {
            Scheme::Stun => self.stun(discovered, report).await,
            Scheme::Turn => self.turn(discovered, report).await,
        }
    }

    async fn stun(&self, discovered: &Discovered, report: &mut Report) -> Result<(), ProbeError> {
        let mark = report.mark();
        let mut last = Err(ProbeError::Failed(Failure::TimedOut));
        let mut remaining = Remaining::of(discovered);
        while let Some(target) = self.next_target(&mut remaining, Usage::NatDiscovery, report).await
        {
            report.rewind(mark);
            last = self.binding_at(&target, report).await;
            if last.is_ok() {
                break;
            }
        }
        report.mapped = Some(last?.mapped);
        Ok(())
    }

    async fn binding_at(
        &self,
        target: &Target,
        report: &mut Report,
    ) -> Result<Binding, ProbeError> {
        report.server = Some(target.address);
        report.transport = Some(target.transport);
        let usage = Usage::NatDiscovery;
        let connection = if target.transport.is_secure() {
            Some(self.handshake(target, usage, report).await?)
        } else {
            None
        };
        let start = Instant::now();
        let request = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => Connection::open(target, usage, self.reach.trust()).await?,
            };
            let bound =
                binding(&mut connection, target.address, target.transport, self.timing).await;
            connection.close().await;
            bound
        };
        report.step("Binding", start, request.await, |binding| format!("mapped {}", binding.mapped))
    }

    async fn turn(&self, discovered: &Discovered, report: &mut Report) -> Result<(), ProbeError> {
        let first = self.first_allocation(discovered, report).await;
        if self.credentials.is_none()
            && first.as_ref().is_err_and(|error| error.stun().is_some_and(|(code, _)| code == 401))
        {
            report.notes.push(
                "The server requires a user name and a password: see --username and \
                 --password-file."
                    .into(),
            );
        }
        let FirstAllocation { mut connection, allocated, target } = first?;
        report.mapped = Some(allocated.mapped);
        report.relayed = Some(allocated.relayed);
        report.lifetime_s = Some(allocated.lifetime.as_secs());
        report.credentials = connection.security().map(CredentialReport::of);
        let start = Instant::now();
        let second = self.allocation(&target, None, |_| {}).await;
        let result =
            match report.step("Allocate, second", start, second, |(connection, allocated)| {
                describe_allocation(allocated, connection.security())
            }) {
                Ok((mut second, allocated_second)) => {
                    let near = Holder { connection: &mut connection, allocated };
                    let far = Holder { connection: &mut second, allocated: allocated_second };
                    let result = self.relay_between(near, far, report).await;
                    let closed = requests::close(second).await;
                    result.and(closed)
                }
                Err(error) => Err(error),
            };
        let start = Instant::now();
        let closed = requests::close(connection).await;
        report.step("Refresh with lifetime 0", start, closed, |()| "deleted".into())?;
        result?;
        self.families(&target, report).await;
        Ok(())
    }

    /// Permissions, indications, channels, and the relayed loop between two allocations.
    async fn relay_between(
        &self,
        near: Holder<'_>,
        far: Holder<'_>,
        report: &mut Report,
    ) -> Result<(), ProbeError> {
        let (at_near, at_far) = (near.allocated.relayed, far.allocated.relayed);
        let (near, far) = (near.connection, far.connection);
        let start = Instant::now();
        let permitted = match requests::permit(near, at_far.ip()).await {
            Ok(()) => requests::permit(far, at_near.ip()).await,
            error => error,
        };
        report.step("CreatePermission", start, permitted, |()| {
            format!("for {} and {}", at_far.ip(), at_near.ip())
        })?;

        let start = Instant::now();
        let relayed = RelayedLoop::new(
            End { relay: near, other: at_far },
            End { relay: far, other: at_near },
        );
        let once = relayed.once(ONCE).await;
        report.step("Send and Data indications", start, once, |_| "there and back".into())?;

        let start = Instant::now();
        let bound = match requests::bind(near, at_far).await {
            Ok(number) => requests::bind(far, at_near).await.map(|other| (number, other)),
            Err(error) => Err(error),
        };
        report.step("ChannelBind", start, bound, |(number, other)| {
            format!("{number:#06x} and {other:#06x}")
        })?;

        let start = Instant::now();
        let relayed = RelayedLoop::new(
            End { relay: near, other: at_far },
            End { relay: far, other: at_near },
        );
        let measured = relayed.run(self.load).await.and_then(|quality| {
            let verdict = self.judge(&quality);
            report.relay = Some(quality);
            verdict
        });
        report.step("relayed loop", start, measured, Clone::clone)?;
        Ok(())
    }

    /// Whether the loss is within `--max-loss`, in words.
    fn judge(&self, quality: &Quality) -> Result<String, ProbeError> {
        match quality.loss_percent {
            _ if quality.received == 0 && quality.sent > 0 => Err(ProbeError::NothingRelayed),
            loss if loss > self.max_loss_percent => Err(ProbeError::Loss(loss)),
            _ => Ok(format!("{} of {} came back", quality.received, quality.sent)),
        }
    }
}
