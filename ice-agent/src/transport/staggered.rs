//! Handshakes over a path that loses packets: attempts with staggered starts.
//!
//! The system retransmits an unanswered SYN after one second and then after two, and DTLS does the
//! same with its flights. Within the few seconds that an agent waits, three lost packets would look
//! like a server that is down. So a second attempt starts next to the first one, and more after it,
//! until one of them has a result.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The second attempt starts after a quarter of the time, which is longer than a path with an
/// ordinary delay needs.
const BEFORE_SECOND: u32 = 4;
/// Further attempts start in steps of a tenth of the time.
const BETWEEN: u32 = 10;
/// Maximum number of attempts.
const MAX_ATTEMPTS: usize = 8;

/// Runs an attempt, and more next to it while it is silent, and returns the first result that is
/// not silence. The first attempt takes at most `within`; if it ends in silence, that is the
/// result.
///
/// # Errors
/// The attempt's.
pub(crate) async fn staggered<T, E, F: Future<Output = Result<T, E>>>(
    within: Duration,
    is_silence: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let start = Instant::now();
    let mut attempts = 1;
    let mut first = Box::pin(attempt());
    let mut others: Vec<Pin<Box<F>>> = Vec::new();
    loop {
        let next_at = start + within / BEFORE_SECOND + within / BETWEEN * (attempts as u32 - 1);
        let any = std::future::poll_fn(|wakes| match first.as_mut().poll(wakes) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => poll_others(&mut others, &is_silence, wakes),
        });
        tokio::select! {
            ended = any => return ended,
            () = sleep_until(next_at), if attempts < MAX_ATTEMPTS => {
                attempts += 1;
                others.push(Box::pin(attempt()));
            }
        }
    }
}

/// The first result that is not silence; attempts that ended in silence are removed.
fn poll_others<T, E, F: Future<Output = Result<T, E>>>(
    others: &mut Vec<Pin<Box<F>>>,
    is_silence: &impl Fn(&E) -> bool,
    wakes: &mut Context<'_>,
) -> Poll<Result<T, E>> {
    let mut at = 0;
    while at < others.len() {
        match others[at].as_mut().poll(wakes) {
            Poll::Ready(Err(error)) if is_silence(&error) => drop(others.swap_remove(at)),
            Poll::Ready(ended) => return Poll::Ready(ended),
            Poll::Pending => at += 1,
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    /// Runs attempts that are silent for `WITHIN`, except those with these numbers. Returns the
    /// result, the time in milliseconds, and the number of attempts.
    async fn run(
        answered: &[(u32, Result<u32, &'static str>)],
    ) -> (Result<u32, &'static str>, u128, u32) {
        let start = Instant::now();
        let attempts = Cell::new(0);
        let ended = staggered(
            WITHIN,
            |error| *error == "silence",
            || {
                let number = attempts.replace(attempts.get() + 1);
                let answer =
                    answered.iter().find(|(at, _)| *at == number).map(|(_, answer)| *answer);
                async move {
                    tokio::time::sleep(if answer.is_some() {
                        Duration::from_millis(100)
                    } else {
                        WITHIN
                    })
                    .await;
                    answer.unwrap_or(Err("silence"))
                }
            },
        )
        .await;
        (ended, start.elapsed().as_millis(), attempts.get())
    }

    #[tokio::test(start_paused = true)]
    async fn h58_a_lost_handshake_is_made_up_for_by_another_and_one_that_works_stays_alone() {
        assert_eq!(run(&[(0, Ok(0))]).await, (Ok(0), 100, 1));
        assert_eq!(run(&[(1, Ok(1))]).await, (Ok(1), 1350, 2));
        assert_eq!(run(&[(3, Ok(3))]).await, (Ok(3), 2350, 4));
        assert_eq!(run(&[(2, Err("refused"))]).await, (Err("refused"), 1850, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn h58_a_server_that_is_away_costs_no_more_time_than_one_attempt() {
        assert_eq!(run(&[]).await, (Err("silence"), 5000, 8));
    }
}
