//! Running many labs at once: they mostly wait.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Runs `job` for each input, `at_once` of them at a time; the results in the order of the inputs.
///
/// # Panics
/// When a job panics, after the others have ended.
pub fn parallel<I: Send, R: Send>(
    inputs: Vec<I>,
    at_once: usize,
    job: impl Fn(I) -> R + Sync,
) -> Vec<R> {
    let waiting: Mutex<VecDeque<(usize, I)>> = Mutex::new(inputs.into_iter().enumerate().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((index, input)) = next() {
                    let result = job(input);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_inputs() {
        let squares = parallel((0..20_u64).collect(), 4, |number| {
            std::thread::sleep(std::time::Duration::from_millis(20 - number));
            number * number
        });
        assert_eq!(squares, (0..20).map(|number| number * number).collect::<Vec<_>>());
    }
}
