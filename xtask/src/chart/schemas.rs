//! The schemas of several Kubernetes versions, which a pinned Python package carries.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{python, workspace};

use super::fixtures;

/// From the chart's `kubeVersion` to the newest that the package knows.
const VERSIONS: [&str; 8] = ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];

/// Installs the package below the target directory.
pub(super) fn provide(by: Instant) -> Result<()> {
    python::provide(&fixtures().join("schemas/requirements.txt"), &environment(), by)
}

/// The manifest's objects, each of which every version's strict schema accepts.
///
/// # Errors
/// One line for each object and version whose schema refuses it.
pub(super) fn validate(manifest: &Path) -> Result<Vec<Value>> {
    let objects = manifest.with_extension("json");
    let mut validate = std::process::Command::new(environment().join("bin/python"));
    validate.arg(fixtures().join("schemas/validate.py")).args([manifest, &objects]).args(VERSIONS);
    let output = validate.output().context("cannot start the Python of the schemas")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = std::fs::read_to_string(&objects).with_context(|| objects.display().to_string())?;
    serde_json::from_str(&text).with_context(|| objects.display().to_string())
}

fn environment() -> PathBuf {
    workspace::target().join("chart-venv")
}
