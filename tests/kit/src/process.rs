//! A program that ends when its [`Process`] is dropped, also when the test panics. Its output is
//! kept.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::log::{self, Log, Stream};
use crate::wait::POLL;

/// How long a program has to end after SIGTERM, when it is dropped without [`Process::stop`].
const GRACE: Duration = Duration::from_secs(2);

/// A failure to run a program. Its message has all that a developer needs to know, without another
/// run of the test. `Debug` prints the message, because a test that unwraps shows `Debug`.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program of this workspace is not built.
    #[error("{path} does not exist: build it first, `cargo build --bin {name}`")]
    NotBuilt {
        /// The name of the executable, as cargo knows it.
        name: String,
        /// The path where it should be.
        path: String,
    },
    /// An event did not happen in time.
    #[error("{program}: no {what} within {waited:?}; its output:\n{log}")]
    Timeout {
        /// The program that was watched.
        program: String,
        /// The event that the caller waited for.
        what: String,
        /// How long the caller waited.
        waited: Duration,
        /// The last lines that the program wrote.
        log: String,
    },
    /// A program ended although it was still needed, or with a failure.
    #[error("{program} ended with {status}, {what}; its output:\n{log}")]
    Ended {
        /// The program that ended.
        program: String,
        /// The status that it ended with.
        status: String,
        /// The reason why that is an error.
        what: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// The attempt, for example `starting turnd`.
        doing: String,
        /// The reason of the operating system.
        source: io::Error,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    fn io(doing: String) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// A running program. Dropped, it is ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Output,
}

/// The place where a program's output goes.
#[derive(Debug)]
enum Output {
    /// Memory, line by line.
    Collected(Log),
    /// One file for both streams.
    File(PathBuf),
    /// Wherever the command sends it.
    Elsewhere,
}

impl Process {
    /// Starts `command` and collects its output line by line. Its standard input stays open.
    /// Dropped, it is asked to end first, so that it can end its own children. `name` is for
    /// errors.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be started.
    pub fn start(name: impl Into<String>, mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let log = Log::default();
        let mut process = Self::spawn(name.into(), command, Output::Collected(log.clone()))?;
        let child = &mut process.child;
        log.follow(Stream::Output, child.stdout.take().expect("stdout is piped above"));
        log.follow(Stream::Error, child.stderr.take().expect("stderr is piped above"));
        Ok(process)
    }

    /// Starts `command` with both streams in the file `log`, which is emptied. Dropped, it is
    /// killed.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be started, or the file cannot be written.
    pub fn logged(
        name: impl Into<String>,
        mut command: Command,
        log: &Path,
    ) -> Result<Self, Error> {
        let open = || {
            // Appended to: two streams in one file would overwrite each other.
            let file = File::create(log).map(drop);
            file.and_then(|()| File::options().append(true).open(log))
                .and_then(|file| Ok((file.try_clone()?, file)))
                .map_err(Error::io(format!("opening {}", log.display())))
        };
        let (output, errors) = open()?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        Self::spawn(name.into(), command, Output::File(log.to_owned()))
    }

    /// Starts `command` with the output that it has been given, and without input. Dropped, it is
    /// killed.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be started.
    pub fn with_own_output(name: impl Into<String>, mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::null());
        Self::spawn(name.into(), command, Output::Elsewhere)
    }

    fn spawn(name: String, mut command: Command, output: Output) -> Result<Self, Error> {
        let child = command.spawn().map_err(Error::io(format!("starting {name}")))?;
        Ok(Self { name, child, output })
    }

    /// The process id, also after it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has written a line, to either stream, that contains `text`; returns the line.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Ended`] when it ended without it.
    pub fn wait_line(&mut self, text: &str, timeout: Duration) -> Result<String, Error> {
        let line = match &self.output {
            Output::Collected(log) => {
                log.wait(0, timeout, |_, line| line.contains(text)).map(|(_, line)| line.to_owned())
            }
            Output::File(_) | Output::Elsewhere => {
                let deadline = Instant::now() + timeout;
                loop {
                    let ended = self.has_ended()?.is_some();
                    let log = self.log();
                    let found = log.lines().find(|line| line.contains(text));
                    if found.is_some() || ended || Instant::now() > deadline {
                        break found.map(ToOwned::to_owned);
                    }
                    std::thread::sleep(POLL);
                }
            }
        };
        line.ok_or_else(|| self.without(&format!("line with {text:?}"), timeout))
    }

    /// The next line at or after `position` that `wanted` accepts, of either stream, and the
    /// position behind it. Only the output of [`Process::start`] has positions.
    pub fn next_line(
        &self,
        position: usize,
        timeout: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Option<(usize, String)> {
        let Output::Collected(log) = &self.output else { return None };
        log.wait(position, timeout, |_, line| wanted(line))
    }

    /// The next line of standard output at or after `position`, and the position behind it.
    pub fn next_output(&self, position: usize, timeout: Duration) -> Option<(usize, String)> {
        let Output::Collected(log) = &self.output else { return None };
        log.wait(position, timeout, |stream, _| stream == Stream::Output)
    }

    /// Waits until `ready` is true, while the program runs. `what` names the condition in errors.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Ended`] when it ended before.
    pub fn wait_until(
        &mut self,
        what: &str,
        timeout: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if ready() {
                return Ok(());
            }
            if self.has_ended()?.is_some() || Instant::now() > deadline {
                return Err(self.without(what, timeout));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Writes one line to its standard input.
    ///
    /// # Errors
    /// [`Error::Io`] when it no longer reads.
    pub fn write_line(&mut self, line: &str) -> Result<(), Error> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe.into());
        stdin
            .and_then(|stdin| writeln!(stdin, "{line}"))
            .map_err(Error::io(format!("writing to {}", self.name)))
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for its end; its exit status, standard output and standard error.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it still runs; it is then ended.
    pub fn finish(mut self, timeout: Duration) -> Result<Finished, Error> {
        let Some(status) = self.wait_end(timeout)? else {
            return Err(self.without("end", timeout));
        };
        let (output, errors) = match &self.output {
            Output::Collected(log) => {
                log.wait_closed(GRACE);
                (log.text(Stream::Output), log.text(Stream::Error))
            }
            Output::File(_) | Output::Elsewhere => (self.log(), String::new()),
        };
        Ok(Finished { name: self.name.clone(), status, output, errors })
    }

    /// Asks it to end (SIGTERM) and ends it (SIGKILL) when it has not within `grace`.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it had to be killed: a service that ignores SIGTERM is a finding.
    pub fn stop(mut self, grace: Duration) -> Result<ExitStatus, Error> {
        self.terminate();
        match self.wait_end(grace)? {
            Some(status) => Ok(status),
            None => {
                let deaf = self.without("end after SIGTERM", grace);
                // Its refusal is known; the drop need not wait for it once more.
                let _ = self.child.kill();
                Err(deaf)
            }
        }
    }

    /// Sends a running service this signal (`TERM`, `INT`), by which it must end with success.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it does not end; [`Error::Ended`] when it ends with a failure, or
    /// had ended before.
    pub fn end_by(&mut self, signal: &str, grace: Duration) -> Result<(), Error> {
        if self.has_ended()?.is_some() {
            return Err(self.without("running service", Duration::ZERO));
        }
        self.signal(signal)?;
        let Some(status) = self.wait_end(grace)? else {
            return Err(self.without(&format!("end after SIG{signal}"), grace));
        };
        if status.success() {
            return Ok(());
        }
        Err(self.failed(status))
    }

    /// [`Process::end_by`] SIGTERM.
    ///
    /// # Errors
    /// As [`Process::end_by`].
    pub fn stop_cleanly(mut self, grace: Duration) -> Result<(), Error> {
        self.end_by("TERM", grace)
    }

    /// Ends it as a crash would (SIGKILL).
    ///
    /// # Errors
    /// [`Error::Io`] when the kernel refuses.
    pub fn kill(&mut self) -> Result<(), Error> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(Error::io(format!("killing {}", self.name)))
    }

    /// Sends it a signal, by its name without `SIG`.
    ///
    /// # Errors
    /// [`Error::Io`] when it has ended.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        // While the child is not reaped, the process id is no other program's.
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        sent.and_then(|status| match status.success() {
            true => Ok(()),
            false => Err(io::Error::other("it has ended")),
        })
        .map_err(Error::io(format!("sending SIG{name} to {}", self.name)))
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// [`Error::Io`] when the kernel refuses to tell.
    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::io(format!("waiting for {}", self.name)))
    }

    /// Waits for its end; `None` when it still runs after that time.
    ///
    /// # Errors
    /// [`Error::Io`] when the kernel refuses to tell.
    pub fn wait_end(&mut self, timeout: Duration) -> Result<Option<ExitStatus>, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.has_ended()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        match &self.output {
            Output::Collected(log) => log.text(Stream::Output),
            Output::File(_) | Output::Elsewhere => self.log(),
        }
    }

    /// Both streams so far; empty when they go elsewhere.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.output {
            Output::Collected(log) => log.all(),
            Output::File(path) => {
                String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
            }
            Output::Elsewhere => String::new(),
        }
    }

    /// The last lines that it wrote, for an error message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log::tail(&self.log())
    }

    /// SIGTERM, unless it has ended.
    fn terminate(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill")
                .args(["-TERM", &self.pid().to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }

    fn without(&mut self, what: &str, waited: Duration) -> Error {
        let what = what.to_owned();
        // A program that has closed its output is about to end: its status tells more than a
        // timeout.
        let closed = matches!(&self.output, Output::Collected(log) if log.is_closed());
        match self.wait_end(if closed { GRACE } else { Duration::ZERO }) {
            Ok(Some(status)) => {
                self.wait_closed();
                Error::Ended {
                    program: self.name.clone(),
                    status: status.to_string(),
                    what: format!("no {what}"),
                    log: self.log_tail(),
                }
            }
            _ => Error::Timeout { program: self.name.clone(), what, waited, log: self.log_tail() },
        }
    }

    fn failed(&self, status: ExitStatus) -> Error {
        self.wait_closed();
        Error::Ended {
            program: self.name.clone(),
            status: status.to_string(),
            what: "a failure".to_owned(),
            log: self.log_tail(),
        }
    }

    fn wait_closed(&self) {
        if let Output::Collected(log) = &self.output {
            log.wait_closed(GRACE);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.output, Output::Collected(_)) {
            self.terminate();
            if matches!(self.wait_end(GRACE), Ok(Some(_))) {
                return;
            }
        }
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    name: String,
    /// The status that it ended with.
    pub status: ExitStatus,
    /// Its standard output; both streams, where they went to one file.
    pub output: String,
    /// Its standard error; empty where both streams went to one file.
    pub errors: String,
}

impl Finished {
    /// Its standard output, if it ended with success.
    ///
    /// # Errors
    /// [`Error::Ended`] with all that it wrote.
    pub fn success(self) -> Result<String, Error> {
        if self.status.success() {
            return Ok(self.output);
        }
        let log = self.to_string();
        Err(Error::Ended {
            program: self.name,
            status: self.status.to_string(),
            what: "a failure".to_owned(),
            log,
        })
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.output.lines().chain(self.errors.lines()) {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("shell", command).unwrap()
    }

    #[test]
    fn output_is_collected_to_the_end() {
        let finished = shell("echo out; echo err >&2").finish(SECOND).unwrap();
        assert_eq!((finished.output.as_str(), finished.errors.as_str()), ("out", "err"));
        assert_eq!(finished.success().unwrap(), "out");
    }

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let error =
            shell("echo why; exit 2").finish(SECOND).unwrap().success().unwrap_err().to_string();
        assert!(error.contains("why") && error.contains('2'), "{error}");
    }

    #[test]
    fn a_program_that_ends_early_is_told_from_a_slow_one() {
        let ended = shell("echo sorry").wait_line("ready", SECOND).unwrap_err();
        assert!(matches!(&ended, Error::Ended { log, .. } if log.contains("sorry")), "{ended}");
        let slow =
            shell("exec sleep 60").wait_line("ready", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(slow, Error::Timeout { .. }), "{slow}");
    }

    #[test]
    fn stop_asks_first_and_a_deaf_program_is_killed_and_reported() {
        let mut polite = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done");
        polite.wait_line("ready", SECOND).unwrap();
        assert_eq!(polite.stop(SECOND).unwrap().code(), Some(7));

        let mut deaf = shell("trap '' TERM; echo ready; while :; do sleep 0.02; done");
        deaf.wait_line("ready", SECOND).unwrap();
        let pid = deaf.pid();
        assert!(matches!(deaf.stop(Duration::from_millis(100)), Err(Error::Timeout { .. })));
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_log_in_a_file_is_waited_for_and_shown() {
        let scratch = crate::Scratch::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; echo sorry >&2; exit 3"]);
        let mut process = Process::logged("shell", command, &scratch.path("log")).unwrap();
        assert_eq!(process.wait_line("ready", SECOND).unwrap(), "ready");
        let error = process.wait_line("more", SECOND).unwrap_err();
        assert!(matches!(&error, Error::Ended { log, .. } if log.contains("sorry")), "{error}");
    }

    #[test]
    fn a_service_that_a_signal_does_not_end_well_is_an_error() {
        let service = |script: &str| {
            let mut service = shell(script);
            service.wait_line("ready", SECOND).unwrap();
            service
        };
        let mut good = service("trap 'exit 0' INT; echo ready; while :; do sleep 0.02; done");
        good.end_by("INT", SECOND).unwrap();
        let mut bad = service("trap 'exit 1' TERM; echo ready; while :; do sleep 0.02; done");
        assert!(matches!(bad.end_by("TERM", SECOND), Err(Error::Ended { .. })));
        assert!(matches!(bad.end_by("TERM", SECOND), Err(Error::Ended { .. })), "it is gone");
    }

    #[test]
    fn a_panic_ends_the_program_too() {
        let (sent, pid) = std::sync::mpsc::channel();
        let test = std::thread::spawn(move || {
            let process = shell("exec sleep 60");
            sent.send(process.pid()).unwrap();
            panic!("as a failed test does");
        });
        assert!(test.join().is_err());
        assert!(!Path::new(&format!("/proc/{}", pid.recv().unwrap())).exists());
    }
}
