//! Each mistake of other servers in `docs/hardening.md` has a test, named after its row: `h23_…`.

use std::collections::BTreeSet;

use crate::tree::{SourceFile, test_names};
use crate::{assert_none, tree};

const DOCUMENT: &str = "docs/hardening.md";

/// A row of the document: its numbers, and whether the document says that the code keeps it.
struct Row {
    numbers: Vec<u32>,
    is_kept: bool,
}

/// `| H31, H32 | the rule | yes; with a remark |`.
fn documented(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, numbers, _, state, _] = cells[..] else { return None };
        let numbers: Option<Vec<u32>> =
            numbers.split(", ").map(|number| number.strip_prefix('H')?.parse().ok()).collect();
        Some(Row { numbers: numbers?, is_kept: state.contains("yes") })
    });
    rows.collect()
}

/// The rows that the tests of a file are named after.
fn rows(file: &SourceFile) -> Vec<u32> {
    let rows = test_names(file)
        .into_iter()
        .filter_map(|name| name.strip_prefix('h')?.split_once('_')?.0.parse().ok());
    rows.collect()
}

fn complaints(document: &str, files: &[SourceFile]) -> Vec<String> {
    let tested: BTreeSet<u32> = files.iter().flat_map(rows).collect();
    let documented = documented(document);
    let known: BTreeSet<u32> = documented.iter().flat_map(|row| row.numbers.clone()).collect();
    let kept = documented.iter().filter(|row| row.is_kept).flat_map(|row| &row.numbers);
    let untested = kept
        .filter(|row| !tested.contains(row))
        .map(|row| format!("H{row} is kept, says {DOCUMENT}: no test fn h{row}_…"));
    let unknown = tested
        .difference(&known)
        .map(|row| format!("fn h{row}_… tests a row that {DOCUMENT} does not have"));
    untested.chain(unknown).collect()
}

#[test]
fn each_row_that_is_kept_has_a_test_of_its_name() {
    let document = tree::read(DOCUMENT);
    assert!(documented(&document).len() > 30, "{DOCUMENT} is read wrongly");
    assert_none(&complaints(&document, &tree::files("rs")));
}

#[test]
fn a_row_without_a_test_is_found() {
    let document = "| row | rule | state |\n|---|---|---|\n\
                    | H1 | a | yes |\n| H2 | b | yes; not all |\n| H3, H4 | c | not yet |\n";
    let planted = "#[test]\nfn h1_mapped() {}\n\nfn h2_not_a_test() {}\n\n\
                   #[tokio::test]\n// why\nasync fn h9_x() {}\n";
    let file = SourceFile::new("a.rs", planted);
    assert_eq!(rows(&file), [1, 9]);
    assert_eq!(
        complaints(document, &[file]),
        [
            "H2 is kept, says docs/hardening.md: no test fn h2_…",
            "fn h9_… tests a row that docs/hardening.md does not have"
        ]
    );
}
