//! The number of rooms that the open-file limit allows, since each member may have a few
//! connections.

use super::room::MAX_REQUESTS;
use super::slots::MAX_UNAUTHENTICATED;

/// Open files of the process other than connections.
const OTHERS: u64 = 64;
/// Maximum number of connections of a room's two members.
const OF_ROOM: u64 = 2 * MAX_REQUESTS as u64;

/// The number of rooms for which `limit` open files are enough, at most `rooms`.
fn rooms_within(limit: u64, rooms: usize) -> usize {
    let left = limit.saturating_sub(OTHERS + MAX_UNAUTHENTICATED as u64) / OF_ROOM;
    usize::try_from(left).unwrap_or(usize::MAX).min(rooms)
}

/// Raises the open-file limit as far as `rooms` need it and the host allows, and returns the number
/// of rooms that fit.
///
/// # Errors
/// Not even one room fits.
#[cfg(unix)]
pub(super) fn rooms_that_fit(rooms: usize) -> anyhow::Result<usize> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let needed =
        (rooms as u64).saturating_mul(OF_ROOM).saturating_add(OTHERS + MAX_UNAUTHENTICATED as u64);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let mut limit = soft;
    if soft < needed && setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard).is_ok() {
        limit = needed.min(hard);
    }
    let fit = rooms_within(limit, rooms);
    if fit == 0 && rooms > 0 {
        anyhow::bail!(
            "the limit of {limit} open files is too low for one room; raise it (ulimit -n)"
        );
    }
    if fit < rooms {
        causeway_cli::complain(format_args!(
            "rendezvous: the limit of {limit} open files allows only {fit} of {rooms} rooms; \
                         raise it to {needed} (ulimit -n)"
        ));
    }
    Ok(fit)
}

/// On other systems sockets do not count as files, and have no limit that matters.
#[cfg(not(unix))]
pub(super) fn rooms_that_fit(rooms: usize) -> anyhow::Result<usize> {
    Ok(rooms_within(u64::MAX, rooms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h53_rooms_fit_into_the_limit_of_open_files() {
        assert_eq!(rooms_within(1_024, 1_000), 74);
        assert_eq!(rooms_within(65_536, 1_000), 1_000);
        assert_eq!(rooms_within(256, 1_000), 0);
    }
}
