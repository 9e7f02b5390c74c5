//! Faults planted into the values or the templates, each of which must be refused by a message that names it.

mod planted;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use planted::FAULTS;

use super::case::{Case, write};
use super::{chart, fixtures, output};

struct Fault {
    name: &'static str,
    /// The values file, of those that are good, that it is planted into.
    base: &'static str,
    plant: Plant,
    /// What the message must hold.
    names: &'static [&'static str],
}

enum Plant {
    /// YAML that goes over the values.
    Values(&'static str),
    /// In this template, the first text becomes the second.
    Template(&'static str, &'static str, &'static str),
}

/// Plants each of the faults.
///
/// # Errors
/// One is accepted, or refused by a message that does not name it.
pub(super) fn check_all() -> Result<()> {
    let mut complaints = Vec::new();
    for fault in FAULTS {
        match fault.check() {
            Ok(()) => causeway_cli::print_line(format_args!("{:44} refused", fault.name))?,
            Err(error) => complaints.push(format!("{}: {error:#}", fault.name)),
        }
    }
    ensure!(complaints.is_empty(), "{} of {} planted faults:\n{}", complaints.len(), FAULTS.len(), complaints.join("\n"));
    Ok(())
}

impl Fault {
    fn check(&self) -> Result<()> {
        let said = self.refusal(&output().join("faults").join(self.name.replace(' ', "-")))?;
        for name in self.names {
            ensure!(said.contains(name), "the refusal does not say {name:?}:\n{said}");
        }
        Ok(())
    }

    /// What the case with the fault in it is refused with.
    fn refusal(&self, folder: &Path) -> Result<String> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let good = fixtures().join("values").join(self.base).with_extension("yaml");
        let name = Path::new("faults").join(self.name.replace(' ', "-")).join("rendered");
        let mut case = Case { name: name.display().to_string(), ..Case::of_values(&good)? };
        match self.plant {
            Plant::Values(text) => case.values.push(write(folder, "values.yaml", text)?),
            Plant::Template(file, good, bad) => case.chart = planted(folder, file, good, bad)?,
        }
        match case.check() {
            Ok(_) => bail!("it was accepted"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }
}

/// A copy of our chart with the fault in one of its templates.
fn planted(folder: &Path, file: &str, good: &str, bad: &str) -> Result<PathBuf> {
    let copy = folder.join("causeway");
    copy_folder(&chart(), &copy)?;
    let template = copy.join("templates").join(file);
    let text = std::fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    ensure!(text.contains(good), "{file} does not hold {good:?}: plant the fault elsewhere");
    write(&copy.join("templates"), file, &text.replacen(good, bad, 1))?;
    Ok(copy)
}

pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), &target).with_context(|| target.display().to_string())?),
        }
    }
    Ok(())
}
