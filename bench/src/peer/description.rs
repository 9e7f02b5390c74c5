use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::load::Transport;
use crate::peer::placeholder;

/// How a server is started to be measured: a file of `bench/peers/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What it is, in a line.
    pub about: String,
    /// The program: a path, or a name that is looked for on PATH.
    pub program: String,
    /// What makes it say its version.
    #[serde(default)]
    pub version: Vec<String>,
    /// What it is asked for.
    pub access: Kind,
    /// What clients may come over.
    pub transports: Vec<Transport>,
    /// What it is started with.
    pub arguments: Vec<String>,
    /// More of it, when a backend is asked for; empty: there is no choice.
    #[serde(default)]
    pub backend: Vec<String>,
    /// How one gets the program.
    pub install: String,
    /// How it differs from its defaults, and why: said with what was measured.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Files to write into its directory first, by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Where no client needs a certificate.
    #[serde(default)]
    pub plain: Addition,
    /// Where clients come over TLS or DTLS.
    #[serde(default)]
    pub secure: Addition,
}

/// What is added to the arguments and the files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Addition {
    /// Behind the other arguments.
    pub arguments: Vec<String>,
    /// Behind the files of the same name.
    pub files: BTreeMap<String, String>,
}

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// TURN, as the user of the measurement.
    Turn,
    /// Binding requests alone.
    Binding,
    /// The floors' trivial protocol.
    Floor,
}

/// The descriptions that come with the program.
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
    /// One that comes with the program, by its name, or a file's.
    ///
    /// # Errors
    /// There is no such name or file, or it is no description.
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

    /// Whether clients may come over this.
    #[must_use]
    pub fn serves(&self, transport: Transport) -> bool {
        self.transports.contains(&transport)
    }

    /// What is added for such clients.
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
