//! The long-term credentials of a TURN server, from everywhere but the command line.
//!
//! A password in an argument is visible to every user of the host, so there is no such option.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::output;
use crate::redact::Kind;

/// Bytes that a password file may have.
const LONGEST: u64 = 64 << 10;

/// The command-line options of every subcommand that authenticates.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CredentialArgs {
    /// User name at the TURN servers.
    #[arg(long, env = "ICE_AGENT_USERNAME", value_name = "NAME")]
    pub username: Option<String>,
    /// File with the password, one line; `-` reads the first line of standard input. Otherwise
    /// $ICE_AGENT_PASSWORD is used.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A user name and its password; the password is wiped when dropped and never printed.
#[derive(Clone)]
pub struct Credentials {
    /// The USERNAME attribute's value.
    pub username: String,
    /// The password, UTF-8.
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// As the client takes them.
    #[must_use]
    pub fn for_client(&self) -> causeway_client::Credentials {
        causeway_client::Credentials::new(self.username.as_str(), self.password.as_str())
    }
}

impl CredentialArgs {
    /// Makes known what is to be redacted: the user's name, and the part of a REST name that is the
    /// user's.
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

    /// Reads the password from where the options say; `None` without a user name.
    ///
    /// # Errors
    /// The file cannot be read, or a user name was given and no password.
    pub fn load(&self) -> anyhow::Result<Option<Credentials>> {
        // An empty option is as good as none.
        let Some(username) = self.username.clone().filter(|name| !name.is_empty()) else {
            if self.password_file.is_some() {
                bail!("--password-file needs --username");
            }
            if std::env::var_os("ICE_AGENT_PASSWORD").is_some() {
                output::complain(
                    "ICE_AGENT_PASSWORD is not used: there is no user name (--username, ICE_AGENT_USERNAME)",
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
                    .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
                    .with_context(cannot)?;
                Zeroizing::new(causeway_cli::secret_line(&bytes).with_context(cannot)?.to_owned())
            }
            None => match std::env::var("ICE_AGENT_PASSWORD") {
                Ok(password) => Zeroizing::new(password),
                Err(_) => bail!(
                    "user {username:?} has no password: set ICE_AGENT_PASSWORD or --password-file (`-` is standard input)"
                ),
            },
        };
        if password.is_empty() {
            bail!("the password of user {username:?} is empty");
        }
        Ok(Some(Credentials { username, password }))
    }
}

/// The first line: more may follow on standard input, which is not ours alone.
fn first_line(input: impl BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::new());
    input.take(LONGEST).read_until(b'\n', &mut line)?;
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
        let path = std::env::temp_dir().join(format!("ice-agent-password-{}", std::process::id()));
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            CredentialArgs { username: Some("anna".into()), password_file: Some(path.clone()) }
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
        std::fs::remove_file(&path).unwrap();
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
