//! Cited sections exist; `tests/rfc-sections.txt` lists those of each RFC.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::SourceFile;
use crate::{assert_none, tree};

/// Obsolete RFCs; they are cited only for old clients.
const OBSOLETE: &[(u32, &str)] = &[(5389, "RFC 8489"), (5766, "RFC 8656"), (5245, "RFC 8445")];

/// Words by which a text refers to old clients.
const OLD: &[&str] =
    &["old", "obsolete", "before", "predecessor", "clients of rfc", " had ", " knew "];

/// The sections of each RFC.
struct Sections(BTreeMap<u32, BTreeSet<String>>);

impl Sections {
    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            lines
                .map(|line| {
                    let (rfc, sections) = line.split_once(' ').expect("an RFC, then its sections");
                    let rfc = rfc.parse().expect("the number of an RFC");
                    (rfc, sections.split(' ').map(str::to_owned).collect())
                })
                .collect(),
        )
    }
}

/// A citation on one line: the RFC, and the sections of it.
struct Citation<'a> {
    rfc: u32,
    sections: Vec<&'a str>,
}

/// `RFC 8656 §12.2`, also `RFC 8489 §9.2.4 and §14.9`.
fn citations(line: &str) -> Vec<Citation<'_>> {
    let mut found = Vec::new();
    for (at, start) in line.match_indices("RFC ") {
        let rest = &line[at + start.len()..];
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let Ok(rfc) = rest[..digits].parse() else {
            continue;
        };
        let mut rest = &rest[digits..];
        let mut sections = Vec::new();
        while let Some(after) = after_separator(rest) {
            let end = after
                .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.')
                .unwrap_or(after.len());
            sections.push(after[..end].trim_end_matches('.'));
            rest = &after[end..];
        }
        found.push(Citation { rfc, sections });
    }
    found
}

/// The text after the next `§`, when that belongs to the same citation.
fn after_separator(rest: &str) -> Option<&str> {
    [" §", ", §", " and §", " or §", "–§", ", and §"]
        .iter()
        .find_map(|between| rest.strip_prefix(between))
}

fn complaints(file: &SourceFile, known: &Sections) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut complaints = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let mut complain =
            |what: String| complaints.push(format!("{}:{}: {what}", file.path, number + 1));
        for Citation { rfc, sections } in citations(line) {
            for section in sections {
                match known.0.get(&rfc) {
                    None => complain(format!("RFC {rfc} is not in tests/rfc-sections.txt")),
                    Some(known) if !known.contains(section) => {
                        complain(format!("RFC {rfc}: there is no section {section}"));
                    }
                    Some(_) => {}
                }
            }
            let around = lines[number.saturating_sub(2)..lines.len().min(number + 3)]
                .join(" ")
                .to_lowercase();
            for (_, newer) in OBSOLETE.iter().filter(|(obsolete, _)| *obsolete == rfc) {
                if !OLD.iter().any(|old| around.contains(old)) {
                    complain(format!(
                        "RFC {rfc} is replaced by {newer}, and no old client is spoken of"
                    ));
                }
            }
        }
        let in_words = [" section ", " Section "].iter().any(|word| line.contains(word));
        if in_words && !citations(line).is_empty() && !line.contains('§') {
            complain("a citation reads `RFC 8656 §12.2`, so that it can be checked".to_owned());
        }
    }
    complaints
}

#[test]
fn cited_sections_exist() {
    let known = Sections::read(&tree::read("tests/rfc-sections.txt"));
    let files = tree::files("rs").into_iter().chain(tree::files("md"));
    let found: Vec<String> = files.flat_map(|file| complaints(&file, &known)).collect();
    assert_none(&found);
}

#[test]
fn a_wrong_citation_is_found() {
    let known = Sections::read("# a comment\n8656 12 12.2\n5389 1\n");
    let check = |text: String| complaints(&SourceFile::new("a.rs", &text), &known);
    // Put together here, so that the test does not find this file.
    let cite = |rfc: u32, sections: &str| format!("// See RFC {rfc} {sections}.");
    assert_eq!(check(cite(8656, "§12.2 and §12")).len(), 0);
    assert_eq!(check(cite(8656, "§12.2 and §13")), ["a.rs:1: RFC 8656: there is no section 13"]);
    assert_eq!(check(cite(8656, "§12.9.")), ["a.rs:1: RFC 8656: there is no section 12.9"]);
    assert_eq!(check(cite(9999, "§1")), ["a.rs:1: RFC 9999 is not in tests/rfc-sections.txt"]);
    assert_eq!(check(cite(8656, "Section 12")).len(), 1);
    assert_eq!(check(cite(5389, "§1")).len(), 1);
    assert_eq!(check(cite(5389, "§1, which old clients follow")).len(), 0);
}
