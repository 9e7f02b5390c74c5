//! The server's addresses, in the order in which the check tries them.

use std::collections::VecDeque;

use super::checker::Checker;
use super::report::Report;
use crate::discovery::{Discovered, Endpoint};
use crate::transport::Usage;
use crate::transport::target::Target;

/// Maximum number of the server's addresses that are tried.
const MAX_ADDRESSES: usize = 8;

/// The addresses that are not tried yet.
pub(super) struct Remaining<'a> {
    endpoints: std::slice::Iter<'a, Endpoint>,
    targets: VecDeque<Target>,
    tried: usize,
}

impl<'a> Remaining<'a> {
    pub(super) fn of(discovered: &'a Discovered) -> Self {
        Self { endpoints: discovered.endpoints.iter(), targets: VecDeque::new(), tried: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tried >= MAX_ADDRESSES
            || (self.targets.is_empty() && self.endpoints.as_slice().is_empty())
    }
}

impl Checker {
    /// The next target to try. Of each endpoint the address that answers first comes first, then
    /// its other addresses (RFC 8305 §5).
    pub(super) async fn next_target(
        &self,
        remaining: &mut Remaining<'_>,
        usage: Usage,
        report: &mut Report,
    ) -> Option<Target> {
        if remaining.tried >= MAX_ADDRESSES {
            return None;
        }
        remaining.tried += 1;
        while remaining.targets.is_empty() {
            let (targets, failed) = self
                .reach
                .nearest(&self.uri, remaining.endpoints.next()?, usage, self.timing)
                .await;
            report.notes.extend(failed.iter().map(|(target, error)| {
                format!("{} over {}: {error}.", target.address, target.transport)
            }));
            remaining.targets = targets.into();
        }
        remaining.targets.pop_front()
    }
}
