//! Whether an allocation could be made now, and why not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use causeway_net::{Descriptors, Shortage, shortage};

use crate::ports::pool::PortPools;

/// After exhaustion, the part of all that must be free again, as 1 in this many: readiness must not
/// flap with every single allocation.
const PART_FREE: usize = 32;
/// How long a failed allocation keeps the server from being ready: while it is not ready, no new
/// client may come whose success would end that.
const REMEMBERED: Duration = Duration::from_secs(30);
const NEVER: u64 = u64::MAX;

/// Why an Allocate was answered 508.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No port is free: each is allocated, or another program uses it.
    Port,
    /// The process has no file descriptor left.
    Descriptor,
    /// The kernel has no memory for a socket.
    Memory,
    /// The address cannot be bound.
    Address,
    /// The reservation is unknown, or the limit of reservations is reached.
    Reservation,
    /// The worker has the maximum number of allocations.
    Maximum,
}

impl Refused {
    pub(crate) const ALL: [Refused; 6] = [
        Refused::Port,
        Refused::Descriptor,
        Refused::Memory,
        Refused::Address,
        Refused::Reservation,
        Refused::Maximum,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Descriptor => "descriptor",
            Self::Memory => "memory",
            Self::Address => "address",
            Self::Reservation => "reservation",
            Self::Maximum => "maximum",
        }
    }

    /// The cause, by the error of binding a port.
    pub(crate) fn of(error: &io::Error) -> Self {
        match shortage(error) {
            Some(Shortage::Descriptors) => Self::Descriptor,
            Some(Shortage::Memory) => Self::Memory,
            None if error.kind() == io::ErrorKind::AddrInUse => Self::Port,
            None => Self::Address,
        }
    }
}

/// The resources of new allocations, over all workers: ports and descriptors. Readiness asks it,
/// and workers report to it whether binding succeeded.
pub(crate) struct Capacity {
    pools: Arc<PortPools>,
    descriptors: Arc<Descriptors>,
    no_ports: Exhaustion,
    no_descriptors: Exhaustion,
    /// Monotonic milliseconds at which the system last refused an allocation, if none has succeeded
    /// since.
    failed_at: AtomicU64,
}

/// Whether a resource is exhausted; it stays so until a part of the resource is free again.
#[derive(Debug, Default)]
struct Exhaustion(AtomicBool);

impl Exhaustion {
    fn holds(&self, free: usize, all: usize) -> bool {
        if free == 0 {
            self.0.store(true, Ordering::Relaxed);
        } else if free >= (all / PART_FREE).max(1) {
            self.0.store(false, Ordering::Relaxed);
        }
        self.0.load(Ordering::Relaxed)
    }
}

impl Capacity {
    pub(crate) fn new(pools: Arc<PortPools>, descriptors: Arc<Descriptors>) -> Arc<Self> {
        let [no_ports, no_descriptors] = <[Exhaustion; 2]>::default();
        Arc::new(Self {
            pools,
            descriptors,
            no_ports,
            no_descriptors,
            failed_at: AtomicU64::new(NEVER),
        })
    }

    /// Records that an allocation was made.
    pub(crate) fn succeeded(&self) {
        if self.failed_at.load(Ordering::Relaxed) != NEVER {
            self.failed_at.store(NEVER, Ordering::Relaxed);
        }
    }

    /// Records that an allocation could not be made.
    pub(crate) fn failed(&self, now: Duration, cause: Refused) {
        let by_system = match cause {
            Refused::Memory | Refused::Address => true,
            // Without this condition the budget was used up, which readiness sees by itself.
            Refused::Descriptor => self.descriptors.left() > 0,
            Refused::Port | Refused::Reservation | Refused::Maximum => false,
        };
        if by_system {
            self.failed_at.store(millis(now), Ordering::Relaxed);
        }
    }

    /// Whether an allocation could be made now.
    ///
    /// # Errors
    /// The reason why not, in one line.
    pub(crate) fn readiness(&self, now: Duration) -> Result<(), String> {
        let (family, free, all) = self.pools.default_family();
        if self.no_ports.holds(free, all) {
            return Err(format!(
                "no allocation can be made: {free} of {all} relayed ports are free ({family})"
            ));
        }
        let (left, room) = (self.descriptors.left(), self.descriptors.room());
        if self.no_descriptors.holds(left, room) {
            return Err(format!(
                "no allocation can be made: {left} of {room} descriptors are free; raise the limit of \
                 open files"
            ));
        }
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        if failed_at != NEVER && millis(now).saturating_sub(failed_at) < millis(REMEMBERED) {
            return Err(
                "no allocation can be made: the system refuses sockets; the log has the reason"
                    .into(),
            );
        }
        Ok(())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RelayAddress;
    use causeway_net::Use;

    const NOW: Duration = Duration::from_secs(100);

    fn pools(addresses: &[&str], ports: std::ops::RangeInclusive<u16>) -> Arc<PortPools> {
        let address = |text: &&str| RelayAddress {
            bound: text.parse().unwrap(),
            advertised: text.parse().unwrap(),
        };
        Arc::new(PortPools::new(&addresses.iter().map(address).collect::<Vec<_>>(), &ports))
    }

    #[test]
    fn h53_without_ports_it_is_not_ready_until_a_part_of_them_is_free() {
        let pools = pools(&["192.0.2.1", "2001:db8::1"], 50_000..=50_099);
        let capacity = Capacity::new(Arc::clone(&pools), Descriptors::unlimited());
        let ipv4 = pools.of_address("192.0.2.1".parse().unwrap()).unwrap();
        for port in 50_000..=50_099 {
            assert_eq!(capacity.readiness(NOW), Ok(()));
            assert!(ipv4.take(port));
        }
        let reason = capacity.readiness(NOW).unwrap_err();
        assert!(reason.contains("0 of 100 relayed ports are free (IPv4)"), "{reason}");
        for port in 50_000..50_002 {
            ipv4.give_back(port);
            assert!(capacity.readiness(NOW).is_err(), "a port or two come and go");
        }
        ipv4.give_back(50_002);
        assert_eq!(capacity.readiness(NOW), Ok(()));
        assert!((50_000..=50_001).all(|port| ipv4.take(port)));
        assert_eq!(capacity.readiness(NOW), Ok(()), "and not again until the last one is gone");
    }

    #[test]
    fn h53_without_descriptors_it_is_not_ready() {
        let budget = Descriptors::new(2, 0);
        let capacity = Capacity::new(pools(&["2001:db8::1"], 50_000..=50_099), Arc::clone(&budget));
        let first = budget.take(Use::Connection);
        assert_eq!(capacity.readiness(NOW), Ok(()));
        let _second = budget.take(Use::Relayed);
        capacity.failed(NOW, Refused::Descriptor);
        let reason = capacity.readiness(NOW).unwrap_err();
        assert!(reason.contains("0 of 2 descriptors are free"), "{reason}");
        drop(first);
        assert_eq!(capacity.readiness(NOW), Ok(()));
    }

    #[test]
    fn h53_what_the_system_refuses_counts_until_an_allocation_succeeds_or_for_half_a_minute() {
        let capacity =
            Capacity::new(pools(&["192.0.2.1"], 50_000..=50_099), Descriptors::unlimited());
        capacity.failed(NOW, Refused::Reservation);
        assert_eq!(capacity.readiness(NOW), Ok(()), "the client's own fault");
        capacity.failed(NOW, Refused::Memory);
        assert!(capacity.readiness(NOW + Duration::from_secs(29)).is_err());
        assert_eq!(capacity.readiness(NOW + REMEMBERED), Ok(()));
        capacity.failed(NOW, Refused::Address);
        capacity.succeeded();
        assert_eq!(capacity.readiness(NOW), Ok(()));
    }
}
