//! The budget of descriptors that clients may cause to be opened.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::Reading;

/// Maximum descriptor that [`count_open`] looks at. A process that has just started has no higher
/// one.
const HIGHEST: u64 = 1 << 16;

/// The purpose that a descriptor is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A relayed socket: its client has authenticated.
    Relayed,
    /// An accepted connection: any client may open one, without authentication.
    Connection,
}

const USES: [(Use, &str); 2] = [(Use::Relayed, "relayed_socket"), (Use::Connection, "connection")];

/// The process's budget of descriptors for sockets that clients cause: relayed sockets and accepted
/// connections, over all workers. What the process opens for itself (admin listener, store,
/// certificates, logs) does not come out of it, so clients cannot take the last one.
///
/// One atomic word; a worker never waits for another.
#[derive(Debug)]
pub struct Descriptors {
    room: u32,
    /// How many connections leave for relayed sockets: otherwise clients that only connect could
    /// keep users from allocating.
    kept_for_relayed: u32,
    /// Both counts, see [`Taken`].
    taken: AtomicU64,
    refused: [AtomicU64; USES.len()],
}

/// How many descriptors are taken now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taken {
    relayed: u32,
    connections: u32,
}

/// One descriptor of the budget, given back when it is dropped, whatever path drops it. Keep it
/// beside the file descriptor and drop it after.
#[derive(Debug)]
pub struct Descriptor {
    budget: Arc<Descriptors>,
    used_for: Use,
}

impl Descriptors {
    /// A budget of `room` descriptors, of which connections leave `kept_for_relayed` alone.
    pub fn new(room: usize, kept_for_relayed: usize) -> Arc<Self> {
        let clamp = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (room, kept_for_relayed) = (clamp(room), clamp(kept_for_relayed.min(room)));
        Arc::new(Self {
            room,
            kept_for_relayed,
            taken: AtomicU64::new(0),
            refused: Default::default(),
        })
    }

    /// A budget without a limit: the kernel's holds.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX, 0)
    }

    /// Takes one, before the descriptor is opened or as soon as it is accepted. `None` when none is
    /// left; that is counted.
    pub fn take(self: &Arc<Self>, used_for: Use) -> Option<Descriptor> {
        let room = match used_for {
            Use::Relayed => self.room,
            Use::Connection => self.room - self.kept_for_relayed,
        };
        let one_more = |bits: u64| {
            let mut taken = Taken::from_bits(bits);
            if taken.all() >= u64::from(room) {
                return None;
            }
            *taken.of(used_for) += 1;
            Some(taken.bits())
        };
        match self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more) {
            Ok(_) => Some(Descriptor { budget: Arc::clone(self), used_for }),
            Err(_) => {
                self.refused[used_for as usize].fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// How many descriptors clients may take in all.
    pub fn room(&self) -> usize {
        self.room as usize
    }

    /// How many are left for a relayed socket.
    pub fn left(&self) -> usize {
        let taken = Taken::from_bits(self.taken.load(Ordering::Acquire)).all();
        u64::from(self.room).saturating_sub(taken) as usize
    }

    /// How often a descriptor was refused.
    pub fn refused(&self) -> u64 {
        self.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The budget, for an exporter.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + use<> {
        let mut taken = Taken::from_bits(self.taken.load(Ordering::Acquire));
        let room = Reading {
            family: "client_descriptors_maximum",
            cause: None,
            help: "Maximum number of descriptors that clients may take: \
                   the limit without what is open at start and the reserve",
            gauge: true,
            value: self.room.into(),
        };
        let mut all = vec![room];
        for (used_for, name) in USES {
            let cause = Some(name);
            let open = "Descriptors that clients have taken, by what for";
            all.push(Reading {
                family: "client_descriptors",
                cause,
                help: open,
                gauge: true,
                value: (*taken.of(used_for)).into(),
            });
            let (refused, help) = (
                &self.refused[used_for as usize],
                "Sockets refused because no descriptor was left for clients",
            );
            all.push(Reading {
                family: "client_descriptors_refused",
                cause,
                help,
                gauge: false,
                value: refused.load(Ordering::Relaxed),
            });
        }
        all.into_iter()
    }

    fn give_back(&self, used_for: Use) {
        let one_less = |bits: u64| {
            let mut taken = Taken::from_bits(bits);
            *taken.of(used_for) -= 1;
            Some(taken.bits())
        };
        let given = self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less);
        debug_assert!(given.is_ok(), "the update always has a value");
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.budget.give_back(self.used_for);
    }
}

impl Taken {
    fn from_bits(bits: u64) -> Self {
        Self { relayed: (bits >> 32) as u32, connections: bits as u32 }
    }

    fn bits(self) -> u64 {
        u64::from(self.relayed) << 32 | u64::from(self.connections)
    }

    fn all(self) -> u64 {
        u64::from(self.relayed) + u64::from(self.connections)
    }

    fn of(&mut self, used_for: Use) -> &mut u32 {
        match used_for {
            Use::Relayed => &mut self.relayed,
            Use::Connection => &mut self.connections,
        }
    }
}

/// The resource whose lack made a system call fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The process, or the system, has no descriptor left.
    Descriptors,
    /// The kernel has no memory for it.
    Memory,
}

/// The shortage that an error reports. `None`: the error has another cause.
pub fn shortage(error: &io::Error) -> Option<Shortage> {
    match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => Some(Shortage::Descriptors),
        libc::ENOBUFS | libc::ENOMEM => Some(Shortage::Memory),
        _ => None,
    }
}

/// The error that the kernel returns when no descriptor is left.
pub(crate) fn none_left() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

/// How many descriptors below `limit` this process has open. Works without `/proc`.
pub fn count_open(limit: u64) -> usize {
    let highest = limit.min(HIGHEST) as libc::c_int;
    // SAFETY: F_GETFD reads a flag of the descriptor, if there is one, and touches no memory of
    // ours.
    (0..highest).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Descriptors) -> (u32, u32) {
        let taken = Taken::from_bits(budget.taken.load(Ordering::Relaxed));
        (taken.relayed, taken.connections)
    }

    #[test]
    fn h53_connections_leave_descriptors_for_relayed_sockets_and_all_come_back() {
        let budget = Descriptors::new(4, 1);
        let connections: Vec<_> = (0..9).filter_map(|_| budget.take(Use::Connection)).collect();
        assert_eq!((connections.len(), taken(&budget), budget.left()), (3, (0, 3), 1));
        let relayed = budget.take(Use::Relayed).expect("the one that connections leave");
        assert!(budget.take(Use::Relayed).is_none(), "four in all");
        assert_eq!((budget.refused(), budget.left()), (7, 0));
        drop(connections);
        assert_eq!((taken(&budget), budget.left()), ((1, 0), 3));
        drop(relayed);
        let relayed: Vec<_> = (0..9).filter_map(|_| budget.take(Use::Relayed)).collect();
        assert_eq!((relayed.len(), budget.take(Use::Connection).is_some()), (4, false));
        drop(relayed);
        assert_eq!(taken(&budget), (0, 0));
    }

    #[test]
    fn h53_whatever_workers_do_at_once_no_more_are_taken_than_there_are() {
        let budget = Descriptors::new(100, 20);
        let work = || {
            let mut held = std::collections::VecDeque::new();
            for round in 0..20_000 {
                held.extend(budget.take(if round % 3 == 0 {
                    Use::Connection
                } else {
                    Use::Relayed
                }));
                let (relayed, connections) = taken(&budget);
                assert!(relayed + connections <= 100 && connections <= 80);
                if round % 2 == 0 {
                    held.pop_front();
                }
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(work)));
        assert_eq!((taken(&budget), budget.left()), ((0, 0), 100));
    }

    #[test]
    fn an_exporter_sees_what_is_taken_and_refused() {
        let budget = Descriptors::new(1, 0);
        let _relayed = budget.take(Use::Relayed);
        assert!(budget.take(Use::Connection).is_none());
        let value = |family, cause| {
            budget.readings().find(|one| (one.family, one.cause) == (family, cause)).unwrap().value
        };
        assert_eq!(value("client_descriptors_maximum", None), 1);
        assert_eq!(value("client_descriptors", Some("relayed_socket")), 1);
        assert_eq!(value("client_descriptors", Some("connection")), 0);
        assert_eq!(value("client_descriptors_refused", Some("connection")), 1);
    }

    #[test]
    fn open_descriptors_are_counted() {
        assert!(count_open(1 << 20) >= 3, "the standard ones at least");
        assert_eq!(count_open(0), 0);
    }
}
