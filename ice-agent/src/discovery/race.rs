//! Attempts with staggered starts, of which the first success wins.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// "One recommended value for a default delay is 250 milliseconds" (RFC 8305 §5).
pub const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The attempt that won, and those that had failed by then.
#[derive(Debug, PartialEq, Eq)]
pub struct Won<A, T, E> {
    /// The candidate that won.
    pub with: A,
    /// The result of its attempt.
    pub value: T,
    /// The candidates that failed before, with their errors.
    pub failed: Vec<(A, E)>,
}

/// Starts an attempt with the first candidate, then one with each of the others: after
/// [`CONNECTION_ATTEMPT_DELAY`], or as soon as all earlier attempts have failed. "Once one of the
/// connection attempts succeeds …, all other connections attempts that have not yet succeeded
/// SHOULD be canceled" (RFC 8305 §5): they are dropped.
///
/// # Errors
/// All attempts failed: each candidate with its error, in the order of the failures.
pub async fn race<A: Clone, T, E, F: Future<Output = Result<T, E>>>(
    with: &[A],
    mut attempt: impl FnMut(A) -> F,
) -> Result<Won<A, T, E>, Vec<(A, E)>> {
    let mut waiting = with.iter();
    let mut running: Vec<(A, Pin<Box<F>>)> = Vec::new();
    let mut failed = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if running.is_empty() || Instant::now() >= next_at {
            match waiting.next() {
                Some(next) => running.push((next.clone(), Box::pin(attempt(next.clone())))),
                None if running.is_empty() => return Err(failed),
                None => {}
            }
            next_at = Instant::now() + CONNECTION_ATTEMPT_DELAY;
        }
        let any = poll_fn(|wakes| {
            for at in 0..running.len() {
                if let Poll::Ready(result) = running[at].1.as_mut().poll(wakes) {
                    let (with, _) = running.remove(at);
                    return Poll::Ready((with, result));
                }
            }
            Poll::Pending
        });
        let (with, result) = if waiting.as_slice().is_empty() {
            any.await
        } else {
            tokio::select! {
                ended = any => ended,
                () = sleep_until(next_at) => continue,
            }
        };
        match result {
            Ok(value) => return Ok(Won { with, value, failed }),
            Err(error) => failed.push((with, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Runs attempts given as (milliseconds, success). Returns when each began, the result, and the
    /// total time in milliseconds.
    async fn run(
        attempts: &[(u64, bool)],
    ) -> (Vec<u128>, Result<Won<usize, usize, usize>, Vec<(usize, usize)>>, u128) {
        let start = Instant::now();
        let began = RefCell::new(Vec::new());
        let numbers: Vec<usize> = (0..attempts.len()).collect();
        let result = race(&numbers, |at| {
            began.borrow_mut().push(start.elapsed().as_millis());
            async move {
                tokio::time::sleep(Duration::from_millis(attempts[at].0)).await;
                if attempts[at].1 { Ok(at) } else { Err(at) }
            }
        })
        .await;
        let took = start.elapsed().as_millis();
        (began.into_inner(), result, took)
    }

    #[tokio::test(start_paused = true)]
    async fn rfc8305_5_a_silent_first_address_costs_250_ms() {
        let (began, result, took) = run(&[(10_000, true), (40, true), (1, true)]).await;
        assert_eq!(began, [0, 250]);
        assert_eq!(result.unwrap().value, 1);
        assert!((290..300).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn rfc8305_5_a_quick_first_address_wins_alone() {
        let (began, result, _) = run(&[(100, true), (1, true)]).await;
        assert_eq!((began.len(), result.unwrap().with), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn rfc8305_5_an_attempt_goes_on_while_others_begin() {
        let (began, result, took) = run(&[(600, true), (5_000, true), (5_000, true)]).await;
        assert_eq!((began.len(), result.unwrap().value), (3, 0));
        assert!((600..610).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_begins_at_once() {
        let (began, result, _) = run(&[(10, false), (10, false), (10, true)]).await;
        let won = result.unwrap();
        assert!(began[2] < 30, "{began:?}");
        assert_eq!((won.value, won.failed), (2, vec![(0, 0), (1, 1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_told() {
        let (_, result, _) = run(&[(300, false), (10, false)]).await;
        assert_eq!(result.unwrap_err(), [(1, 1), (0, 0)]);
        assert_eq!(run(&[]).await.1.unwrap_err(), []);
    }
}
