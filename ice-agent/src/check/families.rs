//! Which families of relayed addresses the server has: REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §7.1).

use std::net::SocketAddr;
use std::time::Instant;

use causeway_client::{Allocated, TurnConfig};
use causeway_wire::ErrorCode;
use causeway_wire::attribute::AddressFamily;
use serde::Serialize;

use super::ask;
use super::report::Report;
use super::step::StepError;
use super::steps::Check;
use crate::net::target::Target;

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
    change: fn(&mut TurnConfig),
    note: fn(&mut FamiliesReport, &Allocated),
}

const ASKED: [Asked; 3] = [
    Asked {
        name: "Allocate, IPv4",
        change: |config| config.family = Some(AddressFamily::Ipv4),
        note: |report, allocated| report.ipv4 = Some(allocated.relayed),
    },
    Asked {
        name: "Allocate, IPv6",
        change: |config| config.family = Some(AddressFamily::Ipv6),
        note: |report, allocated| report.ipv6 = Some(allocated.relayed),
    },
    Asked {
        name: "Allocate, both families",
        change: |config| config.both_families = true,
        note: |report, allocated| report.both = std::iter::once(allocated.relayed).chain(allocated.additional).collect(),
    },
];

impl Check {
    /// Asks for each family and for both. A server without one is a server all the same; anything but a clear answer is a failure.
    pub(super) async fn families(&self, target: &Target, report: &mut Report) {
        let mut families = FamiliesReport::default();
        for asked in ASKED {
            let start = Instant::now();
            let result = self.family(target, asked.change).await;
            if let Ok(Ok(allocated)) = &result {
                (asked.note)(&mut families, allocated);
            }
            // What failed is in the report.
            let _ = report.step(asked.name, start, result, told);
        }
        report.families = Some(families);
    }

    /// Allocates and deletes; the code if the server has no such address.
    async fn family(&self, target: &Target, change: fn(&mut TurnConfig)) -> Result<Result<Allocated, ErrorCode>, StepError> {
        match self.allocation(target, None, change).await {
            Ok((leg, allocated)) => ask::close(leg).await.map(|()| Ok(allocated)),
            Err(error) => match error.stun_code() {
                // Old servers, those of RFC 5766, do not know the attribute.
                Some(code @ (ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED | ErrorCode::UNKNOWN_ATTRIBUTE)) => Ok(Err(code)),
                _ => Err(error),
            },
        }
    }
}

fn told(result: &Result<Allocated, ErrorCode>) -> String {
    match result {
        Err(code) => format!("not offered: {} {}", code.number(), code.reason()),
        Ok(Allocated { relayed, additional: Some(additional), .. }) => format!("relayed {relayed} and {additional}"),
        Ok(Allocated { relayed, rejected: Some(rejected), .. }) => {
            format!("relayed {relayed} only: {:?} {} {}", rejected.family, rejected.code.number(), rejected.code.reason())
        }
        Ok(Allocated { relayed, .. }) => format!("relayed {relayed}"),
    }
}
