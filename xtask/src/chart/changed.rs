//! A copy of our chart in which something is changed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::chart;
use super::write;

/// A file of the chart, and the text that becomes another one, the first time that it stands there.
pub(super) type Replacement<'a> = (&'a str, &'a str, &'a str);

/// Copies our chart into `folder`, and makes the changes in the copy, which it returns.
///
/// # Errors
/// A file does not hold the text that is to be changed.
pub(super) fn changed(folder: &Path, replacements: &[Replacement<'_>]) -> Result<PathBuf> {
    let copy = folder.join("causeway");
    copy_folder(&chart(), &copy)?;
    for (file, from, to) in replacements {
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(text.contains(from), "{file} does not hold {from:?}: make the change elsewhere");
        write(&copy, file, &text.replacen(from, to, 1))?;
    }
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(
                std::fs::copy(entry.path(), &target)
                    .with_context(|| target.display().to_string())?,
            ),
        }
    }
    Ok(())
}
