//! The order in which queued messages leave.

use std::os::fd::RawFd;

/// Maximum number of messages that wait for a flush: one for each slot, and as many replies.
pub(super) const CAPACITY: usize = 128;
const _: () = assert!(CAPACITY <= u128::BITS as usize && CAPACITY < NONE as usize);

const NONE: u8 = u8::MAX;
/// Number of hash buckets. Descriptors are small numbers: few of one batch share a bucket.
const BUCKETS: usize = 256;

/// Maps the positions in which messages leave to the indexes at which they were queued.
///
/// Messages leave socket by socket, and each socket's in the order in which they were queued (row
/// H51). All messages of one socket are then adjacent, so that either one request of a ring or one
/// run of system calls carries them, and a later message does not overtake one that has to be
/// repeated.
pub(super) struct Order {
    indexes: [u8; CAPACITY],
    /// Whether any message leaves at another position than its own.
    moved: bool,
}

impl Order {
    pub(super) fn new() -> Self {
        Self { indexes: IN_PLACE, moved: false }
    }

    /// The index of the message that leaves at `position`.
    pub(super) fn at(&self, position: usize) -> usize {
        usize::from(self.indexes[position])
    }

    /// Whether the messages that leave at these positions were queued consecutively.
    pub(super) fn is_in_place(&self, first: usize, end: usize) -> bool {
        // Indexes rise within one socket's messages.
        !self.moved || self.at(end - 1) - self.at(first) == end - 1 - first
    }

    /// Every message leaves at its own position again.
    pub(super) fn reset(&mut self) {
        if self.moved {
            *self = Self::new();
        }
    }

    /// Arranges messages that leave from `sockets`, one descriptor for each message, at most
    /// [`CAPACITY`].
    pub(super) fn arrange(&mut self, sockets: impl Iterator<Item = RawFd>) {
        let mut runs = Runs::new();
        for (index, socket) in sockets.enumerate() {
            runs.add(index, socket);
        }
        if !runs.scattered {
            return;
        }
        let (mut position, mut heads) = (0, runs.heads);
        while heads != 0 {
            let mut run = heads.trailing_zeros() as usize;
            heads &= heads - 1;
            loop {
                for index in runs.starts[run]..runs.ends[run] {
                    self.indexes[position] = index;
                    position += 1;
                }
                match runs.next[run] {
                    NONE => break,
                    next => run = usize::from(next),
                }
            }
        }
        self.moved = true;
    }
}

const IN_PLACE: [u8; CAPACITY] = {
    let mut indexes = [0; CAPACITY];
    let mut index = 0;
    while index < CAPACITY {
        indexes[index] = index as u8;
        index += 1;
    }
    indexes
};

/// Runs of messages of one socket that were queued consecutively, and the links between the runs of
/// one socket.
struct Runs {
    len: usize,
    sockets: [RawFd; CAPACITY],
    starts: [u8; CAPACITY],
    ends: [u8; CAPACITY],
    /// The next run of the same socket.
    next: [u8; CAPACITY],
    /// The last run of each bucket, and the one before it in the same bucket.
    buckets: [u8; BUCKETS],
    before: [u8; CAPACITY],
    /// The first run of each socket, by bit.
    heads: u128,
    /// Whether any socket has several runs.
    scattered: bool,
}

impl Runs {
    fn new() -> Self {
        Self {
            len: 0,
            sockets: [0; CAPACITY],
            starts: [0; CAPACITY],
            ends: [0; CAPACITY],
            next: [NONE; CAPACITY],
            buckets: [NONE; BUCKETS],
            before: [NONE; CAPACITY],
            heads: 0,
            scattered: false,
        }
    }

    fn add(&mut self, index: usize, socket: RawFd) {
        if self.len > 0 && self.sockets[self.len - 1] == socket {
            self.ends[self.len - 1] = index as u8 + 1;
            return;
        }
        let run = self.len;
        self.len += 1;
        self.sockets[run] = socket;
        (self.starts[run], self.ends[run]) = (index as u8, index as u8 + 1);
        let bucket = socket as usize % BUCKETS;
        match self.last_of(socket, bucket) {
            NONE => self.heads |= 1 << run,
            last => {
                self.next[usize::from(last)] = run as u8;
                self.scattered = true;
            }
        }
        self.before[run] = self.buckets[bucket];
        self.buckets[bucket] = run as u8;
    }

    fn last_of(&self, socket: RawFd, bucket: usize) -> u8 {
        let mut run = self.buckets[bucket];
        while run != NONE && self.sockets[usize::from(run)] != socket {
            run = self.before[usize::from(run)];
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(sockets: &[RawFd]) -> Vec<usize> {
        let mut order = Order::new();
        order.arrange(sockets.iter().copied());
        (0..sockets.len()).map(|position| order.at(position)).collect()
    }

    #[test]
    fn h51_messages_leave_socket_by_socket_and_each_socket_s_in_order() {
        assert_eq!(arranged(&[]), []);
        assert_eq!(arranged(&[5, 5, 6, 7, 7]), [0, 1, 2, 3, 4]);
        assert_eq!(arranged(&[5, 6, 5]), [0, 2, 1]);
        assert_eq!(arranged(&[5, 6, 6, 5, 7, 6, 5, 5]), [0, 3, 6, 7, 1, 2, 5, 4]);
        // The same bucket.
        assert_eq!(arranged(&[1, 257, 513, 257, 1, 513, 1]), [0, 4, 6, 1, 3, 2, 5]);
    }

    #[test]
    fn h51_every_message_of_a_full_outbox_has_one_position() {
        let mut state = 1u32;
        for sockets in [1, 2, 3, 10, 64, 128, 400] {
            let batch: Vec<RawFd> = (0..CAPACITY)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((state >> 8) % sockets) as RawFd
                })
                .collect();
            let order = arranged(&batch);
            // A stable sort by the first appearance of each socket.
            let mut expected: Vec<usize> = (0..CAPACITY).collect();
            expected.sort_by_key(|index| batch.iter().position(|socket| *socket == batch[*index]));
            assert_eq!(order, expected);
        }
    }

    #[test]
    fn a_run_in_place_is_told_from_one_that_was_gathered() {
        let mut order = Order::new();
        order.arrange([5, 6, 6, 5].into_iter());
        assert!(!order.is_in_place(0, 2));
        assert!(order.is_in_place(0, 1));
        assert!(order.is_in_place(2, 4));
        order.reset();
        assert!(order.is_in_place(0, 4));
    }
}
