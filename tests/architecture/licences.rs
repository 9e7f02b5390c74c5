//! Dependencies have an allowed licence, come from the registry, and bring each piece of
//! cryptography once.

use std::collections::BTreeMap;

use spdx::{Expression, ParseMode};
use toml::Table;

use crate::graph::Graph;
use crate::{assert_none, tree};

const SHIPPED: &[&str] = &["stund", "turnd", "ice-agent"];

/// Two versions of one of these are twice the code to trust, and two key types that do not fit
/// together.
const ONCE: &[&str] = &[
    "ring",
    "rustls",
    "hmac",
    "digest",
    "sha1",
    "sha2",
    "md-5",
    "subtle",
    "zeroize",
    "rand_core",
    "crypto-common",
];

/// Pieces that occur twice for now: the program, and the reason.
const TWICE: &[(&str, &[&str], &str)] = &[(
    "ice-agent",
    &["hmac", "digest", "sha1", "md-5", "rand_core", "crypto-common"],
    "the DTLS client, rtc-dtls, is a release of RustCrypto behind; no key of ours reaches it",
)];

fn allowed(deny: &str) -> Vec<String> {
    let deny: Table = deny.parse().expect("deny.toml is TOML");
    let allow = deny["licenses"]["allow"].as_array().expect("a list");
    allow.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// Whether the allowed licences alone meet the expression. An expression that cannot be read is not
/// met. The lax mode reads the old `MIT/Apache-2.0`, too.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    Expression::parse_mode(expression, ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|required| allowed.contains(&required.to_string()))
    })
}

fn not_allowed(graph: &Graph, allowed: &[String]) -> Vec<String> {
    let refused = graph.0.values().filter(|package| {
        let expression = package.license.as_deref().unwrap_or_default();
        !is_met(expression, allowed)
    });
    refused
        .map(|package| {
            format!(
                "{} {}: licence {:?} is not in deny.toml",
                package.name, package.version, package.license
            )
        })
        .collect()
}

fn not_from_the_registry(graph: &Graph) -> Vec<String> {
    let elsewhere = graph.0.values().filter(|package| {
        package.source.as_deref().is_some_and(|source| !source.starts_with("registry+"))
    });
    elsewhere.map(|package| format!("{} comes from {:?}", package.name, package.source)).collect()
}

fn twice(graph: &Graph) -> Vec<String> {
    let mut complaints = Vec::new();
    for (id, package) in graph.members().filter(|(_, package)| SHIPPED.contains(&&*package.name)) {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for reached in graph.reached_from(id) {
            let reached = &graph.0[reached];
            versions.entry(&reached.name).or_default().push(&reached.version);
        }
        let excused = |name: &str| {
            TWICE
                .iter()
                .any(|(program, names, _)| *program == package.name && names.contains(&name))
        };
        for name in ONCE.iter().filter(|name| !excused(name)) {
            if let Some(versions) = versions.get(name).filter(|versions| versions.len() > 1) {
                complaints.push(format!(
                    "{} links {name} as {}",
                    package.name,
                    versions.join(" and ")
                ));
            }
        }
    }
    complaints
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed(&tree::read("deny.toml"));
    assert_none(&not_allowed(&Graph::of_workspace(), &allowed));
}

#[test]
fn every_crate_is_ours_or_from_the_registry() {
    assert_none(&not_from_the_registry(&Graph::of_workspace()));
}

#[test]
fn cryptography_comes_once() {
    assert_none(&twice(&Graph::of_workspace()));
}

#[test]
fn an_expression_is_met_by_what_is_allowed_alone() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for met in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-2.0", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for not in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT OR", "MIT WITH LLVM-exception"] {
        assert!(!is_met(not, &allowed), "{not}");
    }
}

#[test]
fn a_stranger_is_found() {
    let mut graph = Graph::planted(&[("turnd", &["a", "b"]), ("a", &[]), ("b", &[])]);
    for (id, version) in [("a", "0.10.0"), ("b", "0.11.0")] {
        let package = graph.0.get_mut(id).expect("it was planted");
        package.name = "sha2".to_owned();
        package.version = version.to_owned();
        package.source = Some("git+ssh://elsewhere".to_owned());
        package.license = Some("AGPL-3.0-only".to_owned());
    }
    graph.0.get_mut("turnd").expect("it was planted").license =
        Some("MIT OR Apache-2.0".to_owned());
    assert_eq!(not_allowed(&graph, &["MIT".to_owned()]).len(), 2);
    assert_eq!(not_from_the_registry(&graph).len(), 2);
    assert_eq!(twice(&graph), ["turnd links sha2 as 0.10.0 and 0.11.0"]);
}
