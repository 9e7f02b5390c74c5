//! Which families of relayed addresses the server offers: REQUESTED-ADDRESS-FAMILY and
//! ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §7.1).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causeway_client::{Allocated, TurnConfig};
use causeway_wire::ErrorCode;
use causeway_wire::attribute::AddressFamily;

use super::checker::Checker;
use super::relayed_loop::{End, ONCE, RelayedLoop};
use super::report::{FamiliesReport, Report};
use super::requests;
use super::step::milliseconds;
use crate::probe::ProbeError;
use crate::transport::target::Target;
use crate::transport::turn::TurnConnection;

/// An Allocate request for one family or both, and where the report keeps its result.
struct FamilyRequest {
    name: &'static str,
    both: bool,
    change: fn(&mut TurnConfig),
    record: fn(&mut FamiliesReport, &Allocated),
}

const REQUESTS: [FamilyRequest; 3] = [
    FamilyRequest {
        name: "Allocate, IPv4",
        both: false,
        change: |config| config.family = Some(AddressFamily::Ipv4),
        record: |report, allocated| report.ipv4 = Some(allocated.relayed),
    },
    FamilyRequest {
        name: "Allocate, IPv6",
        both: false,
        change: |config| config.family = Some(AddressFamily::Ipv6),
        record: |report, allocated| report.ipv6 = Some(allocated.relayed),
    },
    FamilyRequest {
        name: "Allocate, both families",
        both: true,
        change: |config| config.both_families = true,
        record: |report, allocated| {
            report.both = std::iter::once(allocated.relayed).chain(allocated.additional).collect();
        },
    },
];

impl Checker {
    /// Requests an address of each family, then of both. A server that refuses a family passes the
    /// check; only an unclear answer fails it.
    pub(super) async fn families(&self, target: &Target, report: &mut Report) {
        let mut families = FamiliesReport::default();
        for request in REQUESTS {
            let start = Instant::now();
            let result = self.family(target, request.change).await;
            if let Ok(Ok(allocated)) = &result {
                (request.record)(&mut families, allocated);
            }
            let is_dual = matches!(&result, Ok(Ok(Allocated { additional: Some(_), .. })));
            // The report has the error.
            let _ =
                report.step(request.name, start, result, |result| describe(result, request.both));
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

    /// Sends one datagram of each family from one dual allocation to another and back, and returns
    /// the round trips: IPv4, IPv6.
    async fn over_both(&self, target: &Target) -> Result<[Duration; 2], ProbeError> {
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
                result.and(requests::close(far).await).map(|()| took)
            }
        };
        let closed = requests::close(near).await;
        result.and_then(|took| closed.map(|()| took))
    }

    /// Makes an allocation and deletes it. The inner error is the code of a server that offers no
    /// such address.
    async fn family(
        &self,
        target: &Target,
        change: fn(&mut TurnConfig),
    ) -> Result<Result<Allocated, ErrorCode>, ProbeError> {
        match self.allocation(target, None, change).await {
            Ok((connection, allocated)) => {
                requests::close(connection).await.map(|()| Ok(allocated))
            }
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

/// One datagram from one allocation to the other and back.
async fn once(
    near: &mut TurnConnection,
    far: &mut TurnConnection,
    ends: Option<(SocketAddr, SocketAddr)>,
) -> Result<Duration, ProbeError> {
    let (at_near, at_far) = ends.ok_or(ProbeError::NothingRelayed)?;
    requests::permit(near, at_far.ip()).await?;
    requests::permit(far, at_near.ip()).await?;
    RelayedLoop::new(End { relay: near, other: at_far }, End { relay: far, other: at_near })
        .once(ONCE)
        .await
}

fn describe(result: &Result<Allocated, ErrorCode>, both: bool) -> String {
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
        // The attribute is comprehension-optional, and coturn ignores it.
        Ok(Allocated { relayed, .. }) if both => {
            format!("relayed {relayed} only: the server ignores ADDITIONAL-ADDRESS-FAMILY")
        }
        Ok(Allocated { relayed, .. }) => format!("relayed {relayed}"),
    }
}
