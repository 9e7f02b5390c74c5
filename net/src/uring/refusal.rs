//! Why the kernel gives this process no ring.

use std::error::Error;
use std::{fmt, io};

/// The refusal of a ring, in words for the operator.
#[derive(Debug)]
pub struct Refusal {
    /// The step that failed.
    step: &'static str,
    error: io::Error,
}

impl Refusal {
    pub(super) fn at(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self { step, error }
    }

    fn reason(&self) -> Option<&'static str> {
        Some(match self.error.raw_os_error()? {
            libc::ENOSYS => "this kernel has no io_uring, or a seccomp profile hides it",
            libc::EPERM | libc::EACCES => {
                "io_uring is forbidden by kernel.io_uring_disabled or by a seccomp profile"
            }
            libc::EINVAL | libc::EOPNOTSUPP => {
                "this kernel's io_uring is too old; Linux 6.1 or later has what is needed"
            }
            libc::ENOMEM => "too little memory may be locked (RLIMIT_MEMLOCK)",
            libc::EMFILE | libc::ENFILE => "no descriptor is left (RLIMIT_NOFILE)",
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = self.reason() {
            write!(f, "{reason}: ")?;
        }
        write!(f, "{}: {}", self.step, self.error)
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.error.kind(), refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_learns_whose_decision_it_was() {
        let told =
            |code| Refusal::at("making a ring")(io::Error::from_raw_os_error(code)).to_string();
        assert!(told(libc::EPERM).contains("kernel.io_uring_disabled"), "{}", told(libc::EPERM));
        assert!(told(libc::EINVAL).contains("6.1"));
        assert!(told(libc::ENOMEM).contains("RLIMIT_MEMLOCK"));
        assert!(told(libc::EIO).starts_with("making a ring: "));
    }
}
