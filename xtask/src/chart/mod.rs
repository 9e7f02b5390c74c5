//! `cargo xtask chart`: the Helm chart, checked by the parts that will read it.
//!
//! Every values file of `tests/chart/values`, and every example of `docs/kubernetes.md`, goes the
//! whole way: Helm's lint and template, the strict schemas of several Kubernetes versions, what we
//! promise of every pod, and each rendered configuration through the real binary's
//! `--check-config`. Then faults are planted, and each must be refused by name.

mod case;
mod changed;
mod configuration;
mod examples;
mod faults;
mod helm;
mod pod;
mod restarts;
mod schemas;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_cli::print_line;

use crate::{command, workspace};

use case::Case;

/// Checks the chart with all its values files, and that planted faults are refused.
///
/// # Errors
/// Names the values file and the fault in its result.
pub(crate) fn run_chart() -> Result<()> {
    check(Instant::now() + Duration::from_secs(600))
}

/// [`run_chart`], with a deadline for the installation of its tools.
pub(crate) fn check(by: Instant) -> Result<()> {
    helm::provide(by)?;
    schemas::provide(by)?;
    command::build(by)?;
    print_line("")?;
    let mut cases =
        values_files()?.iter().map(|values| Case::of_values(values)).collect::<Result<Vec<_>>>()?;
    cases.extend(examples::cases()?);
    for case in cases {
        let report = case.check().with_context(|| case.name.clone())?;
        print_line(format_args!(
            "{:24} {} objects, {} configurations",
            case.name, report.objects, report.configurations
        ))?;
    }
    print_line(format_args!(
        "{:24} {} objects",
        "docs, other objects",
        examples::check_objects()?
    ))?;
    print_line("")?;
    restarts::check_all()?;
    print_line("")?;
    faults::check_all()
}

/// The chart that we ship.
fn chart() -> PathBuf {
    workspace::root().join("helm/causeway")
}

/// The folder of values files, secrets and schemas.
fn fixtures() -> PathBuf {
    workspace::root().join("tests/chart")
}

/// The folder where the rendered files stay.
fn output() -> PathBuf {
    workspace::target().join("chart")
}

fn values_files() -> Result<Vec<PathBuf>> {
    let folder = fixtures().join("values");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    ensure!(!files.is_empty(), "{} contains no values file", folder.display());
    Ok(files)
}

/// Writes a file into the folder; its path.
fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let file = folder.join(name);
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    Ok(file)
}
