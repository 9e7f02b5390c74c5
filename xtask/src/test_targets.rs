//! The test targets that cargo knows of.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::cargo;

/// A test target of the workspace: one `[[test]]` entry, or one file of a crate's `tests/`.
pub(crate) struct TestTarget {
    /// The package that it belongs to.
    pub(crate) package: String,
    /// The name for `cargo test --test`.
    pub(crate) name: String,
}

/// Every test target of the workspace.
pub(crate) fn all() -> Result<Vec<TestTarget>> {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cannot start cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut found = Vec::new();
    for package in entries(&metadata["packages"]) {
        for target in entries(&package["targets"]) {
            if entries(&target["kind"]).any(|kind| kind == "test") {
                found.push(TestTarget {
                    package: text(&package["name"]),
                    name: text(&target["name"]),
                });
            }
        }
    }
    Ok(found)
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
