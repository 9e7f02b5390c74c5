//! The first allocation: at one of the server's addresses, or where it redirects to.

use std::collections::VecDeque;
use std::time::Instant;

use causeway_client::{Allocated, Alternate, Failure, Redirections, TurnConfig};
use causeway_wire::ErrorCode;

use super::ask;
use super::report::Report;
use super::secure::SecureReport;
use super::step::StepError;
use super::steps::{Check, told};
use crate::discovery::{Discovered, Endpoint};
use crate::net::leg::Leg;
use crate::net::target::{Target, Transport};
use crate::net::turn_leg::TurnLeg;
use crate::net::{OpenError, Usage};

/// So many of the addresses that the URI leads to are tried.
const MAX_ADDRESSES: usize = 8;
/// "The client SHOULD try three different client transport addresses before giving up on this
/// server" (RFC 8656 §7.4, 437).
const LOCAL_ADDRESSES: u32 = 3;
/// So many redirections are followed (RFC 8489 §10).
const MAX_REDIRECTIONS: usize = 3;

/// An allocation and where it is.
pub(super) struct First {
    pub(super) leg: TurnLeg,
    pub(super) allocated: Allocated,
    pub(super) target: Target,
}

/// What is still to be tried.
pub(super) struct Ahead<'a> {
    endpoints: std::slice::Iter<'a, Endpoint>,
    targets: VecDeque<Target>,
    tried: usize,
}

impl<'a> Ahead<'a> {
    /// All that the URI leads to.
    pub(super) fn of(discovered: &'a Discovered) -> Self {
        Self { endpoints: discovered.endpoints.iter(), targets: VecDeque::new(), tried: 0 }
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.tried >= MAX_ADDRESSES
            || (self.targets.is_empty() && self.endpoints.as_slice().is_empty())
    }
}

impl Check {
    /// The next way to the server: of each endpoint the address that answers first, then its others
    /// (RFC 8305 §5).
    pub(super) async fn next(
        &self,
        ahead: &mut Ahead<'_>,
        usage: Usage,
        report: &mut Report,
    ) -> Option<Target> {
        if ahead.tried >= MAX_ADDRESSES {
            return None;
        }
        ahead.tried += 1;
        while ahead.targets.is_empty() {
            let (targets, failed) =
                self.ways.nearest(&self.uri, ahead.endpoints.next()?, usage, self.timing).await;
            report.notes.extend(failed.iter().map(|(target, error)| {
                format!("{} over {}: {error}.", target.address, target.transport)
            }));
            ahead.targets = targets.into();
        }
        ahead.targets.pop_front()
    }

    /// The first allocation that is to be had. The report has the steps of the last attempt only; a
    /// note tells of the others.
    pub(super) async fn first_allocation(
        &self,
        discovered: &Discovered,
        report: &mut Report,
    ) -> Result<First, StepError> {
        let mark = report.mark();
        let mut redirections = Redirections::default();
        let mut followed = 0;
        let mut ahead = Ahead::of(discovered);
        let mut redirected: Option<Target> = None;
        let mut last = StepError::Failed(Failure::TimedOut);
        loop {
            let is_redirected = redirected.is_some();
            let next = match redirected.take() {
                Some(target) => Some(target),
                None => self.next(&mut ahead, Usage::Turn, report).await,
            };
            let Some(target) = next else { break };
            // The same address over another transport is no circle.
            if !redirections.send_to(target.address, Instant::now()) && is_redirected {
                break;
            }
            report.rewind(mark);
            match self.first_at(&target, report).await {
                Ok((leg, allocated)) => return Ok(First { leg, allocated, target }),
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
                || matches!(last, StepError::Open(OpenError::Untrusted(_)))
            {
                // A server that answers with an error will not do better under its other address.
                break;
            } else if !ahead.is_over() {
                report.notes.push(format!("{} over {}: {last}.", target.address, target.transport));
            }
        }
        Err(last)
    }

    async fn first_at(
        &self,
        target: &Target,
        report: &mut Report,
    ) -> Result<(TurnLeg, Allocated), StepError> {
        report.server = Some(target.address);
        report.transport = Some(target.transport);
        let leg = if target.transport.is_secure() {
            Some(self.shake_hands(target, Usage::Turn, report).await?)
        } else {
            None
        };
        let start = Instant::now();
        let allocation = self.allocation(target, leg, |_| {}).await;
        report
            .step("Allocate", start, allocation, |(leg, allocated)| told(allocated, leg.security()))
    }

    /// An allocation, from another port if the first one is still known to the server. `leg` is
    /// used first, if it is open already.
    pub(super) async fn allocation(
        &self,
        target: &Target,
        leg: Option<Leg>,
        change: impl Fn(&mut TurnConfig),
    ) -> Result<(TurnLeg, Allocated), StepError> {
        let mut config = target.turn_config(self.credentials.as_ref());
        config.timing = self.timing;
        change(&mut config);
        let mut open = leg;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let leg = match open.take() {
                Some(leg) => leg,
                None => Leg::open(target, Usage::Turn, self.ways.trust()).await?,
            };
            let mut leg = TurnLeg::over(leg, config.clone())?;
            match ask::allocated(&mut leg).await {
                Ok(allocated) => return Ok((leg, allocated)),
                Err(error)
                    if attempts < LOCAL_ADDRESSES
                        && error.stun_code() == Some(ErrorCode::ALLOCATION_MISMATCH) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens a leg over TLS or DTLS as a step of its own, which tells of the certificates.
    pub(super) async fn shake_hands(
        &self,
        target: &Target,
        usage: Usage,
        report: &mut Report,
    ) -> Result<Leg, StepError> {
        self.ways.trust().prepare();
        let start = Instant::now();
        let opened = Leg::open(target, usage, self.ways.trust()).await;
        let secure = match &opened {
            Ok(leg) => leg.secured().map(SecureReport::of),
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
        report.step(name, start, opened.map_err(StepError::from), |leg| {
            leg.secured().map_or_else(String::new, detail)
        })
    }
}

fn detail(secured: &crate::net::Secured) -> String {
    let alpn = secured.alpn.as_ref().map_or_else(String::new, |alpn| format!(", ALPN {alpn}"));
    let verified =
        if secured.presented.verdict.is_ok() { "verified for" } else { "NOT VERIFIED for" };
    format!("{}, {}{alpn}; {verified} {}", secured.version, secured.cipher, secured.presented.name)
}

fn alternate(error: &StepError) -> Option<Alternate> {
    match error {
        StepError::Failed(Failure::Refused(refusal))
            if refusal.code == ErrorCode::TRY_ALTERNATE =>
        {
            refusal.alternate.clone()
        }
        _ => None,
    }
}
