use anyhow::Result;

use crate::load::Fleet;
use crate::peer::Server;
use crate::report::Memory;

/// A server's memory before the fleet is made, and what was made of it by each of its allocations.
pub(crate) fn measure(server: &Server, make: impl FnOnce() -> Result<Fleet>, allocations: usize) -> Result<(Memory, Fleet)> {
    let before = server.process().memory()?;
    let fleet = make()?;
    let after = server.process().memory()?;
    let grown = after.anonymous.saturating_sub(before.anonymous) * 1024;
    Ok((Memory { idle_kib: before.resident, loaded_kib: after.resident, bytes_an_allocation: grown as f64 / allocations as f64 }, fleet))
}
