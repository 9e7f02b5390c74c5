//! The values that `docs/kubernetes.md` shows: readers copy them, so they must work.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::case::Case;
use super::write;
use super::{chart, fixtures, output, schemas};
use crate::workspace;

/// A case for each YAML block of the page. A block that names no mode is an addition to the
/// smallest relay.
pub(super) fn cases() -> Result<Vec<Case>> {
    let page = workspace::root().join("docs/kubernetes.md");
    let text = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let folder = output().join("docs");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut cases = Vec::new();
    for (index, block) in blocks(&text).into_iter().filter(|block| !is_object(block)).enumerate() {
        let name = format!("docs-{}", index + 1);
        let example = write(&folder, &format!("{name}.yaml"), &block)?;
        let values: Vec<PathBuf> = match block.starts_with("mode:") {
            true => vec![example],
            false => vec![fixtures().join("values/public.yaml"), example],
        };
        cases.push(Case { name, chart: chart(), values, says: Vec::new() });
    }
    ensure!(!cases.is_empty(), "{} shows no values", page.display());
    Ok(cases)
}

/// Checks the objects that the page shows beside the values, and counts them.
pub(super) fn check_objects() -> Result<usize> {
    let page = workspace::root().join("docs/kubernetes.md");
    let text = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let objects: Vec<String> = blocks(&text).into_iter().filter(|block| is_object(block)).collect();
    schemas::validate(&write(&output(), "docs-objects.yaml", &objects.join("---\n"))?)
        .map(|objects| objects.len())
}

fn is_object(block: &str) -> bool {
    block.starts_with("apiVersion:")
}

/// The texts between "```yaml" and "```".
fn blocks(page: &str) -> Vec<String> {
    let after = page.split("```yaml\n").skip(1);
    after.filter_map(|after| Some(after.split_once("```")?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yaml_is_taken() {
        let page =
            "a\n```sh\nhelm\n```\n```yaml\nmode: stun\n```\nb `yaml` c\n```yaml\nx: 1\ny: 2\n```\n";
        assert_eq!(blocks(page), ["mode: stun\n", "x: 1\ny: 2\n"]);
    }
}
