//! Faults planted into the values or the templates, each of which must be refused by a message that
//! names it.

mod planted;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use planted::FAULTS;

use super::case::Case;
use super::changed::changed;
use super::write;
use super::{fixtures, output};

struct Fault {
    name: &'static str,
    /// The good values file that it is planted into.
    base: &'static str,
    plant: Plant,
    /// Texts that the message must contain.
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
    ensure!(
        complaints.is_empty(),
        "{} of {} planted faults:\n{}",
        complaints.len(),
        FAULTS.len(),
        complaints.join("\n")
    );
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

    /// The message by which the case with the fault is refused.
    fn refusal(&self, folder: &Path) -> Result<String> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let good = fixtures().join("values").join(self.base).with_extension("yaml");
        let name = Path::new("faults").join(self.name.replace(' ', "-")).join("rendered");
        let mut case = Case { name: name.display().to_string(), ..Case::of_values(&good)? };
        match self.plant {
            Plant::Values(text) => case.values.push(write(folder, "values.yaml", text)?),
            Plant::Template(file, good, bad) => {
                case.chart = changed(folder, &[(&format!("templates/{file}"), good, bad)])?;
            }
        }
        match case.check() {
            Ok(_) => bail!("it was accepted"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }
}
