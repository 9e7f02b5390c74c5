//! Environment variables as a layer of the tree: `TURND_RELAY__PORTS` is `relay.ports`.
//!
//! Keys are in capitals; a name that the operator has chosen keeps its case:
//! `TURND_AUTH__USERS__alice__PASSWORD`.

use std::ffi::OsString;

use zeroize::Zeroizing;

use super::error::Problem;
use super::keys::ANY_NAME;
use super::origin::Origin;
use super::tree::{Node, Value};

/// Lays the variables with the service's prefix over `tree`. `keys` are those of the schema.
pub(super) fn overlay(
    tree: &mut Node,
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    keys: &[String],
    problems: &mut Vec<Problem>,
) {
    let ours = ours(prefix, variables, keys, problems);
    let services = Services::of(prefix, &ours);
    for (name, value) in ours {
        let rest = &name[prefix.len() + 1..];
        let path = path(rest, keys);
        let dotted = path.join(".");
        if rest == "CONFIG" || (!keys.contains(&dotted) && services.describe(&name)) {
            continue;
        }
        let origin = Origin::Environment(name);
        let problem = match value.into_string() {
            Err(_) => Some(Problem::new(dotted, "the value is not UTF-8 text").at(origin)),
            Ok(_) if path.iter().any(String::is_empty) => Some(
                Problem::new(dotted, "the segments of a key are joined by two underscores")
                    .at(origin),
            ),
            Ok(value) => tree.set(&path, Node { value: Value::Raw(Zeroizing::new(value)), origin }),
        };
        problems.extend(problem);
    }
}

/// The variables with the prefix, sorted, so that LISTEN__0 comes before LISTEN__1 whatever the
/// order of the environment. A variable that names a key but starts in small letters is a problem:
/// nothing reads it.
fn ours(
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    keys: &[String],
    problems: &mut Vec<Problem>,
) -> Vec<(String, OsString)> {
    let start = format!("{prefix}_");
    let mut ours = Vec::new();
    for (name, value) in variables {
        let shown = name.to_string_lossy().into_owned();
        let is_text = name.to_str().is_some();
        if is_text && shown.starts_with(&start) {
            ours.push((shown, value));
        } else if names_a_key(&shown.to_uppercase(), &start, keys) {
            let what = if is_text {
                "the name starts with small letters, and nothing reads it"
            } else {
                "the name is not UTF-8 text"
            };
            let hint = format!("variables start with {start}");
            problems.push(Problem::new("", what).hint(hint).at(Origin::Environment(shown)));
        }
    }
    ours.sort();
    ours
}

/// Whether a name, in capitals, is that of a key. Another program may have variables with the same
/// start, such as `turnd_version`.
fn names_a_key(capitals: &str, start: &str, keys: &[String]) -> bool {
    let is_section = |section: &str| keys.iter().any(|key| key.split('.').next() == Some(section));
    let Some(rest) = capitals.strip_prefix(start) else { return false };
    rest == "CONFIG"
        || rest.split("__").next().is_some_and(|section| is_section(&section.to_lowercase()))
}

/// The key that a variable names: in small letters, except for a name that the operator has chosen.
fn path(rest: &str, keys: &[String]) -> Vec<String> {
    let mut candidates: Vec<Vec<&str>> = keys.iter().map(|key| key.split('.').collect()).collect();
    let mut at = 0;
    let mut path = Vec::new();
    for segment in rest.split("__") {
        let small = segment.to_lowercase();
        let is_name = candidates.iter().any(|key| key.get(at) == Some(&ANY_NAME));
        let is_index = !is_name && segment.parse::<usize>().is_ok();
        if !is_index {
            candidates
                .retain(|key| key.get(at).is_some_and(|name| *name == ANY_NAME || *name == small));
            at += 1;
        }
        path.push(if is_name { segment.to_owned() } else { small });
    }
    path
}

/// Services that Kubernetes describes to each container, in variables that start with the Service's
/// name: one called `turnd` adds `TURND_SERVICE_HOST`, `TURND_PORT`, `TURND_PORT_3478_UDP_ADDR`.
/// These are not errors. Without `TURND_SERVICE_HOST` and `TURND_SERVICE_PORT`, which Kubernetes
/// always adds, `TURND_PORT` is an operator's mistake.
struct Services(Vec<String>);

impl Services {
    fn of(prefix: &str, variables: &[(String, OsString)]) -> Self {
        let is_there = |name: &str| variables.iter().any(|(variable, _)| variable == name);
        let services = variables.iter().filter_map(|(name, _)| name.strip_suffix("_SERVICE_HOST"));
        let services = services.filter(|service| {
            service.starts_with(prefix) && is_there(&format!("{service}_SERVICE_PORT"))
        });
        Services(services.map(str::to_owned).collect())
    }

    fn describe(&self, variable: &str) -> bool {
        let of_service = |service: &String| {
            let rest = variable.strip_prefix(service.as_str())?.strip_prefix('_')?;
            let numbered = |rest: &str| {
                rest.split('_').next().is_some_and(|number| number.parse::<u16>().is_ok())
            };
            let describes = matches!(rest, "SERVICE_HOST" | "SERVICE_PORT" | "PORT")
                || rest.strip_prefix("SERVICE_PORT_").is_some_and(|port| !port.is_empty())
                || rest.strip_prefix("PORT_").is_some_and(numbered);
            Some(describes)
        };
        self.0.iter().any(|service| of_service(service) == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_service_links_are_distinguished_from_keys() {
        let variables = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), OsString::new())).collect::<Vec<_>>()
        };
        let links = [
            "TURND_SERVICE_HOST",
            "TURND_SERVICE_PORT",
            "TURND_SERVICE_PORT_TURN",
            "TURND_PORT",
            "TURND_PORT_3478_UDP",
        ];
        let other =
            ["TURND_UDP_SERVICE_HOST", "TURND_UDP_SERVICE_PORT", "TURND_UDP_PORT_3478_UDP_ADDR"];
        let services = Services::of("TURND", &variables(&[&links[..], &other].concat()));
        for name in links.iter().chain(&other) {
            assert!(services.describe(name), "{name}");
        }
        for name in [
            "TURND_REALM",
            "TURND_RELAY_PORTS",
            "TURND_RELAY__PORTS",
            "TURND_PORT_RANGE",
            "TURND_TCP_PORT",
        ] {
            assert!(!services.describe(name), "{name}");
        }
        assert!(
            !Services::of("TURND", &variables(&["TURND_PORT"])).describe("TURND_PORT"),
            "there is no such Service"
        );
    }

    #[test]
    fn h56_a_name_keeps_its_case() {
        let keys = ["auth.users.NAME.password", "listen.address", "relay.ports"].map(str::to_owned);
        for (variable, key) in [
            ("AUTH__USERS__ALICE__PASSWORD", "auth.users.ALICE.password"),
            ("AUTH__USERS__alice__PASSWORD", "auth.users.alice.password"),
            ("AUTH__USERS__1001__PASSWORD", "auth.users.1001.password"),
            ("LISTEN__0__ADDRESS", "listen.0.address"),
            ("RELAY__PORTS", "relay.ports"),
            ("RELAY_PORTS", "relay_ports"),
        ] {
            assert_eq!(path(variable, &keys).join("."), key);
        }
    }
}
