use std::time::Duration;

use anyhow::Result;

use crate::load::{Direction, Fleet, Scenario};
use crate::peer::Server;
use crate::report::Memory;

/// Allocations that a server carries before those are made whose memory is counted.
const FIRST: usize = 1_000;

/// A server's memory before the load, and what each allocation of the fleet takes.
///
/// `alone`: memory that a server takes once it is loaded, such as buffers in huge pages, does not
/// count: another fleet is served first.
pub(crate) fn measure(server: &Server, load: &Scenario, alone: bool) -> Result<(Memory, Fleet)> {
    let target = server.target(load.transport);
    let idle = server.process().memory()?;
    let first = if alone {
        let scenario = Scenario {
            allocations: FIRST.min(load.allocations),
            direction: Direction::Both,
            ..*load
        };
        let mut fleet = Fleet::new(&scenario, &target)?;
        fleet.run(Duration::from_millis(300))?;
        Some(fleet)
    } else {
        None
    };
    let before = server.process().memory()?;
    let fleet = Fleet::new(load, &target)?;
    let after = server.process().memory()?;
    drop(first);
    let grown = after.anonymous.saturating_sub(before.anonymous) * 1024;
    let bytes_an_allocation = grown as f64 / load.allocations as f64;
    Ok((Memory { idle_kib: idle.resident, loaded_kib: after.resident, bytes_an_allocation }, fleet))
}
