//! A process of the demonstration: ended with it, whatever happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::scratch::Scratch;
use super::stop::Stop;
use crate::workspace;

/// Where the executables are, if not where cargo builds them for tests.
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
    name: String,
    child: Child,
    /// Where it writes, unless that is shown.
    log: PathBuf,
}

impl Process {
    /// Starts it with its output on the terminal.
    pub(super) fn shown(name: &str, command: &mut Command, scratch: &Scratch) -> Result<Self> {
        Self::spawn(name, command, scratch.path(name))
    }

    /// Starts it with its output in `<name>.out` and its log in `<name>.log`.
    pub(super) fn logged(name: &str, command: &mut Command, scratch: &Scratch) -> Result<Self> {
        let log = scratch.path(&format!("{name}.log"));
        command
            .stdout(File::create(scratch.path(&format!("{name}.out")))?)
            .stderr(File::create(&log)?);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until `ready` says so.
    pub(super) fn wait_until(
        &mut self,
        ready: impl Fn() -> bool,
        limit: Duration,
        stop: &Stop,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            stop.check()?;
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended, {status}: {}", self.name, self.log());
            }
            ensure!(Instant::now() < deadline, "{} is not ready: {}", self.name, self.log());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits for its end, which must be a success.
    pub(super) fn succeeded_within(mut self, limit: Duration, stop: &Stop) -> Result<()> {
        match self.wait(limit, || stop.check())? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{}: {status} {}", self.name, self.log()),
            None => bail!("{} is not done after {limit:?} {}", self.name, self.log()),
        }
    }

    /// Asks it to end by Ctrl-C's signal, and waits for that.
    pub(super) fn end(mut self, limit: Duration) -> Result<()> {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        ensure!(asked.success(), "{} had ended before: {}", self.name, self.log());
        match self.wait(limit, || Ok(()))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{} ended with {status}: {}", self.name, self.log()),
            None => bail!("{} does not end: {}", self.name, self.log()),
        }
    }

    /// Ends it as a crash would, without a word to it.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("{} cannot be killed", self.name))?;
        self.child.wait()?;
        Ok(())
    }

    fn wait(
        &mut self,
        limit: Duration,
        go_on: impl Fn() -> Result<()>,
    ) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                status => return Ok(status),
            }
            go_on()?;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already: nothing is left to be done then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
