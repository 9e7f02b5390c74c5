//! The budget of a turn for each kind of work, over all sockets, streams and associations together
//! (H52): each of them has a limit of its own, and there are thousands.

/// Maximum number of frames of all streams.
const FRAMES: usize = 1024;
/// Maximum number of bytes read from all streams.
const BYTES: usize = 1 << 20;
/// Maximum number of frames of one stream, about as many as a batch of datagrams has; and the
/// minimum share, however many streams wait.
const SHARE: usize = 128;
const LEAST_SHARE: usize = 16;
/// Maximum number of DTLS records of all associations, without the first of each datagram.
const RECORDS: usize = 512;
/// Maximum number of connections accepted from all listeners.
const ACCEPTS: usize = 64;
/// Maximum number of ICMP errors of all sockets.
const ERRORS: usize = 256;
/// Maximum number of connections and handshakes that end because their time is up.
const ENDINGS: usize = 64;

/// The unused part of a turn's budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) frames: usize,
    bytes: usize,
    share: usize,
    pub(super) records: usize,
    pub(super) accepts: usize,
    pub(super) errors: usize,
    pub(super) endings: usize,
}

impl Budget {
    /// The budget of a whole turn at whose beginning `waiting` streams wait to be served.
    pub(super) fn of_a_turn(waiting: usize) -> Self {
        let share = (FRAMES / waiting.max(1)).clamp(LEAST_SHARE, SHARE);
        Self {
            frames: FRAMES,
            bytes: BYTES,
            share,
            records: RECORDS,
            accepts: ACCEPTS,
            errors: ERRORS,
            endings: ENDINGS,
        }
    }

    /// Whether no more is to be read from streams in this turn.
    pub(super) fn is_spent_on_streams(&self) -> bool {
        self.frames == 0 || self.bytes == 0
    }

    /// Whether sockets and listeners had to be left for the next turn.
    pub(super) fn is_spent_on_sockets(&self) -> bool {
        self.accepts == 0 || self.errors == 0
    }

    /// Counts bytes that were read from a stream.
    pub(super) fn read(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Maximum number of frames that the next stream may be served.
    pub(super) fn share(&self) -> usize {
        self.share.min(self.frames)
    }
}

/// Takes one unit of what is `left` of a budget; `false`: nothing was left.
pub(super) fn take(left: &mut usize) -> bool {
    let had = *left > 0;
    *left = left.saturating_sub(1);
    had
}
