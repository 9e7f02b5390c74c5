//! `docs/conformance.md` has the contents of `tests/conformance/*.toml`: each requirement of an RFC
//! with its test, or with the reason why it has none. `cargo xtask conformance` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;

use crate::tree::{SourceFile, test_names};
use crate::{assert_none, tree};

const DOCUMENT: &str = "docs/conformance.md";
const CHECKLISTS: &str = "tests/conformance";

/// The environment variable that `cargo xtask conformance` sets.
const WRITE: &str = "CAUSEWAY_WRITE_CONFORMANCE";

/// The requirements of one RFC.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checklist {
    rfc: u32,
    title: String,
    /// Number of sentences with a word of RFC 2119: none is left out.
    statements: usize,
    section: BTreeMap<String, Vec<Requirement>>,
}

/// One sentence of an RFC, in our words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    who: Who,
    gist: String,
    #[serde(default)]
    tests: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// The parties that a requirement binds.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Who {
    Server,
    Client,
    Both,
    /// Operators, authors of other documents, IANA.
    Others,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
            Self::Others => "others",
        }
    }
}

impl Requirement {
    fn state(&self) -> &'static str {
        match (self.tests.is_empty(), self.who) {
            (false, _) => "tested",
            (true, Who::Others) => "not ours",
            (true, _) => "no test",
        }
    }
}

impl Checklist {
    fn requirements(&self) -> impl Iterator<Item = (&str, &Requirement)> {
        let mut sections: Vec<_> = self.section.iter().collect();
        sections.sort_by_key(|(section, _)| section_key(section));
        sections.into_iter().flat_map(|(section, all)| all.iter().map(move |one| (&**section, one)))
    }

    fn complaints(&self, tests: &BTreeSet<String>) -> Vec<String> {
        let count = self.requirements().count();
        let mut complaints = Vec::new();
        if count != self.statements {
            complaints.push(format!(
                "RFC {}: {count} requirements of {} statements",
                self.rfc, self.statements
            ));
        }
        for (section, requirement) in self.requirements() {
            let named = format!("RFC {} §{section}: {:?}", self.rfc, requirement.gist);
            if requirement.tests.is_empty() == requirement.reason.is_none() {
                complaints.push(format!("{named}: tests, or a reason why there is none"));
            }
            let missing = requirement.tests.iter().filter(|test| !tests.contains(*test));
            complaints.extend(missing.map(|test| format!("{named}: there is no test {test}")));
        }
        complaints
    }
}

/// `9.2.4` by its numbers, so that 14.10 comes after 14.9.
fn section_key(section: &str) -> Vec<u32> {
    section.split('.').map(|number| number.parse().unwrap_or(u32::MAX)).collect()
}

fn document(checklists: &[Checklist]) -> String {
    let mut text = String::from(
        "# Conformance\n\n\
         Every sentence of these RFCs that has a word of RFC 2119 in it, in our words, with the \
         tests that hold it, or the reason why it has\n\
         none. `cargo xtask conformance` writes this page from `tests/conformance/`, and a test \
         compares the two and looks for each test named.\n\
         Where the suite does something else on purpose stands in \
         [deviations.md](deviations.md).\n",
    );
    for checklist in checklists {
        let tested = checklist
            .requirements()
            .filter(|(_, requirement)| !requirement.tests.is_empty())
            .count();
        let Checklist { rfc, title, statements, .. } = checklist;
        write!(
            text,
            "\n## RFC {rfc}: {title}\n\n{statements} statements, {tested} with tests.\n\n"
        )
        .expect("a String takes all");
        text.push_str(
            "| section | binds | what | test, or why none | state |\n|---|---|---|---|---|\n",
        );
        for (section, requirement) in checklist.requirements() {
            let tests: Vec<String> =
                requirement.tests.iter().map(|test| format!("`{test}`")).collect();
            let why = requirement.reason.clone().unwrap_or_else(|| tests.join(", "));
            let cells =
                [section, requirement.who.name(), &requirement.gist, &why, requirement.state()];
            writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
                .expect("a String takes all");
        }
    }
    text
}

fn checklists() -> Vec<Checklist> {
    let mut all: Vec<Checklist> = tree::files("toml")
        .iter()
        .filter(|file| file.path.starts_with(CHECKLISTS))
        .map(|file| {
            toml::from_str(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path))
        })
        .collect();
    all.sort_by_key(|checklist| checklist.rfc);
    all
}

#[test]
fn each_requirement_has_a_test_or_a_reason() {
    let tests: BTreeSet<String> = tree::files("rs").iter().flat_map(test_names).collect();
    let complaints: Vec<String> =
        checklists().iter().flat_map(|checklist| checklist.complaints(&tests)).collect();
    assert_none(&complaints);
}

#[test]
fn conformance_is_documented() {
    let expected = document(&checklists());
    if std::env::var_os(WRITE).is_some() {
        fs::write(tree::root().join(DOCUMENT), &expected).expect("the document can be written");
    }
    let written = fs::read_to_string(tree::root().join(DOCUMENT)).unwrap_or_default();
    assert!(
        written == expected,
        "{DOCUMENT} is not what {CHECKLISTS} say: run `cargo xtask conformance`"
    );
}

#[test]
fn what_is_missing_from_a_checklist_is_found() {
    let planted = r#"
        rfc = 7443
        title = "A"
        statements = 4
        [section]
        "4.1" = [
            { who = "server", gist = "a|b", tests = ["planted_there"] },
            { who = "client", gist = "c" },
        ]
        "2" = [{ who = "others", gist = "d", tests = ["planted_gone"], reason = "both" }]
    "#;
    let checklist: Checklist = toml::from_str(planted).unwrap();
    let tests = test_names(&SourceFile::new(
        "a.rs",
        "#[test]\nfn planted_there() {}\nfn planted_gone() {}\n",
    ))
    .into_iter()
    .collect();
    assert_eq!(
        checklist.complaints(&tests),
        [
            "RFC 7443: 3 requirements of 4 statements",
            "RFC 7443 §2: \"d\": tests, or a reason why there is none",
            "RFC 7443 §2: \"d\": there is no test planted_gone",
            "RFC 7443 §4.1: \"c\": tests, or a reason why there is none",
        ]
    );
    assert!(
        document(&[checklist]).contains("| 4.1 | server | a\\|b | `planted_there` | tested |\n")
    );
}
