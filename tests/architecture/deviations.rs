//! `docs/deviations.md` has the `// Deviation:` lines of the code. `cargo xtask deviations` writes
//! it.

use std::fmt::Write as _;
use std::fs;

use crate::tree;
use crate::tree::SourceFile;

const DOCUMENT: &str = "docs/deviations.md";

/// The environment variable that `cargo xtask deviations` sets.
const WRITE: &str = "CAUSEWAY_WRITE_DEVIATIONS";

#[derive(Debug, PartialEq)]
struct Deviation {
    /// The RFC and its section, as in `RFC 8489 §9.2.4`.
    from: String,
    reason: String,
    file: String,
}

/// A deviation starts with its marker and ends with the paragraph of comments.
fn deviations(file: &SourceFile) -> Vec<Deviation> {
    let marker = concat!("Deviation", ": RFC ");
    let comments: Vec<Option<&str>> = file.text.lines().map(comment).collect();
    let mut found = Vec::new();
    for (number, line) in comments.iter().enumerate() {
        let Some(first) = line.and_then(|line| line.strip_prefix(marker)) else {
            continue;
        };
        let mut text = first.to_owned();
        for line in &comments[number + 1..] {
            match line {
                Some(line) if !line.is_empty() && !line.starts_with(marker) => {
                    text.push(' ');
                    text.push_str(line);
                }
                _ => break,
            }
        }
        let (from, reason) = text.split_once(": ").unwrap_or((&text, ""));
        found.push(Deviation {
            from: format!("RFC {from}"),
            reason: reason.to_owned(),
            file: file.path.clone(),
        });
    }
    found
}

/// The text of a line, if it is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("//")?;
    Some(line.trim_start_matches(['/', '!']).trim())
}

fn document(mut deviations: Vec<Deviation>) -> String {
    deviations.sort_by_key(|deviation| (sort_key(&deviation.from), deviation.file.clone()));
    let mut text = String::from(
        "# Deviations from the RFCs\n\n\
         Where this suite does not do what an RFC asks, and why. `cargo xtask deviations` writes \
         this page from the\n\
         `// Deviation:` lines of the code, and a test compares the two.\n\n\
         | of | what we do, and why | in |\n|---|---|---|\n",
    );
    for Deviation { from, reason, file } in deviations {
        let reason = reason.replace('|', "\\|");
        writeln!(text, "| {from} | {reason} | `{file}` |").expect("a String takes all");
    }
    text
}

/// The numbers in `RFC 8489 §9.2.4`, so that §14.10 comes after §14.9.
fn sort_key(from: &str) -> Vec<u32> {
    from.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[test]
fn deviations_are_documented() {
    let found: Vec<Deviation> = tree::files("rs").iter().flat_map(deviations).collect();
    for Deviation { from, reason, file } in &found {
        assert!(!reason.is_empty(), "{file}: {from}: a deviation has a reason");
    }
    let expected = document(found);
    if std::env::var_os(WRITE).is_some() {
        fs::write(tree::root().join(DOCUMENT), &expected).expect("the document can be written");
    }
    let written = fs::read_to_string(tree::root().join(DOCUMENT)).unwrap_or_default();
    assert!(
        written == expected,
        "{DOCUMENT} is not what the code says: run `cargo xtask deviations`\n{expected}"
    );
}

#[test]
fn a_deviation_is_read_to_its_end() {
    let marker = concat!("Deviation", ":");
    let planted = format!(
        "/// Words.\n// {marker} RFC 8489 §14.10: one\n// reason.\nlet x = 1;\n    \
         // {marker} RFC 8489 §9: b: c\n//\n// no more\n"
    );
    let found = deviations(&SourceFile::new("a.rs", &planted));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&*found[0].from, &*found[0].reason), ("RFC 8489 §14.10", "one reason."));
    let document = document(found);
    assert!(document.ends_with(
        "| RFC 8489 §9 | b: c | `a.rs` |\n| RFC 8489 §14.10 | one reason. | `a.rs` |\n"
    ));
}
