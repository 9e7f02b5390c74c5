//! Helm itself: built once from the version that `tests/chart/helm/go.mod` pins, and run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::command::{go, run_until};
use crate::{tools, workspace};

use super::fixtures;

/// Builds Helm below the target directory, unless the one there is of the same pinned version.
///
/// # Errors
/// There is no Go to build it with, or the build fails.
pub(super) fn provide(by: Instant) -> Result<()> {
    let module = fixtures().join("helm");
    let sums = module.join("go.sum");
    let wanted = std::fs::read_to_string(&sums).with_context(|| sums.display().to_string())?;
    let stamp = program().with_extension("go.sum");
    if program().is_file() && std::fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
        causeway_cli::print_line(format_args!("{}: there", program().display()))?;
        return Ok(());
    }
    tools::check("go")?;
    let mut build = go(&["build", "-o"]);
    build.arg(program()).arg("helm.sh/helm/v4/cmd/helm").current_dir(&module);
    run_until(&mut build, by)?;
    std::fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}

/// `helm lint --strict`: a warning is a failure.
///
/// # Errors
/// The message of Helm.
pub(super) fn lint(chart: &Path, values: &[PathBuf]) -> Result<()> {
    run(helm("lint").arg("--strict").arg(chart), values).map(drop)
}

/// `helm template`: the manifests, as they would go to the API server.
///
/// # Errors
/// The message of Helm.
pub(super) fn template(chart: &Path, values: &[PathBuf]) -> Result<String> {
    run(helm("template").arg("relay").arg(chart).args(["--namespace", "voice"]), values)
}

/// The text that Helm prints after an installation.
///
/// # Errors
/// The message of Helm.
pub(super) fn notes(chart: &Path, values: &[PathBuf]) -> Result<String> {
    let mut install = helm("install");
    run(install.arg("relay").arg(chart).args(["--namespace", "voice", "--dry-run=client"]), values)
}

fn program() -> PathBuf {
    workspace::target().join("tools/helm")
}

/// Helm without the user's plugins, repositories and cluster.
fn helm(subcommand: &str) -> Command {
    let mut helm = Command::new(program());
    let home = super::output().join("helm-home");
    helm.arg(subcommand)
        .env("HELM_CONFIG_HOME", &home)
        .env("HELM_DATA_HOME", &home)
        .env("HELM_CACHE_HOME", &home);
    helm.env("KUBECONFIG", home.join("none"));
    helm
}

fn run(helm: &mut Command, values: &[PathBuf]) -> Result<String> {
    for file in values {
        helm.arg("--values").arg(file);
    }
    let output = helm.output().with_context(|| program().display().to_string())?;
    let said = String::from_utf8(output.stdout).context("Helm wrote no UTF-8")?;
    match output.status.success() {
        true => Ok(said),
        false => bail!("{}{said}", String::from_utf8_lossy(&output.stderr)),
    }
}
