//! A process of the demonstration: ended with it, whatever happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use causeway_kit::{self as kit, Scratch, wait};

use super::stop::Stop;
use crate::workspace;

/// The folder of the executables, if it is not the one where cargo builds them for tests.
static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// Takes the executables from this folder. The first call counts.
pub(super) fn take_from(folder: &Path) {
    PROGRAMS.get_or_init(|| folder.to_owned());
}

/// One of the workspace's executables.
pub(super) fn built(name: &str) -> Command {
    Command::new(
        PROGRAMS.get().cloned().unwrap_or_else(|| workspace::target().join("debug")).join(name),
    )
}

/// A running process. Killed when dropped, if it still runs.
pub(super) struct Process {
    running: kit::Process,
    /// The file with its log, which does not exist when the log is shown.
    log: PathBuf,
}

impl Process {
    /// Starts it with its output on the terminal.
    pub(super) fn shown(name: &str, command: Command, scratch: &Scratch) -> Result<Self> {
        Self::spawn(name, command, scratch.path(name))
    }

    /// Starts it with its output in `<name>.out` and its log in `<name>.log`.
    pub(super) fn logged(name: &str, mut command: Command, scratch: &Scratch) -> Result<Self> {
        let log = scratch.path(&format!("{name}.log"));
        command
            .stdout(File::create(scratch.path(&format!("{name}.out")))?)
            .stderr(File::create(&log)?);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, command: Command, log: PathBuf) -> Result<Self> {
        Ok(Self { running: kit::Process::with_own_output(name, command)?, log })
    }

    /// Waits until `ready` is true. `what` names the condition in errors.
    pub(super) fn wait_until(
        &mut self,
        what: &str,
        ready: impl Fn() -> bool,
        limit: Duration,
        stop: &Stop,
    ) -> Result<()> {
        let ready = || stop.is_asked() || ready();
        let waited = self.running.wait_until(what, limit, ready);
        stop.check()?;
        waited.map_err(|error| self.with_log(&error))
    }

    /// Waits for its end, which must be a success.
    pub(super) fn succeeded_within(mut self, limit: Duration, stop: &Stop) -> Result<()> {
        let running = &mut self.running;
        let _ = wait::until(limit, || stop.is_asked() || !matches!(running.has_ended(), Ok(None)));
        stop.check()?;
        match self.running.finish(Duration::ZERO).and_then(kit::Finished::success) {
            Ok(_) => Ok(()),
            Err(error) => bail!("{error}; {}", log_of(&self.log)),
        }
    }

    /// Ends it by Ctrl-C's signal, which must be a success.
    pub(super) fn end(mut self, limit: Duration) -> Result<()> {
        let ended = self.running.end_by("INT", limit);
        ended.map_err(|error| self.with_log(&error))
    }

    /// Ends it as a crash would.
    pub(super) fn kill(mut self) -> Result<()> {
        Ok(self.running.kill()?)
    }

    fn with_log(&self, error: &kit::Error) -> anyhow::Error {
        anyhow!("{error}; {}", log_of(&self.log))
    }
}

fn log_of(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}
