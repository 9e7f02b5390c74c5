//! What other servers got wrong has a test here, named after its row: `h23_…`.

use std::collections::BTreeSet;

use crate::tree::SourceFile;
use crate::{assert_none, tree};

/// The rows of `docs/hardening.md` that what is built so far must keep.
const ROWS: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 33, 34, 35, 36, 38, 39, 41, 42, 44];

/// The rows that the tests of a file are named after.
fn rows(file: &SourceFile) -> Vec<u32> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let mut rows = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn h");
        let Some((row, _)) = name.and_then(|name| name.split_once('_')) else {
            continue;
        };
        // Attributes stand between a test's mark and its name.
        let marks = lines[..number].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let is_test = marks.into_iter().any(|mark| mark.contains("test]") || mark.contains("test("));
        if let (true, Ok(row)) = (is_test, row.parse()) {
            rows.push(row);
        }
    }
    rows
}

fn complaints(files: &[SourceFile]) -> Vec<String> {
    let tested: BTreeSet<u32> = files.iter().flat_map(rows).collect();
    ROWS.iter().filter(|row| !tested.contains(row)).map(|row| format!("H{row}: no test fn h{row}_…")).collect()
}

#[test]
fn each_row_has_a_test_of_its_name() {
    assert_none(&complaints(&tree::files("rs")));
}

#[test]
fn a_row_without_a_test_is_found() {
    let planted = "#[test]\nfn h1_mapped() {}\n\nfn h2_not_a_test() {}\n\n#[tokio::test]\n// why\nasync fn h3_x() {}\n";
    let file = SourceFile::new("a.rs", planted);
    assert_eq!(rows(&file), [1, 3]);
    let complaints = complaints(&[file]);
    assert_eq!(complaints.len(), ROWS.len() - 2);
    assert_eq!(complaints[0], "H2: no test fn h2_…");
}
