//! The graph of packages, as `cargo metadata` resolves it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree;

/// One package at one version.
#[derive(Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// `None` for a package of this workspace.
    pub(crate) source: Option<String>,
    /// Ids of the packages that it is linked with, without those of its build and its tests.
    pub(crate) links: Vec<String>,
    /// Ids of all its dependencies, for any purpose.
    pub(crate) names: Vec<String>,
}

/// All packages by id.
#[derive(Default)]
pub(crate) struct Graph(pub(crate) BTreeMap<String, Package>);

impl Graph {
    /// The graph of this workspace.
    pub(crate) fn of_workspace() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--locked", "--format-version", "1"])
            .current_dir(tree::root())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        Self::read(&metadata)
    }

    fn read(metadata: &Value) -> Self {
        let mut packages = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let field = |name: &str| package[name].as_str().map(str::to_owned);
            packages.insert(
                field("id").expect("a package has an id"),
                Package {
                    name: field("name").expect("a package has a name"),
                    version: field("version").expect("a package has a version"),
                    license: field("license"),
                    source: field("source"),
                    ..Package::default()
                },
            );
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let id = node["id"].as_str().expect("a node has an id");
            let package = packages.get_mut(id).expect("a node is a package");
            for dependency in list(&node["deps"]) {
                let named = dependency["pkg"].as_str().expect("a dependency is a package");
                package.names.push(named.to_owned());
                if list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()) {
                    package.links.push(named.to_owned());
                }
            }
        }
        Self(packages)
    }

    /// A planted graph: `("a", &["b"])` says that `a` is linked with `b`.
    pub(crate) fn planted(links: &[(&str, &[&str])]) -> Self {
        let mut graph = Self::default();
        for (name, linked) in links {
            let linked: Vec<String> = linked.iter().map(|&name| name.to_owned()).collect();
            let package = Package {
                name: (*name).to_owned(),
                links: linked.clone(),
                names: linked,
                ..Package::default()
            };
            graph.0.insert((*name).to_owned(), package);
        }
        graph
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Package)> {
        self.0.iter().filter(|(_, package)| package.source.is_none())
    }

    /// The ids of all packages linked with this one, directly or not, without itself.
    pub(crate) fn reached_from(&self, id: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for linked in &self.0[next].links {
                if reached.insert(linked.as_str()) {
                    open.push(linked);
                }
            }
        }
        reached
    }

    /// A path from one package to another, to show in a complaint.
    pub(crate) fn way(&self, from: &str, to: &str) -> String {
        let mut came_from = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([from]);
        while let Some(next) = open.pop_front() {
            for linked in &self.0[next].links {
                if linked != from && !came_from.contains_key(linked.as_str()) {
                    came_from.insert(linked.as_str(), next);
                    open.push_back(linked);
                }
            }
        }
        let mut way = vec![self.0[to].name.as_str()];
        let mut at = to;
        while let Some(&before) = came_from.get(at) {
            way.push(&self.0[before].name);
            at = before;
        }
        way.reverse();
        way.join(" -> ")
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
