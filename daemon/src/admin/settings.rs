//! The keys of `[admin]`, and the addresses that require a token.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use causeway_net::canonical;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::config::{Listen, Problem, Secret, Transport, one_of};

/// The address of the admin listener, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// No admin listener.
    Off,
    /// A listener at this address.
    At(SocketAddr),
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(AdminListen::Off);
        }
        let wrong = |_| {
            format!(
                "expected an address and port such as \"127.0.0.1:9641\", or \"off\", found {text:?}"
            )
        };
        text.parse().map(AdminListen::At).map_err(wrong)
    }
}

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminListen::Off => f.write_str("off"),
            AdminListen::At(address) => address.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for AdminListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl AdminSettings {
    /// The line for `--check-config`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.listen, &self.token) {
            (None, _) => "no admin listener".into(),
            (Some(address), None) => format!("admin on {address}"),
            (Some(address), Some(_)) => format!("admin on {address}, with a token"),
        }
    }

    /// The admin listener's address, if its socket conflicts with that of `listen`: the same
    /// address, or the port of a TCP listener on every address.
    #[must_use]
    pub fn clash(&self, listen: &Listen) -> Option<SocketAddr> {
        let admin = self.listen?;
        let is_stream = listen.has(Transport::Tcp) || listen.has(Transport::Tls);
        let is_wide = listen.address.ip().is_unspecified() || admin.ip().is_unspecified();
        let same_family = listen.address.is_ipv4() == admin.is_ipv4();
        let covers = same_family && is_stream && is_wide;
        (listen.address == admin || listen.address.port() == admin.port() && covers)
            .then_some(admin)
    }
}

/// The keys of `[admin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSchema {
    listen: AdminListen,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
}

/// The address and the token of the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address and port; `None`: no admin listener.
    pub listen: Option<SocketAddr>,
    /// The bearer token that every request has to show. It is required where `listen` is not a
    /// loopback address.
    pub token: Option<Secret>,
}

impl AdminSchema {
    /// Reads the token, and refuses an address that other hosts reach without one (H41).
    ///
    /// # Errors
    /// Other hosts reach the address and there is no token, or the token's file cannot be read.
    pub fn resolve(self) -> Result<AdminSettings, Vec<Problem>> {
        let listen = match self.listen {
            AdminListen::Off => None,
            AdminListen::At(address) => Some(canonical(address)),
        };
        let token = one_of("admin.token", self.token, self.token_file.as_deref())
            .map_err(|problem| vec![problem])?;
        match listen {
            Some(address) if !address.ip().is_loopback() && token.is_none() => {
                let what = format!("{address} can be reached from other hosts without a token");
                let hint = "set admin.token_file, or listen on 127.0.0.1";
                Err(vec![Problem::new("admin.listen", what).hint(hint)])
            }
            _ => Ok(AdminSettings { listen, token }),
        }
    }
}
