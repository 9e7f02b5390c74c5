//! A chart with values, the whole way from Helm to the binaries.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{chart, configuration, fixtures, helm, output, pod, schemas, write};

/// A chart, the values that it is rendered with, and the expected result.
pub(super) struct Case {
    /// For the report, and the folder below `target/chart`.
    pub(super) name: String,
    /// The folder of the chart, ours or a changed copy.
    pub(super) chart: PathBuf,
    /// The values files; the last one counts.
    pub(super) values: Vec<PathBuf>,
    /// Lines that `--check-config` must print about the rendered configuration.
    pub(super) says: Vec<String>,
}

/// The numbers of checked objects and configurations.
pub(super) struct Report {
    /// Objects that fit every version's schema.
    pub(super) objects: usize,
    /// Configurations that the binary accepted.
    pub(super) configurations: usize,
}

impl Case {
    /// Our chart with one of the values files. The binary must print its lines `# says: …`.
    pub(super) fn of_values(file: &Path) -> Result<Case> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let name =
            file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let says: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# says: "))
            .map(str::to_owned)
            .collect();
        ensure!(
            !says.is_empty(),
            "{}: no line `# says: …` states the expected result",
            file.display()
        );
        Ok(Case { name, chart: chart(), values: vec![file.to_owned()], says })
    }

    /// Lints, renders and validates the chart, and lets the binary read the configuration.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) fn check(&self) -> Result<Report> {
        helm::lint(&self.chart, &self.values)?;
        let folder = self.fresh_folder()?;
        let rendered = helm::template(&self.chart, &self.values)?;
        let manifest = write(&folder, "manifest.yaml", &rendered)?;
        let objects = schemas::validate(&manifest)?;
        let secrets = secrets()?;
        no_secret_is_shown(&rendered, secrets)?;
        pod::check_all(&objects)?;
        let said = configuration::check_all(&objects, secrets, &folder)?;
        for line in &self.says {
            ensure!(
                said.iter().any(|said| said.contains(line)),
                "no server prints {line:?}; they print:\n{}",
                said.join("\n")
            );
        }
        let notes = helm::notes(&self.chart, &self.values)?;
        ensure!(
            notes.contains("What to do next:"),
            "the notes do not say what to do next:\n{notes}"
        );
        Ok(Report { objects: objects.len(), configurations: said.len() })
    }

    fn fresh_folder(&self) -> Result<PathBuf> {
        let folder = output().join(&self.name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }
}

/// The Secrets that an operator would have created; they are read once.
fn secrets() -> Result<&'static [Value]> {
    static SECRETS: OnceLock<Vec<Value>> = OnceLock::new();
    if let Some(secrets) = SECRETS.get() {
        return Ok(secrets);
    }
    let file = fixtures().join("secrets.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let secrets = schemas::validate(&write(&output(), "secrets.yaml", &text)?)?;
    Ok(SECRETS.get_or_init(|| secrets))
}

/// Checks that the chart creates no Secret and shows no value of one.
fn no_secret_is_shown(rendered: &str, secrets: &[Value]) -> Result<()> {
    ensure!(
        !rendered.contains("kind: Secret"),
        "the chart renders a Secret: its values would have held the secret"
    );
    for secret in secrets {
        for (key, value) in secret["stringData"].as_object().into_iter().flatten() {
            if value.as_str().is_none_or(|value| rendered.contains(value)) {
                bail!("a rendered object contains the secret {key}");
            }
        }
    }
    Ok(())
}
