//! A user of this demonstration, with a random password.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use causeway_kit::Scratch;

/// The user, and the file that holds the password.
pub(super) struct Credentials {
    pub(super) user: &'static str,
    pub(super) file: PathBuf,
}

impl Credentials {
    pub(super) fn generate(scratch: &Scratch) -> Result<Self> {
        let password = random_hex(16)?;
        Ok(Self { user: "demo", file: scratch.try_write("password", &password)? })
    }

    /// For `ice-agent`: by file, so that no list of processes shows the password.
    pub(super) fn give_to(&self, agent: &mut Command) {
        agent.args(["--username", self.user, "--password-file"]).arg(&self.file);
    }
}

/// This number of random bytes, in hexadecimal digits.
pub(super) fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("cannot read /dev/urandom")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
