//! Compares the keys of the JSON reports with those in docs/ice-agent.md; for unit tests only.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/ice-agent.md");

/// Asserts that the section of the page documents exactly the keys of this report, and names the
/// keys of each nested object in the row of its key.
pub(crate) fn assert_documented(section: &str, report: &impl Serialize) {
    let rows = rows(section);
    let Ok(Value::Object(report)) = serde_json::to_value(report) else { panic!("no object") };
    let documented: BTreeSet<&str> = rows.keys().copied().collect();
    let present: BTreeSet<&str> = report.keys().map(String::as_str).collect();
    assert_eq!(documented, present, "the keys of {section} in docs/ice-agent.md and in the report");
    for (key, value) in &report {
        for nested in nested_keys(value) {
            let text = rows[key.as_str()];
            assert!(text.contains(&format!("`{nested}`")), "{section}: {key} has no `{nested}`");
        }
    }
}

/// The text of the row of each key.
fn rows(section: &str) -> BTreeMap<&'static str, &'static str> {
    let heading = format!("## `ice-agent {section}`");
    let start = PAGE.find(&heading).expect("the section exists") + heading.len();
    let end = PAGE[start..].find("\n## ").map_or(PAGE.len(), |length| start + length);
    let mut rows = BTreeMap::new();
    for line in PAGE[start..end].lines().filter(|line| line.starts_with("| `")) {
        let keys = line.split('|').nth(1).unwrap_or_default();
        for key in keys.split('`').skip(1).step_by(2) {
            rows.insert(key, line);
        }
    }
    rows
}

/// All keys inside an object or a list of objects.
fn nested_keys(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| {
                let mut keys = nested_keys(value);
                keys.push(key);
                keys
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(nested_keys).collect(),
        _ => Vec::new(),
    }
}
