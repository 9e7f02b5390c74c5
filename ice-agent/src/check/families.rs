//! Which families of relayed addresses the server has: REQUESTED-ADDRESS-FAMILY and
//! ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §7.1).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_client::{Allocated, TurnConfig};
use causeway_wire::ErrorCode;
use causeway_wire::attribute::AddressFamily;
use serde::Serialize;

use super::ask;
use super::relayed_loop::{End, ONCE, RelayedLoop};
use super::report::Report;
use super::step::{StepError, milliseconds};
use super::steps::Check;
use crate::net::target::Target;
use crate::net::turn_leg::TurnLeg;

/// The relayed addresses that were to be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FamiliesReport {
    /// When IPv4 was asked for.
    pub ipv4: Option<SocketAddr>,
    /// When IPv6 was asked for.
    pub ipv6: Option<SocketAddr>,
    /// When both were asked for in one request: one or two.
    pub both: Vec<SocketAddr>,
}

/// One request and what it may come to.
struct Asked {
    name: &'static str,
    both: bool,
    change: fn(&mut TurnConfig),
    note: fn(&mut FamiliesReport, &Allocated),
}

const ASKED: [Asked; 3] = [
    Asked {
        name: "Allocate, IPv4",
        both: false,
        change: |config| config.family = Some(AddressFamily::Ipv4),
        note: |report, allocated| report.ipv4 = Some(allocated.relayed),
    },
    Asked {
        name: "Allocate, IPv6",
        both: false,
        change: |config| config.family = Some(AddressFamily::Ipv6),
        note: |report, allocated| report.ipv6 = Some(allocated.relayed),
    },
    Asked {
        name: "Allocate, both families",
        both: true,
        change: |config| config.both_families = true,
        note: |report, allocated| {
            report.both = std::iter::once(allocated.relayed).chain(allocated.additional).collect();
        },
    },
];

impl Check {
    /// Asks for each family and for both. A server without one is a server all the same; anything
    /// but a clear answer is a failure.
    pub(super) async fn families(&self, target: &Target, report: &mut Report) {
        let mut families = FamiliesReport::default();
        for asked in ASKED {
            let start = Instant::now();
            let result = self.family(target, asked.change).await;
            if let Ok(Ok(allocated)) = &result {
                (asked.note)(&mut families, allocated);
            }
            let is_dual = matches!(&result, Ok(Ok(Allocated { additional: Some(_), .. })));
            // What failed is in the report.
            let _ = report.step(asked.name, start, result, |result| told(result, asked.both));
            if is_dual {
                let start = Instant::now();
                let relayed = self.over_both(target).await;
                let _ = report.step("relayed over both families", start, relayed, |[v4, v6]| {
                    format!(
                        "there and back in {:.1} ms over IPv4, {:.1} ms over IPv6",
                        milliseconds(*v4),
                        milliseconds(*v6)
                    )
                });
            }
        }
        report.families = Some(families);
    }

    /// One datagram of each family from one dual allocation to another, and back: how long each
    /// took.
    async fn over_both(&self, target: &Target) -> Result<[Duration; 2], StepError> {
        let both = |config: &mut TurnConfig| config.both_families = true;
        let (mut near, at_near) = self.allocation(target, None, both).await?;
        let result = match self.allocation(target, None, both).await {
            Err(error) => Err(error),
            Ok((mut far, at_far)) => {
                let mut took = [Duration::ZERO; 2];
                let mut result = Ok(());
                for (family, took) in
                    [AddressFamily::Ipv4, AddressFamily::Ipv6].into_iter().zip(&mut took)
                {
                    let ends = at_near.relayed_of(family).zip(at_far.relayed_of(family));
                    match once(&mut near, &mut far, ends).await {
                        Ok(time) => *took = time,
                        Err(error) => result = result.and(Err(error)),
                    }
                }
                result.and(ask::close(far).await).map(|()| took)
            }
        };
        let closed = ask::close(near).await;
        result.and_then(|took| closed.map(|()| took))
    }

    /// Allocates and deletes; the code if the server has no such address.
    async fn family(
        &self,
        target: &Target,
        change: fn(&mut TurnConfig),
    ) -> Result<Result<Allocated, ErrorCode>, StepError> {
        match self.allocation(target, None, change).await {
            Ok((leg, allocated)) => ask::close(leg).await.map(|()| Ok(allocated)),
            Err(error) => match error.stun_code() {
                // Old servers, those of RFC 5766, do not know the attribute.
                Some(
                    code @ (ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED | ErrorCode::UNKNOWN_ATTRIBUTE),
                ) => Ok(Err(code)),
                _ => Err(error),
            },
        }
    }
}

async fn once(
    near: &mut TurnLeg,
    far: &mut TurnLeg,
    ends: Option<(SocketAddr, SocketAddr)>,
) -> Result<Duration, StepError> {
    let (at_near, at_far) = ends.ok_or(StepError::NothingRelayed)?;
    ask::permit(near, at_far.ip()).await?;
    ask::permit(far, at_near.ip()).await?;
    RelayedLoop::new(End { relay: near, other: at_far }, End { relay: far, other: at_near })
        .once(ONCE)
        .await
}

fn told(result: &Result<Allocated, ErrorCode>, both: bool) -> String {
    match result {
        Err(code) => format!("not offered: {} {}", code.number(), code.reason()),
        Ok(Allocated { relayed, additional: Some(additional), .. }) => {
            format!("relayed {relayed} and {additional}")
        }
        Ok(Allocated { relayed, rejected: Some(rejected), .. }) => {
            format!(
                "relayed {relayed} only: {:?} {} {}",
                rejected.family,
                rejected.code.number(),
                rejected.code.reason()
            )
        }
        // The attribute is comprehension-optional, and coturn does without it as it comes.
        Ok(Allocated { relayed, .. }) if both => {
            format!("relayed {relayed} only: the server ignores ADDITIONAL-ADDRESS-FAMILY")
        }
        Ok(Allocated { relayed, .. }) => format!("relayed {relayed}"),
    }
}
