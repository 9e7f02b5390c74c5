//! The present fragmentation setting of each socket.

use std::os::fd::RawFd;

use super::options::Fragments;

/// The settings that differ from those at bind, by descriptor, so that a flow of large datagrams
/// costs one change and not two for each batch.
#[derive(Default)]
pub(super) struct Modes(Vec<Option<Fragments>>);

impl Modes {
    /// The present setting of `fd`, which was bound with `home`.
    pub(super) fn of(&self, fd: RawFd, home: Fragments) -> Fragments {
        self.0.get(fd as usize).copied().flatten().unwrap_or(home)
    }

    /// Notes that `fd` was set to `mode`.
    pub(super) fn note(&mut self, fd: RawFd, mode: Fragments) {
        let index = fd as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(mode);
    }

    /// Notes that `fd` is another socket from now on, set as it was bound.
    pub(super) fn forget(&mut self, fd: RawFd) {
        if let Some(mode) = self.0.get_mut(fd as usize) {
            *mode = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_as_it_was_bound_until_it_is_set() {
        let mut modes = Modes::default();
        assert_eq!(modes.of(7, Fragments::Needless), Fragments::Needless);
        modes.note(7, Fragments::Allowed);
        assert_eq!(modes.of(7, Fragments::Needless), Fragments::Allowed);
        assert_eq!(modes.of(6, Fragments::Needless), Fragments::Needless);
        modes.forget(7);
        modes.forget(700);
        assert_eq!(modes.of(7, Fragments::Needless), Fragments::Needless);
    }
}
