//! The output of a program, line by line, for callers that wait for a certain line.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of lines kept per program; the oldest are dropped.
const KEPT_LINES: usize = 5_000;
/// Maximum number of lines in an error message.
const SHOWN_LINES: usize = 40;

/// The stream that a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// The lines of one program, filled by a thread for each stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<(Stream, String)>,
    /// How many older lines were dropped: positions count from the first line ever.
    dropped: usize,
    open_streams: usize,
}

impl Log {
    /// Reads `source` to its end on a thread of its own.
    pub(crate) fn follow(&self, stream: Stream, source: impl Read + Send + 'static) {
        self.lines().open_streams += 1;
        let log = self.clone();
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                log.push(stream, String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            log.lines().open_streams -= 1;
            log.shared.1.notify_all();
        });
    }

    fn push(&self, stream: Stream, line: String) {
        let mut lines = self.lines();
        if lines.kept.len() == KEPT_LINES {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back((stream, line));
        self.shared.1.notify_all();
    }

    /// The first line at or after `position` that `wanted` accepts, with the position after it.
    /// `None` after the timeout, or when all streams have ended without it.
    pub(crate) fn wait(
        &self,
        position: usize,
        timeout: Duration,
        mut wanted: impl FnMut(Stream, &str) -> bool,
    ) -> Option<(usize, String)> {
        let deadline = Instant::now() + timeout;
        let mut next = position;
        let mut lines = self.lines();
        loop {
            next = next.max(lines.dropped);
            for (stream, line) in lines.kept.iter().skip(next - lines.dropped) {
                next += 1;
                if wanted(*stream, line) {
                    return Some((next, line.clone()));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.open_streams == 0 {
                return None;
            }
            lines =
                self.shared.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the program has closed both streams.
    pub(crate) fn is_closed(&self) -> bool {
        self.lines().open_streams == 0
    }

    /// Waits until the program has closed both streams, so that nothing it wrote is missed.
    pub(crate) fn wait_closed(&self, timeout: Duration) {
        let lines = self.lines();
        drop(self.shared.1.wait_timeout_while(lines, timeout, |lines| lines.open_streams > 0));
    }

    /// The lines kept of one stream.
    pub(crate) fn text(&self, stream: Stream) -> String {
        self.joined(|from| from == stream)
    }

    /// The lines kept of both streams, in the order of reading.
    pub(crate) fn all(&self) -> String {
        self.joined(|_| true)
    }

    fn joined(&self, wanted: impl Fn(Stream) -> bool) -> String {
        let lines = self.lines();
        let kept = lines.kept.iter().filter(|(from, _)| wanted(*from));
        kept.map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last lines of an output, indented, for an error message.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    if shown.is_empty() {
        return "    (nothing)".to_owned();
    }
    shown.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(text: &'static str) -> Log {
        let log = Log::default();
        log.follow(Stream::Output, text.as_bytes());
        log
    }

    #[test]
    fn a_line_is_found_and_the_search_goes_on_behind_it() {
        let log = log_of("one\ntwo\none again\n");
        let second = Duration::from_secs(1);
        let (position, line) = log.wait(0, second, |_, line| line.starts_with("one")).unwrap();
        assert_eq!(line, "one");
        let (_, line) = log.wait(position, second, |_, line| line.starts_with("one")).unwrap();
        assert_eq!(line, "one again");
    }

    #[test]
    fn waiting_ends_with_the_program() {
        let log = log_of("one\n");
        let started = Instant::now();
        assert_eq!(log.wait(0, Duration::from_secs(60), |_, line| line == "two"), None);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_flood_is_bounded_and_positions_stay_true() {
        let log = Log::default();
        for number in 0..KEPT_LINES + 10 {
            log.push(Stream::Output, number.to_string());
        }
        assert_eq!(log.text(Stream::Output).lines().next(), Some("10"));
        log.lines().open_streams = 1;
        let (position, _) = log.wait(0, Duration::from_secs(1), |_, line| line == "5000").unwrap();
        assert_eq!(position, 5001);
    }
}
