//! The present setting of each socket's option.

use std::os::fd::RawFd;

use super::options::Fragments;

/// The sockets whose option is not what it was when they were bound, so that a flow of large
/// datagrams costs one change and not two for each batch.
#[derive(Default)]
pub(super) struct Modes(Vec<Option<Fragments>>);

impl Modes {
    /// The setting of `fd`, which was bound with `home`.
    pub(super) fn of(&self, fd: RawFd, home: Fragments) -> Fragments {
        self.0.get(fd as usize).copied().flatten().unwrap_or(home)
    }

    /// `fd` was set to `mode`.
    pub(super) fn note(&mut self, fd: RawFd, mode: Fragments) {
        let place = fd as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, None);
        }
        self.0[place] = Some(mode);
    }

    /// `fd` is another socket from now on, as it was bound.
    pub(super) fn forget(&mut self, fd: RawFd) {
        if let Some(place) = self.0.get_mut(fd as usize) {
            *place = None;
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
