//! Words and sentences that do not come back: what a reader would have to translate.
//!
//! The list is what this tree once said, with the word that the field uses in its place. A line
//! that quotes an RFC may say what the RFC says.

use crate::tree::SourceFile;
use crate::{assert_none, tree};

/// A word, and what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("so many", "\"Maximum …\" or the number"),
    ("whoever", "\"a client that\", \"any caller\""),
    ("somebody", "the client, the caller, the operator"),
    ("nobody", "\"no client\", \"no caller\", \"nothing\""),
    ("everybody", "\"all clients\""),
    ("anybody", "\"any client\""),
    ("to be had", "\"available\""),
    ("anew", "\"again\""),
    ("let go of", "\"release\", \"free\""),
    ("farewell", "\"close\""),
    ("doorbell", "\"wake-up\""),
    ("post office", "\"mailbox\""),
];

/// How a doc comment begins that is no sentence.
const HEADS: &[&str] =
    &["What ", "Who ", "Whom ", "Whose ", "To whom", "Of which", "Of each", "Of whom", "So much"];

/// Names of types and modules that are an office's furniture, and not the field's terms.
const NAMES: &[&str] = &["Letter", "Envelope", "Post", "Door", "Bell", "Desk"];

/// Where the words are the subject: this list, the page of style, and what others wrote.
const APART: &[&str] = &[
    "tests/architecture/words.rs",
    "tests/conformance/",
    "docs/conformance.md",
    "CONTRIBUTING.md",
];

/// The prose of a line: all of it in a text; in code, its comments and literals.
fn prose<'a>(file: &SourceFile, line: &'a str) -> &'a str {
    if !file.path.ends_with(".rs") {
        return line;
    }
    let comment = line.find("//");
    let literal = line.find('"');
    comment.into_iter().chain(literal).min().map_or("", |at| &line[at..])
}

/// Whether the text has the word, as a word of its own, in letters of either case.
fn says(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(word).any(|(at, found)| {
        let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
        let before = text[..at].chars().next_back().is_some_and(is_letter);
        let after = text[at + found.len()..].chars().next().is_some_and(is_letter);
        !before && !after
    })
}

fn complaints(file: &SourceFile) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut before = "";
    for (number, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, number + 1);
        let text = prose(file, line);
        // An RFC's own words stand between quotation marks, beside its number.
        if !(line.contains("RFC ") && line.contains('"')) {
            let said = WORDS.iter().filter(|(word, _)| says(text, word));
            complaints.extend(said.map(|(word, instead)| format!("{place}: {word:?}: {instead}")));
        }
        let declared = ["struct ", "enum ", "type ", "trait "]
            .iter()
            .filter_map(|keyword| line.trim_start().split_once(keyword))
            .filter(|(before, _)| before.is_empty() || before.starts_with("pub"))
            .map(|(_, rest)| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default());
        let renamed = declared.filter(|name| file.path.ends_with(".rs") && NAMES.contains(name));
        complaints.extend(renamed.map(|name| format!("{place}: {name}: name it plainly")));
        let doc = |line: &'_ str| line.trim_start().starts_with("/// ");
        if file.path.ends_with(".rs") && doc(line) && !doc(before) {
            let sentence = line.trim_start().trim_start_matches("/// ");
            if HEADS.iter().any(|head| sentence.starts_with(head)) {
                complaints.push(format!("{place}: no sentence: {sentence:?}"));
            }
        }
        before = line;
    }
    complaints
}

#[test]
fn what_a_reader_would_have_to_translate_does_not_come_back() {
    let files = ["rs", "md", "toml", "yaml", "tpl", "txt", "sh", "mjs", "py", "go"];
    let found: Vec<String> = files
        .iter()
        .flat_map(|extension| tree::files(extension))
        .filter(|file| !APART.iter().any(|apart| file.path.starts_with(apart)))
        .flat_map(|file| complaints(&file))
        .collect();
    assert_none(&found);
}

#[test]
fn a_word_and_a_headless_sentence_are_found() {
    let told = |path: &str, text: &str| complaints(&SourceFile::new(path, text)).len();
    assert_eq!(told("a.rs", "/// So many sockets.\nconst N: usize = 1;\n"), 1);
    assert_eq!(told("a.rs", "/// What is left.\n/// What more.\n"), 1);
    assert_eq!(told("a.rs", "error(\"nobody answers\");\n"), 1);
    assert_eq!(told("a.rs", "let letter = nobody; // the first of the name\n"), 0);
    assert_eq!(told("a.rs", "pub(crate) enum Letter {\nstruct Letters;\n"), 1);
    assert_eq!(told("a.md", "Renewed, not anew.\n"), 1);
    assert_eq!(told("a.md", "\"to anybody\" (RFC 8656 §9)\n"), 0);
    assert_eq!(told("a.rs", "/// Maximum number of sockets.\n/// Whether it is full.\n"), 0);
}
