//! Each file says first what it holds.

use crate::tree::SourceFile;
use crate::{assert_none, tree};

fn has_head(file: &SourceFile) -> bool {
    // The compiler's own attributes may stand before it.
    let first = file.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
    first.is_some_and(|line| line.strip_prefix("//! ").is_some_and(|head| head.len() > 10))
}

#[test]
fn each_file_has_a_head() {
    let files = tree::files("rs");
    let without: Vec<String> = files
        .iter()
        .filter(|file| !has_head(file))
        .map(|file| format!("{}: no //! says what the file holds", file.path))
        .collect();
    assert_none(&without);
}

#[test]
fn a_file_without_a_head_is_found() {
    assert!(!has_head(&SourceFile::new("a.rs", "use a::b;\n//! Too late, this one.\n")));
    assert!(!has_head(&SourceFile::new("a.rs", "//! A.\n")));
    assert!(has_head(&SourceFile::new("a.rs", "#![no_main]\n\n//! What is fuzzed here.\n")));
}
