//! The operator's choice of a backend.

use std::fmt;

use super::probe;
use super::refusal::Refusal;

/// How a loop waits, receives from relayed sockets, and sends from them. A service sees no
/// difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// Level-triggered epoll, and a system call for each socket that brings or sends something.
    #[default]
    Epoll,
    /// A ring of requests for all relayed sockets together; Linux 6.1 or later.
    IoUring,
}

impl Backend {
    /// Its name in the configuration, in logs and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }

    /// Whether the kernel lets this process use it. It is used once for everything that a loop
    /// needs.
    ///
    /// # Errors
    /// [`Refusal`]: the step that failed, and why.
    pub fn available(self) -> Result<(), Refusal> {
        match self {
            Self::Epoll => Ok(()),
            Self::IoUring => probe::try_out(),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
