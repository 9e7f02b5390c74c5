//! The steps of a check in their order.

use std::time::Instant;

use causeway_client::{Algorithm, Allocated, Binding, Failure, Security, Timing};

use super::ask;
use super::attempt::{Ahead, First};
use super::binding::binding;
use super::relayed_loop::{End, Load, ONCE, RelayedLoop};
use super::report::{CredentialReport, Report};
use super::step::StepError;
use crate::credentials::Credentials;
use crate::discovery::Discovered;
use crate::net::Usage;
use crate::net::leg::Leg;
use crate::net::target::Target;
use crate::net::turn_leg::TurnLeg;
use crate::uri::{Scheme, ServerUri};
use crate::ways::Ways;

/// What is checked, and how.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) uri: ServerUri,
    /// No URI was given, but the domain that this host is in, if it is known.
    pub(super) network: Option<Option<String>>,
    pub(super) ways: Ways,
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
        let discovered = match &self.network {
            None => self.ways.discover(&self.uri).await,
            Some(domain) => self.ways.discover_local(domain.as_deref()).await,
        };
        let discovered = discovered.map_err(StepError::from);
        let Ok(discovered) = report.step("resolve", start, discovered, ToString::to_string) else {
            return report;
        };
        report.notes.extend(discovered.notes.iter().cloned());
        let mark = report.mark();
        // What failed is in the report.
        let tried = self.at(&discovered, &mut report).await;
        let is_in_vain = tried.is_err() && report.relayed.is_none() && report.mapped.is_none();
        if is_in_vain && let Some(late) = self.ways.discover_late(&self.uri, &discovered).await {
            report.rewind(mark);
            report.notes.push(format!("Addresses that DNS told later are tried: {late}."));
            let _ = self.at(&late, &mut report).await;
        }
        report
    }

    async fn at(&self, discovered: &Discovered, report: &mut Report) -> Result<(), StepError> {
        match self.uri.scheme {
            Scheme::Stun => self.stun(discovered, report).await,
            Scheme::Turn => self.turn(discovered, report).await,
        }
    }

    async fn stun(&self, discovered: &Discovered, report: &mut Report) -> Result<(), StepError> {
        let mark = report.mark();
        let mut last = Err(StepError::Failed(Failure::TimedOut));
        let mut ahead = Ahead::of(discovered);
        while let Some(target) = self.next(&mut ahead, Usage::NatDiscovery, report).await {
            report.rewind(mark);
            last = self.bind_at(&target, report).await;
            if last.is_ok() {
                break;
            }
        }
        report.mapped = Some(last?.mapped);
        Ok(())
    }

    async fn bind_at(&self, target: &Target, report: &mut Report) -> Result<Binding, StepError> {
        report.server = Some(target.address);
        report.transport = Some(target.transport);
        let usage = Usage::NatDiscovery;
        let leg = if target.transport.is_secure() {
            Some(self.shake_hands(target, usage, report).await?)
        } else {
            None
        };
        let start = Instant::now();
        let asked = async {
            let mut leg = match leg {
                Some(leg) => leg,
                None => Leg::open(target, usage, self.ways.trust()).await?,
            };
            let bound = binding(&mut leg, target.address, target.transport, self.timing).await;
            leg.close().await;
            bound
        };
        report.step("Binding", start, asked.await, |binding| format!("mapped {}", binding.mapped))
    }

    async fn turn(&self, discovered: &Discovered, report: &mut Report) -> Result<(), StepError> {
        let first = self.first_allocation(discovered, report).await;
        if self.credentials.is_none()
            && first.as_ref().is_err_and(|error| error.stun().is_some_and(|(code, _)| code == 401))
        {
            report.notes.push(
                "The server wants a user name and a password: see --username and --password-file."
                    .into(),
            );
        }
        let First { mut leg, allocated, target } = first?;
        report.mapped = Some(allocated.mapped);
        report.relayed = Some(allocated.relayed);
        report.lifetime_s = Some(allocated.lifetime.as_secs());
        report.credentials = leg.security().map(CredentialReport::of);
        let start = Instant::now();
        let second = self.allocation(&target, None, |_| {}).await;
        let result = match report.step("Allocate, second", start, second, |(leg, allocated)| {
            told(allocated, leg.security())
        }) {
            Ok((mut far, at_far)) => {
                let result = self.between(&mut leg, allocated, &mut far, at_far, report).await;
                let closed = ask::close(far).await;
                result.and(closed)
            }
            Err(error) => Err(error),
        };
        let start = Instant::now();
        let closed = ask::close(leg).await;
        report.step("Refresh with lifetime 0", start, closed, |()| "deleted".into())?;
        result?;
        self.families(&target, report).await;
        Ok(())
    }

    /// Permission, indications, channel, loop.
    async fn between(
        &self,
        near: &mut TurnLeg,
        at_near: Allocated,
        far: &mut TurnLeg,
        at_far: Allocated,
        report: &mut Report,
    ) -> Result<(), StepError> {
        let start = Instant::now();
        let permitted = match ask::permit(near, at_far.relayed.ip()).await {
            Ok(()) => ask::permit(far, at_near.relayed.ip()).await,
            error => error,
        };
        report.step("CreatePermission", start, permitted, |()| {
            format!("for {} and {}", at_far.relayed.ip(), at_near.relayed.ip())
        })?;

        let start = Instant::now();
        let relayed = RelayedLoop::new(
            End { relay: near, other: at_far.relayed },
            End { relay: far, other: at_near.relayed },
        );
        let once = relayed.once(ONCE).await;
        report.step("Send and Data indications", start, once, |_| "there and back".into())?;

        let start = Instant::now();
        let bound = match ask::bind(near, at_far.relayed).await {
            Ok(number) => ask::bind(far, at_near.relayed).await.map(|other| (number, other)),
            Err(error) => Err(error),
        };
        report.step("ChannelBind", start, bound, |(number, other)| {
            format!("{number:#06x} and {other:#06x}")
        })?;

        let start = Instant::now();
        let relayed = RelayedLoop::new(
            End { relay: near, other: at_far.relayed },
            End { relay: far, other: at_near.relayed },
        );
        let quality = match relayed.run(self.load).await {
            Ok(quality) => {
                let verdict = match quality.loss_percent {
                    _ if quality.received == 0 && quality.sent > 0 => {
                        Err(StepError::NothingRelayed)
                    }
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
}

/// An allocation, and how it was authenticated.
pub(super) fn told(allocated: &Allocated, security: Option<Security>) -> String {
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
