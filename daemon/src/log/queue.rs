//! The queue between the threads that log and the file descriptor that may block.
//!
//! `tracing-appender` has a lossy queue, too, but does not say in the log that lines were lost,
//! cuts no line, and waits without a bound for a blocked reader when the process ends.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of queued lines; further lines are dropped.
const MAX_QUEUED: usize = 4_096;
/// Maximum length of a line in bytes; longer ones are cut.
const MAX_LINE: usize = 16 << 10;

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// A bounded queue of lines, written by a thread of its own.
#[derive(Clone)]
pub(super) struct Queue {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_QUEUED);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = dropped.clone();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&receiver, sink, &counter))?;
        Ok(Queue { sender, dropped })
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all queued lines are written, at most for `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        let (done, finished) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            message = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = finished.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

fn write_all(receiver: &Receiver<Message>, mut sink: impl Write, dropped: &AtomicU64) {
    let mut reported = 0;
    for message in receiver {
        // A sink that fails (a closed pipe) must not end this thread or the service.
        match message {
            Message::Line(line) => {
                let _ = sink.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = sink.flush();
                let _ = done.send(());
            }
        }
        let total = dropped.load(Ordering::Relaxed);
        if total > reported {
            let _ = writeln!(
                sink,
                "{} log lines were dropped: the log's reader was too slow",
                total - reported
            );
            reported = total;
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: self, text: Vec::new() }
    }
}

/// One line, which is queued when this value is dropped.
pub(super) struct Line<'a> {
    queue: &'a Queue,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MAX_LINE.saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        if self.text.last() != Some(&b'\n') {
            self.text.push(b'\n');
        }
        if self.queue.sender.try_send(Message::Line(std::mem::take(&mut self.text))).is_err() {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A sink that waits for the gate before each write.
    struct Gated(Arc<Mutex<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.0.lock().unwrap();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_reader_costs_lines_and_no_time() {
        let (gate, written) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(Vec::new())));
        let queue = Queue::start(Gated(gate.clone(), written.clone())).unwrap();
        let closed = gate.lock().unwrap();
        let started = Instant::now();
        for _ in 0..MAX_QUEUED + 100 {
            queue.make_writer().write_all(b"line\n").unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!((99..=100).contains(&queue.dropped()), "{}", queue.dropped());
        drop(closed);
        queue.flush(Duration::from_secs(10));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.contains("log lines were dropped"), "the loss is logged");
        assert!(text.matches("line\n").count() >= MAX_QUEUED);
    }

    #[test]
    fn a_line_is_cut_where_it_grows_too_long() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let queue = Queue::start(Gated(Arc::default(), written.clone())).unwrap();
        queue.make_writer().write_all(&vec![b'x'; MAX_LINE * 2]).unwrap();
        queue.flush(Duration::from_secs(10));
        assert_eq!(written.lock().unwrap().len(), MAX_LINE + 1);
    }
}
