//! How many rooms the limit of open files leaves: each member may have a few connections.

use super::room::MAX_REQUESTS;
use super::slots::MAX_UNAUTHENTICATED;

/// Open files of the process beside connections.
const OTHERS: u64 = 64;
/// Connections of a room's two members.
const OF_ROOM: u64 = 2 * MAX_REQUESTS as u64;

/// The number of rooms for which `limit` open files are enough, up to `rooms`.
fn rooms_within(limit: u64, rooms: usize) -> usize {
    let left = limit.saturating_sub(OTHERS + MAX_UNAUTHENTICATED as u64) / OF_ROOM;
    usize::try_from(left).unwrap_or(usize::MAX).min(rooms)
}

/// Raises the limit of open files as far as `rooms` need it and the host allows.
///
/// # Errors
/// Why not even one room is possible.
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
            "this host allows {limit} open files, which are too few for one room; raise the limit (ulimit -n)"
        );
    }
    if fit < rooms {
        causeway_cli::complain(format_args!(
            "rendezvous: {fit} rooms instead of {rooms}, which need {needed} open files: this host allows {limit} (ulimit -n)"
        ));
    }
    Ok(fit)
}

/// Sockets are no files here, and have no limit that matters.
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
