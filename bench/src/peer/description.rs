//! The description of a server to measure: a TOML file of `bench/peers/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::load::Transport;
use crate::peer::placeholder;

/// How to start a server for the measurement: a file of `bench/peers/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The server in one line.
    pub about: String,
    /// The program: a path, or a name to find on PATH.
    pub program: String,
    /// The arguments that make it print its version.
    #[serde(default)]
    pub version: Vec<String>,
    /// The protocol that it serves.
    pub access: Kind,
    /// The transports that it serves.
    pub transports: Vec<Transport>,
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// Further arguments that select a backend; empty if there is no choice.
    #[serde(default)]
    pub backend: Vec<String>,
    /// How to install the program.
    pub install: String,
    /// Deviations from its defaults with their reasons, reported with every measurement.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Files to write into its working directory first, by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Additions for transports without a certificate.
    #[serde(default)]
    pub plain: Addition,
    /// Additions for TLS and DTLS.
    #[serde(default)]
    pub secure: Addition,
}

/// Additions to the arguments and the files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Addition {
    /// Arguments, after the others.
    pub arguments: Vec<String>,
    /// Text to append to the files of the same names.
    pub files: BTreeMap<String, String>,
}

/// The protocol that a server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// TURN, with the user of the measurement.
    Turn,
    /// STUN: Binding requests only.
    Binding,
    /// The trivial protocol of the floors.
    Floor,
}

/// The built-in descriptions.
const SHIPPED: &[(&str, &str)] = &[
    ("turnd", include_str!("../../peers/turnd.toml")),
    ("coturn", include_str!("../../peers/coturn.toml")),
    ("coturn-dtls", include_str!("../../peers/coturn-dtls.toml")),
    ("coturn-multiplex", include_str!("../../peers/coturn-multiplex.toml")),
    ("turn-server", include_str!("../../peers/turn-server.toml")),
    ("stund", include_str!("../../peers/stund.toml")),
    ("stuntman", include_str!("../../peers/stuntman.toml")),
    ("floor-epoll", include_str!("../../peers/floor-epoll.toml")),
    ("floor-uring", include_str!("../../peers/floor-uring.toml")),
    ("floor-binding", include_str!("../../peers/floor-binding.toml")),
];

impl Description {
    /// Finds a built-in description by its name, or reads a file.
    ///
    /// # Errors
    /// If there is no such name or file, or the file is not a description.
    pub fn find(name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(text).with_context(|| format!("bench/peers/{name}.toml"));
        }
        let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        ensure!(
            Path::new(name).exists(),
            "no peer {name}: give a file, or one of {}",
            names.join(", ")
        );
        Self::parse(&fs::read_to_string(name)?).with_context(|| name.to_owned())
    }

    fn parse(text: &str) -> Result<Self> {
        let description: Self = toml::from_str(text)?;
        for text in description.texts() {
            placeholder::check(text)?;
        }
        Ok(description)
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let additions = [&self.plain, &self.secure]
            .into_iter()
            .flat_map(|addition| addition.arguments.iter().chain(addition.files.values()));
        [&self.program]
            .into_iter()
            .chain(&self.arguments)
            .chain(&self.backend)
            .chain(self.files.values())
            .chain(additions)
    }

    /// Whether it serves this transport.
    #[must_use]
    pub fn serves(&self, transport: Transport) -> bool {
        self.transports.contains(&transport)
    }

    /// The additions for secure or plain transports.
    pub(super) fn addition(&self, secure: bool) -> &Addition {
        if secure { &self.secure } else { &self.plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_shipped_and_is_a_description() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        let mut shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        shipped.sort_unstable();
        assert_eq!(names, shipped);
        for name in names {
            let description =
                Description::find(&name).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert!(
                description
                    .arguments
                    .iter()
                    .chain(description.files.values())
                    .any(|text| text.contains("{port}")),
                "{name}"
            );
            let certificate = description
                .secure
                .arguments
                .iter()
                .chain(description.secure.files.values())
                .any(|text| text.contains("{cert}"));
            assert_eq!(
                certificate,
                description.serves(Transport::Tls) || description.serves(Transport::Dtls),
                "{name}"
            );
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        let text = include_str!("../../peers/floor-epoll.toml");
        let error = Description::parse(&text.replace("{port}", "{prot}")).unwrap_err();
        assert!(error.to_string().contains("{prot}"), "{error}");
        let error = Description::parse(&text.replace("about", "abuot")).unwrap_err();
        assert!(error.to_string().contains("abuot"), "{error}");
        let error = Description::find("corutn").unwrap_err();
        assert!(error.to_string().contains("coturn"), "{error}");
    }
}
