//! The long-term credentials for a TURN server: from a file, standard input or the environment.
//!
//! There is no option for the password itself: every user of the host can read a program's
//! arguments.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::output;
use crate::redact::Kind;

/// Maximum size of a password file, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The command-line options of every subcommand that authenticates.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CredentialArgs {
    /// User name for the TURN servers.
    #[arg(long, env = "ICE_AGENT_USERNAME", value_name = "NAME")]
    pub username: Option<String>,
    /// File with the password on one line; `-` reads the first line of standard input. Without this
    /// option, $ICE_AGENT_PASSWORD is used.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A user name and its password. The password is wiped when dropped and is never printed.
#[derive(Clone)]
pub struct Credentials {
    /// The value of the USERNAME attribute.
    pub username: String,
    /// The password, in UTF-8.
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The same credentials as the STUN client's type.
    #[must_use]
    pub fn for_client(&self) -> causeway_client::Credentials {
        causeway_client::Credentials::new(self.username.as_str(), self.password.as_str())
    }
}

impl CredentialArgs {
    /// Registers the user name and the password file for redaction. Of a REST name (`TIME:USER`)
    /// the user's part is registered too.
    pub fn learn(&self) {
        if let Some(name) = &self.username {
            output::learn(Kind::User, name);
            if let Some((_, name)) = name.split_once(':') {
                output::learn(Kind::User, name);
            }
        }
        if let Some(file) = self.password_file.as_ref().filter(|file| file.as_os_str() != "-") {
            output::learn(Kind::File, &file.display().to_string());
        }
    }

    /// Reads the password from the source that the options name; `None` without a user name.
    ///
    /// # Errors
    /// The file cannot be read, or there is a user name but no password.
    pub fn load(&self) -> anyhow::Result<Option<Credentials>> {
        // An empty user name counts as none.
        let Some(username) = self.username.clone().filter(|name| !name.is_empty()) else {
            if self.password_file.is_some() {
                bail!("--password-file requires --username");
            }
            if std::env::var_os("ICE_AGENT_PASSWORD").is_some() {
                output::complain(
                    "ICE_AGENT_PASSWORD is ignored: set a user name with --username or \
                    ICE_AGENT_USERNAME",
                );
            }
            return Ok(None);
        };
        let password = match &self.password_file {
            Some(path) if path.as_os_str() == "-" => {
                first_line(std::io::stdin().lock()).context("standard input")?
            }
            Some(path) => {
                let cannot = || format!("password file {}", path.display());
                let mut bytes = Zeroizing::new(Vec::new());
                std::fs::File::open(path)
                    .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
                    .with_context(cannot)?;
                Zeroizing::new(causeway_cli::secret_line(&bytes).with_context(cannot)?.to_owned())
            }
            None => match std::env::var("ICE_AGENT_PASSWORD") {
                Ok(password) => Zeroizing::new(password),
                Err(_) => bail!(
                    "user {username:?} has no password: set ICE_AGENT_PASSWORD, or give \
                    --password-file \
                     (`-` for standard input)"
                ),
            },
        };
        if password.is_empty() {
            bail!("the password of user {username:?} is empty");
        }
        Ok(Some(Credentials { username, password }))
    }
}

/// Reads one line only: a parent program may use the rest of standard input itself.
fn first_line(input: impl BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::new());
    input.take(MAX_FILE).read_until(b'\n', &mut line)?;
    Ok(Zeroizing::new(causeway_cli::secret_line(&line)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_the_first_line_without_its_end() {
        assert_eq!(first_line(&b"s3cret\r\nmore\n"[..]).unwrap().as_str(), "s3cret");
        assert!(first_line(&b" s3cret \n"[..]).unwrap_err().to_string().contains("blank"));
    }

    #[test]
    fn h56_a_password_file_is_one_line() {
        let scratch = causeway_kit::Scratch::new();
        let load = |text: &str| {
            let path = scratch.write("password", text);
            CredentialArgs { username: Some("anna".into()), password_file: Some(path) }
                .load()
                .map_err(|error| format!("{error:#}"))
        };
        assert_eq!(load("s3cret\n").unwrap().unwrap().password.as_str(), "s3cret");
        for (text, told) in [
            ("s3cret\nold\n", "2 lines"),
            ("\u{feff}s3cret", "byte-order mark"),
            ("s3cret ", "blank"),
            ("", "empty"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_password_file_without_a_user_is_refused() {
        let args = CredentialArgs { username: None, password_file: Some("x".into()) };
        assert!(args.load().is_err());
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let credentials =
            Credentials { username: "anna".into(), password: Zeroizing::new("s3cret".into()) };
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
