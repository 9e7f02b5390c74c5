//! The long-term credentials of a TURN server, from everywhere but the command line.
//!
//! A password in an argument is visible to every user of the host, so there is no such option.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::output;
use crate::redact::Kind;

/// The command-line options of every subcommand that authenticates.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CredentialArgs {
    /// User name at the TURN servers.
    #[arg(long, env = "ICE_AGENT_USERNAME", value_name = "NAME")]
    pub username: Option<String>,
    /// File whose first line is the password; `-` reads standard input. Otherwise $ICE_AGENT_PASSWORD is used.
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
    /// Makes known what is to be redacted: the user's name, and the part of a REST name that is the user's.
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
        // An empty variable is as good as none.
        let Some(username) = self.username.clone().filter(|name| !name.is_empty()) else {
            if self.password_file.is_some() {
                bail!("--password-file needs --username");
            }
            return Ok(None);
        };
        let password = match &self.password_file {
            Some(path) if path.as_os_str() == "-" => first_line(std::io::stdin().lock()).context("standard input")?,
            Some(path) => {
                let file = std::fs::File::open(path).with_context(|| format!("password file {}", path.display()))?;
                first_line(std::io::BufReader::new(file)).with_context(|| path.display().to_string())?
            }
            None => match std::env::var("ICE_AGENT_PASSWORD") {
                Ok(password) => Zeroizing::new(password),
                Err(_) => bail!("user {username:?} has no password: set ICE_AGENT_PASSWORD or --password-file (`-` is standard input)"),
            },
        };
        if password.is_empty() {
            bail!("the password of user {username:?} is empty");
        }
        Ok(Some(Credentials { username, password }))
    }
}

/// The first line without its line end, so that a file written by an editor works.
fn first_line(mut input: impl BufRead) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line)?;
    let text = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(text);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_the_first_line_without_its_end() {
        assert_eq!(first_line(&b"s3cret\r\nmore\n"[..]).unwrap().as_str(), "s3cret");
        assert_eq!(first_line(&b" kept \n"[..]).unwrap().as_str(), " kept ");
    }

    #[test]
    fn a_password_file_without_a_user_is_refused() {
        let args = CredentialArgs { username: None, password_file: Some("x".into()) };
        assert!(args.load().is_err());
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let credentials = Credentials { username: "anna".into(), password: Zeroizing::new("s3cret".into()) };
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
